"""A client that costs next to nothing: whole HTTP/1.1 requests written beforehand, answers only delimited, not parsed."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

MODERN = "2026-07-28"


class Failed(Exception):
    """An answer that was not the one to be measured."""


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()


def modern(target: Target, method: str, params: dict[str, Any], *, user: str | None = None) -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)]
    if "name" in params:
        headers.append(("Mcp-Name", params["name"]))
    if user is not None:
        headers.append(("X-End-User", user))
    return request(target, body, headers)


def legacy(target: Target, method: str, params: dict[str, Any], *, session: str) -> bytes:
    body = {"jsonrpc": "2.0", "id": time.monotonic_ns(), "method": method, "params": params}
    return request(target, body, [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", session)] if session else [])


def request(target: Target, body: dict[str, Any], headers: list[tuple[str, str]]) -> bytes:
    raw = json.dumps(body).encode()
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.host}:{target.port}",
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        f"Content-Length: {len(raw)}",
        *(f"{name}: {value}" for name, value in (*target.headers, *headers)),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        return cls(*await asyncio.open_connection(target.host, target.port, limit=16 * 1024 * 1024))

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        if b"content-length:" in lower:
            size = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            return head, await self._reader.readexactly(size)
        return head, await self._chunked()

    async def _chunked(self) -> bytes:
        pieces = []
        while True:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            pieces.append(await self._reader.readexactly(size + 2))
            if size == 0:
                return b"".join(pieces)

    def close(self) -> None:
        self._writer.close()


def checked(head: bytes, body: bytes) -> None:
    """Only good answers are measured."""
    if not head.startswith(b"HTTP/1.1 200") or b'"result":' not in body or b'"isError":true' in body:
        raise Failed(f"{head[:200]!r} {body[:400]!r}")

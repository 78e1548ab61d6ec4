"""A raw HTTP server that answers as a test says, and small words for what tests do with a backend."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.adapters.backends import BackendSet, BackendSpec, HttpSpec, Pace, Timeouts
from gateway.errors import BackendFailed
from gateway.model import Answer, BackendMessage, Change, JsonObject, Outgoing

T = TypeVar("T")

CLIENT = {"name": "gateway", "version": "1"}
QUICK = Pace(failures=3, first_s=0.02, most_s=0.1)
SHORT = Timeouts(connect_s=2, first_byte_s=0.3, idle_s=0.3, total_s=1)
DISCOVERED: JsonObject = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "private",
}
DONE: JsonObject = {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}


def run(main: Coroutine[Any, Any, T], limit_s: float = 25) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(limit_s):
            return await main

    return asyncio.run(bounded())


async def eventually(holds: Callable[[], bool], limit_s: float = 10) -> None:
    """Poll until `holds`, with a deadline."""
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110 — what it waits for happens in another process, too
            await asyncio.sleep(0.01)


@dataclass(slots=True)
class Received:
    """One request as it came, and the way to answer it."""

    method: str
    headers: dict[str, str]
    body: Any
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    @property
    def rpc(self) -> str:
        return self.body["method"] if isinstance(self.body, dict) and "method" in self.body else ""

    @property
    def id(self) -> Any:
        return self.body.get("id")

    def head(self, status: int = 200, **headers: str) -> None:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"HTTP/1.1 {status} x\r\n{lines}\r\n".encode())

    def raw(self, data: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.head(status, Content_Type=kind, Content_Length=str(len(data)), **headers)
        self.writer.write(data)

    def json(self, message: Any, status: int = 200, **headers: str) -> None:
        self.raw(json.dumps(message).encode(), status, **headers)

    def result(self, result: Any, **headers: str) -> None:
        self.json({"jsonrpc": "2.0", "id": self.id, "result": result}, 200, **headers)

    def error(self, code: int, message: str, status: int = 200, data: Any = None) -> None:
        self.json({"jsonrpc": "2.0", "id": self.id, "error": {"code": code, "message": message, "data": data}}, status)

    def stream(self) -> None:
        self.head(Content_Type="text/event-stream", Connection="close")

    def event(self, message: Any) -> None:
        self.writer.write(b"data: " + json.dumps(message).encode() + b"\n\n")

    def notify(self, method: str, **params: Any) -> None:
        self.event({"jsonrpc": "2.0", "method": method, "params": params})

    def close(self) -> None:
        self.writer.close()


Script = Callable[[Received], Awaitable[None]]


@dataclass(slots=True)
class Scripted:
    """A server under way: where it is and what it got."""

    url: str
    port: int
    received: list[Received] = field(default_factory=list)

    def of(self, method: str) -> list[Received]:
        return [each for each in self.received if each.rpc == method]


@asynccontextmanager
async def scripted(script: Script, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Scripted]:
    """Answers each request by `script`, until the block ends."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            while (received := await _request(reader, writer)) is not None:
                server.received.append(received)
                await script(received)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            running.discard(task)
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server = Scripted(f"{'https' if tls else 'http'}://127.0.0.1:{port}/mcp", port)
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return None
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split()[0], headers, json.loads(body) if body else None, writer, reader)


def modern(script: Script) -> Script:
    """A modern server whose `server/discover` works; everything else is by `script`."""

    async def answer(received: Received) -> None:
        if received.rpc == "server/discover":
            received.result(DISCOVERED)
        else:
            await script(received)

    return answer


def legacy(script: Script, capabilities: dict[str, Any] | None = None) -> Script:
    """A legacy server whose handshake works, with a session; everything else is by `script`."""
    sessions = iter(range(1, 1000))

    async def answer(received: Received) -> None:
        if received.rpc == "server/discover":
            received.error(-32601, "Method not found", 400)
        elif received.rpc == "initialize":
            version = {"protocolVersion": "2025-11-25", "capabilities": capabilities or {}, "serverInfo": {"name": "s"}}
            received.result(version, Mcp_Session_Id=f"s{next(sessions)}")
        elif received.rpc.startswith("notifications/") or received.method == "DELETE" or "result" in (received.body or {}):
            received.head(202, Content_Length="0")
        elif received.method == "GET":
            received.head(405, Content_Length="0")
        else:
            await script(received)

    return answer


async def done(received: Received) -> None:
    received.result(DONE)


@asynccontextmanager
async def backends(*specs: BackendSpec, started: bool = False, changes: list[Change] | None = None) -> AsyncIterator[BackendSet]:
    told = changes.append if changes is not None else (lambda change: None)
    backends = BackendSet(specs, on_change=told, client_info=dict(CLIENT), pace=QUICK)
    if started:
        await backends.start()
    try:
        yield backends
    finally:
        await backends.close()


def http(server: Any, **more: Any) -> HttpSpec:
    return HttpSpec(**{"name": "crm", "url": server.url, **more})


def tool_call(tool: str = "act", arguments: dict[str, Any] | None = None, owner: str = "ada", **more: Any) -> Outgoing:
    backend = more.pop("backend", "crm")
    return Outgoing(backend, "tools/call", {"name": tool, "arguments": arguments or {}}, owner, **more)


async def messages(backends: BackendSet, request: Outgoing) -> list[BackendMessage]:
    return [each async for each in backends.forward(request)]


async def text(backends: BackendSet, request: Outgoing) -> Any:
    """The text of a call's result."""
    answer = (await messages(backends, request))[-1]
    assert isinstance(answer, Answer), answer
    content: Any = answer.result["content"]
    return content[0]["text"]


async def failure(backends: BackendSet, request: Outgoing) -> tuple[str, bool]:
    """Why a request failed, and whether it may have been carried out."""
    try:
        got = await messages(backends, request)
    except BackendFailed as failed:
        return failed.cause, failed.sent
    raise AssertionError(f"it was answered: {got}")

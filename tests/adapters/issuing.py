"""A token endpoint that answers as a test says, and what tests of credentials say of callers and times."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from gateway.adapters.credentials.secret import Fixed
from gateway.adapters.credentials.token_endpoint import Client, TokenEndpoint
from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Fetcher
from gateway.model import Caller, Identity, JsonObject, Outgoing, Subject

ISSUER = "https://id.example.com"
CLIENT_SECRET = "client-secret-recognisable"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@dataclass(slots=True)
class Asked:
    """One request for a token, and the way to answer it."""

    path: str
    headers: dict[str, str]
    form: dict[str, str]
    writer: asyncio.StreamWriter

    def raw(self, status: int, body: bytes, **headers: str) -> None:
        told = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
        self.writer.write(f"HTTP/1.1 {status} x\r\n{lines}\r\n".encode() + body)

    def json(self, status: int, answer: Any, **headers: str) -> None:
        self.raw(status, json.dumps(answer).encode(), **headers)

    def token(self, token: str, expires_in: Any = 3600, **members: Any) -> None:
        self.json(200, {"access_token": token, "token_type": "Bearer", "expires_in": expires_in, **members})

    @property
    def basic(self) -> tuple[str, str]:
        name, _, secret = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
        return unquote_plus(name), unquote_plus(secret)


@dataclass(slots=True)
class Issuing:
    """A server under way: where it is and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@asynccontextmanager
async def issuing(script: Callable[[Asked], Awaitable[None]]) -> AsyncIterator[Issuing]:
    """Answers each request by `script`, until the block ends."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                asked = Asked(first.split()[1], headers, dict(parse_qsl(body.decode(), strict_parsing=bool(body))), writer)
                server.asked.append(asked)
                await script(asked)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            running.discard(task)
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server = Issuing(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def endpoint(
    server: Issuing,
    *,
    timeout_s: float = 2.0,
    client: Client | None = None,
    clock: Callable[[], float] = time.time,
    place: Discovery | None = None,
) -> TokenEndpoint:
    told = client or Client("gateway", "basic", Fixed(CLIENT_SECRET))
    return TokenEndpoint(place or server.url + "/token", told, Fetcher(timeout_s=timeout_s), clock_s=clock)


def caller(name: str, token: str | None = None, **more: Any) -> Caller:
    """A user who came with an access token of `ISSUER`."""
    subject = {"type": "user", "identity": Identity(ISSUER, name), "authentication": "jwt", **more.pop("subject", {})}
    return Caller(Subject(**subject), "agent", "127.0.0.1", token=f"token-of-{name}" if token is None else token, **more)


def asking(who: Caller | None, **more: Any) -> Outgoing:
    params: JsonObject = {"name": "act", "arguments": {}}
    return Outgoing("crm", "tools/call", params, who.key if who else "", caller=who, **more)

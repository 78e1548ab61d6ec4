"""Writes an answer as it comes: one JSON body where there is nothing but a reply, a stream once there is more.

The stream begins with the first notice, or after a silence of `keep_alive_s`: until then a status can still be chosen.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from gateway.errors import Refusal
from gateway.model import Era, Notice, Reply, RequestId
from gateway.wire import jsonrpc, sse

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON_TYPE = (b"content-type", b"application/json")
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Answering:
    """The HTTP response of one request."""

    def __init__(self, send: Send, *, era: Era, request_id: RequestId | None, keep_alive_s: float) -> None:
        self._send = send
        self._era = era
        self._id = request_id
        self._keep_alive_s = keep_alive_s
        self.streaming = False
        self.bytes_out = 0
        self._beginning = asyncio.Lock()  # the first notice and the first keep-alive may come at once

    async def answer(self, events: AsyncIterator[Notice | Reply], headers: Mapping[str, str] | None = None) -> None:
        """Send every event; the reply, or a refusal, is last."""
        quiet = asyncio.get_running_loop().call_later(self._keep_alive_s, self._begin_soon)
        try:
            async for event in events:
                if isinstance(event, Notice):
                    await self.begin()
                    await self._piece(sse.encode(jsonrpc.notification(event.method, event.params)))
                else:
                    assert self._id is not None
                    await self._last(jsonrpc.result(self._id, event.result), 200, headers or {})
        except Refusal as refusal:
            await self.refuse(refusal)
        finally:
            quiet.cancel()
            if self._beating is not None:
                self._beating.cancel()

    async def refuse(self, refusal: Refusal) -> None:
        body = jsonrpc.error(self._id, refusal.code(self._era), refusal.message, refusal.data)
        await self._last(body, refusal.status(self._era), refusal.headers)

    async def begin(self) -> None:
        """Commit to a stream; from here on every failure is an error inside it."""
        async with self._beginning:
            if not self.streaming:
                await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
                self.streaming = True  # only now: a reply that comes while the connection is blocked can still choose a status

    async def end(self) -> None:
        """End a stream without a reply: the request was cancelled by its client."""
        await self.begin()
        await self._send({"type": "http.response.body", "body": b""})

    _beating: "asyncio.Task[None] | None" = None

    def _begin_soon(self) -> None:
        self._beating = asyncio.create_task(self._beat())  # kept here, cancelled in `answer`

    async def _beat(self) -> None:
        while True:
            await self.begin()
            await self._piece(sse.KEEP_ALIVE)
            await asyncio.sleep(self._keep_alive_s)

    async def _piece(self, piece: bytes) -> None:
        self.bytes_out += len(piece)
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _last(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        if self._beating is not None:
            self._beating.cancel()
        if self.streaming:
            piece = sse.encode(body)
            self.bytes_out += len(piece)
            await self._send({"type": "http.response.body", "body": piece})
            return
        await write(self._send, status, body, headers)
        self.bytes_out += len(body)


async def write_refusal(send: Send, refusal: Refusal, headers: Mapping[str, str] | None = None) -> None:
    """Where no era is known yet."""
    body = jsonrpc.error(None, refusal.code("modern"), refusal.message, refusal.data)
    await write(send, refusal.status("modern"), body, {**refusal.headers, **(headers or {})})


async def write(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """A whole response: JSON unless `headers` (lower case) say otherwise; 204 has no length (RFC 9110 8.6)."""
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    if status != 204:
        lines.append((b"content-length", str(len(body)).encode()))
    if body and "content-type" not in headers:
        lines.append(JSON_TYPE)
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})

"""One keep-alive HTTP/1.1 connection to OPA: one request at a time, and closed at the first sign of anything else."""

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias, cast

import httptools

from gateway.errors import Undecided


class Unanswered(Exception):
    """The connection ended before one byte of the answer: the same question may be asked once more elsewhere."""


HEAD_ROOM_BYTES = 64 * 1024  # for the status line, headers and chunk sizes, beyond the answer itself

Response: TypeAlias = tuple[int, bytes]  # HTTP status and body


class Connection(asyncio.Protocol):
    """The protocol and parser callbacks in one object: a decision costs no other allocation than its future."""

    __slots__ = (
        "_body",
        "_complete",
        "_future",
        "_keep",
        "_loop",
        "_lost",
        "_max_bytes",
        "_parser",
        "_received",
        "_state",
        "_timer",
        "_transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, max_answer_bytes: int, lost: Callable[["Connection"], None]) -> None:
        self._loop = loop
        self._max_bytes = max_answer_bytes
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._future: asyncio.Future[Response] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._body: list[bytes] = []
        self._received = 0
        self._complete = False
        self._keep = False
        self._state: Literal["idle", "asked", "answering", "closed"] = "idle"

    @property
    def reusable(self) -> bool:
        return self._state == "idle"

    def ask(self, head: bytes, body: bytes, deadline: float) -> asyncio.Future[Response]:
        """Send one request; the future ends by `deadline` (loop time) with the response, `Unanswered` or `Undecided`."""
        assert self._state == "idle" and self._transport is not None
        self._future = future = self._loop.create_future()
        self._timer = self._loop.call_at(deadline, self._late)
        self._state = "asked"
        self._transport.writelines((head, body))
        return future

    def abort(self) -> None:
        """Close at once: OPA cancels the evaluation when its client goes."""
        self._state = "closed"
        if self._transport is not None:
            self._transport.abort()

    # --- what the event loop says ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        if self._state in {"idle", "closed"}:
            self.abort()  # nobody asked
            return
        self._state = "answering"
        self._received += len(data)
        if self._received > self._max_bytes + HEAD_ROOM_BYTES:
            self._fail("too_large", f"OPA's answer is larger than {self._max_bytes} bytes")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, httptools.HttpParserCallbackError) as error:
            self._fail("garbage", f"not an HTTP answer: {error}")
            return
        if self._complete:
            self._answered()

    def eof_received(self) -> bool:
        return False  # the transport closes itself: nothing more is sent on a half-closed connection

    def connection_lost(self, exc: Exception | None) -> None:
        unanswered = self._state == "asked"
        self._state = "closed"
        if unanswered:
            self._settle(Unanswered("the connection ended before the answer began"))
        else:
            self._settle(Undecided("garbage", "the connection ended in the middle of the answer"))
        self._lost(self)

    # --- what the parser says ---

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("a second answer to one request")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        self._complete = True
        self._keep = self._parser.should_keep_alive()  # asked later, the parser has forgotten the answer's length

    # --- how a request ends ---

    def _answered(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._fail("garbage", f"an interim answer ({status}) to a request that asked for none")
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        self._received = 0
        self._complete = False
        future, self._future = self._future, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._state = "idle"
        if not self._keep:
            self.abort()
        if future is not None and not future.done():
            future.set_result((status, body))

    def _late(self) -> None:
        self._timer = None
        self._fail("late", "no answer within the deadline")

    def _fail(self, cause: str, detail: str) -> None:
        self._settle(Undecided(cause, detail))
        self.abort()

    def _settle(self, error: Exception) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        future, self._future = self._future, None
        if future is not None and not future.done():
            future.set_exception(error)

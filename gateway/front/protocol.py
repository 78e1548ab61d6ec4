"""uvicorn's HTTP protocol with the bounds it lacks: all but a body is limited in bytes, and a head in time, before it is parsed.

Without them one connection holds a megabyte of header, or a slot for ever by sending a byte a minute. What ends here never
reaches the application; it is answered all the same, in JSON-RPC, or a client could not tell what was wrong.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.errors import WIRE, Kind
from gateway.wire import jsonrpc


@dataclass(frozen=True, slots=True)
class Bounds:
    max_head_bytes: int = 64 * 1024  # as they arrive, trailers too; `limits.max_headers_bytes` refuses earlier
    head_timeout_s: float = 10.0  # from the first byte of a head, or from the connection, to the end of the head
    linger_s: float = 1.0  # a client that was answered early may send on: that is dropped, or it would never read the answer


@dataclass(frozen=True, slots=True)
class Ending:
    """How one kind of request is answered that ends here."""

    kind: Kind
    answer: bytes


def _ending(kind: Kind, message: str) -> Ending:
    row = WIRE[kind]
    body = jsonrpc.error(None, row.modern_code, message)
    lines = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    return Ending(kind, STATUS_LINE[row.modern_status] + lines + body)


TOO_LARGE: Final = _ending(Kind.HEADERS_TOO_LARGE, "the head of the request is too large")
TOO_SLOW: Final = _ending(Kind.SLOW_REQUEST, "the head of the request did not arrive in time")
NOT_HTTP: Final = _ending(Kind.INVALID_REQUEST, "this is not an HTTP/1.1 request")


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    bounds = Bounds()

    _stray_bytes = 0  # received since the last end of a head and the last piece of a body
    _in_message = False
    _in_head = False
    _deaf = False
    _deadline: asyncio.TimerHandle | None = None
    _closing: asyncio.TimerHandle | None = None
    _certificate: bytes | None = None  # the client's, DER; the listener's CA has verified it
    _cycles: tuple[RequestResponseCycle, ...] = ()  # the one that is answered, and those pipelined behind it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate = tls.getpeercert(binary_form=True)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stay()
        super().connection_lost(exc)
        for cycle in self._cycles:  # uvicorn tells the last one only, so a pipelined request would hide that the client left
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._in_message and not self._answering():
            self._wait_for_head()  # also for the line ends that may come before a head
        self._stray_bytes += len(data)
        super().data_received(data)
        if self._stray_bytes > self.bounds.max_head_bytes:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._certificate is not None:
            self.scope["extensions"] = {"tls": {"client_certificate": self._certificate}}
        self._in_message = self._in_head = True
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stray_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()
        self.headers = []  # trailers go here, not into the scope: they are no headers (RFC 9110, 6.5.1)
        self._cycles = (*(each for each in self._cycles if not each.response_complete), self.cycle)

    def on_body(self, body: bytes) -> None:
        self._stray_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        self._stray_bytes = 0
        super().on_message_complete()
        if self._closing is not None:
            self._stay()
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        """A client that is answered before its body was read has a moment to end it; its bytes are dropped meanwhile."""
        super().on_response_complete()
        if self._in_message and not self._in_head and self.cycle.response_complete and not self.transport.is_closing():
            self._closing = self.loop.call_later(self.bounds.linger_s, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        self._refuse(NOT_HTTP)

    def _unsupported_upgrade_warning(self) -> None:
        """The parser gave up at the end of this head and the body is lost: answer, and let nothing follow."""
        self._deaf = True
        self.cycle.keep_alive = False

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answer_is_free(self) -> bool:
        """Whether a refusal can be told: not into another answer, nor in its place. A request broken in its body makes room."""
        under_way = [each for each in self._cycles if not each.response_complete]
        if not under_way:
            return True
        broken = self.cycle if self._in_message and not self._in_head else None
        if under_way != [broken] or under_way[0].response_started:
            return False
        under_way[0].disconnected = True  # for the application its client is gone
        under_way[0].message_event.set()
        return True

    def _wait_for_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.bounds.head_timeout_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stay(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # the rest may be here and wait for us, behind a request that is still answered
            self._wait_for_head()
        elif self._stray_bytes:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()  # nothing was asked, and a client may take an answer for one to what it is about to ask

    def told(self, ending: Ending, source_ip: str) -> None:
        """Of every request that ends here; a subclass counts and records it."""

    def _refuse(self, ending: Ending) -> None:
        self._stop_waiting()
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        self.told(ending, self.client[0] if self.client else "")
        if not self._answer_is_free():
            self.transport.close()
            return
        self.transport.write(ending.answer)
        self._closing = self.loop.call_later(self.bounds.linger_s, self.transport.close)

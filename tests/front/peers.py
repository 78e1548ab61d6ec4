"""A real uvicorn with our protocol in a thread, and raw sockets to talk to it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from gateway.front.protocol import BoundedProtocol, Bounds

PATIENCE_S = 10.0


PATIENT = Bounds(max_head_bytes=16 * 1024, head_timeout_s=PATIENCE_S, linger_s=0.2)
HASTY = Bounds(max_head_bytes=16 * 1024, head_timeout_s=0.4, linger_s=0.2)
LINGERING = Bounds(max_head_bytes=16 * 1024, head_timeout_s=PATIENCE_S, linger_s=PATIENCE_S)


class Peer:
    """One connection to the server under test."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)

    def send(self, data: bytes) -> None:
        # A server that has had enough may close while we are still sending: what it answered is still to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def read(self, ending: bytes) -> bytes:
        """What arrives, up to and including `ending`."""
        received = b""
        while not received.endswith(ending):
            piece = self._socket.recv(65536)
            assert piece, f"closed after {received!r}"
            received += piece
        return received

    def status(self) -> int:
        """The status of the response that begins to arrive."""
        received = b""
        while b"\r\n" not in received:
            piece = self._socket.recv(65536)
            assert piece, f"closed after {received!r}"
            received += piece
        return int(received.split(b" ")[1])

    def rest(self) -> bytes:
        """Everything until the server closes."""
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := self._socket.recv(65536):
                received += piece
        return received

    def close(self) -> None:
        self._socket.close()


class Connect(Protocol):
    """`connect(app, bounds)()` is a new connection to a server of `app`."""

    def __call__(self, app: ASGIApp, bounds: Bounds = PATIENT, /) -> Callable[[], Peer]: ...


@contextlib.contextmanager
def served(app: ASGIApp, bounds: Bounds, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server of `app`."""
    protocol = type("Protocol", (BoundedProtocol,), {"bounds": bounds})
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=1,
            ssl_context_factory=None if tls is None else lambda config, default: tls,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(PATIENCE_S)
        listening.close()
        assert not thread.is_alive()

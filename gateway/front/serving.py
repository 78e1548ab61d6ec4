"""Serves the front and the operations listener in one event loop, and ends both in order when told to."""

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from gateway.front.protocol import BoundedProtocol

BACKLOG = 2048
GRACE_S = 10  # what is under way may finish; then connections are closed


@dataclass(frozen=True, slots=True)
class Listener:
    app: ASGIApp
    host: str
    port: int
    tls_cert: Path | None = None
    tls_key: Path | None = None
    protocol: type[BoundedProtocol] = BoundedProtocol


class _Server(uvicorn.Server):
    """uvicorn's server without its own signal handlers: two of them share one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class CannotListen(Exception):
    """An address that cannot be had: taken, not ours, or no address."""

    def __init__(self, listener: Listener, error: OSError) -> None:
        super().__init__(f"{listener.host}:{listener.port}: {(error.strerror or str(error)).lower()}")
        self.listener = listener


async def serve(
    front: Listener, operations: Listener, *, start: Callable[[], Awaitable[None]], before_end: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM. Prints `gateway ready {…}` once both listen; `before_end` ends the open streams.

    The addresses are taken before `start` begins anything. Raises `CannotListen`.
    """
    sockets = [_bound(front), _bound(operations)]
    await start()
    for each in sockets:
        each.listen(BACKLOG)
    servers = [_server(front, 5), _server(operations, 5)]
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    running = [asyncio.ensure_future(server.serve(sockets=[bound])) for server, bound in zip(servers, sockets, strict=True)]
    stop = asyncio.ensure_future(stopping.wait())
    print("gateway ready " + json.dumps(_urls(front, operations, sockets)), flush=True)
    await asyncio.wait([stop, *running], return_when=asyncio.FIRST_COMPLETED)
    before_end()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)
    stop.cancel()


def _server(listener: Listener, keep_alive_s: int) -> _Server:
    return _Server(
        uvicorn.Config(
            listener.app,
            http=listener.protocol,
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=listener.tls_cert,
            ssl_keyfile=listener.tls_key,
        )
    )


def _bound(listener: Listener) -> socket.socket:
    """The address is ours; nobody is let in before `listen`."""
    bound = socket.socket(socket.AF_INET6 if ":" in listener.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listener.host, listener.port))
    except OSError as error:
        bound.close()
        raise CannotListen(listener, error) from error
    return bound


def _urls(front: Listener, operations: Listener, sockets: list[socket.socket]) -> dict[str, str]:
    scheme = "https" if front.tls_cert else "http"
    hosts = [f"[{each.host}]" if ":" in each.host else each.host for each in (front, operations)]
    ports = [bound.getsockname()[1] for bound in sockets]
    return {"mcp": f"{scheme}://{hosts[0]}:{ports[0]}/mcp", "operations": f"http://{hosts[1]}:{ports[1]}"}

"""Serves the front and the operations listener in one event loop, and ends both in order when told to."""

import asyncio
import contextlib
import json
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gateway.front.protocol import BoundedProtocol

BACKLOG = 2048
GRACE_S = 10  # what is under way may finish; then connections are closed


@dataclass(frozen=True, slots=True)
class Listener:
    app: ASGIApp
    bound: socket.socket  # nobody is let in before `serve` listens
    host: str  # as the operator names it
    tls: ssl.SSLContext | None = None
    protocol: type[BoundedProtocol] = BoundedProtocol


class _Server(uvicorn.Server):
    """uvicorn's server without its own signal handlers: two of them share one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    front: Listener, operations: Listener, *, start: Callable[[], Awaitable[None]], before_end: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM, which count from the first moment on. Prints `gateway ready {…}` once both listen.

    `before_end` ends the open streams. The addresses were taken before `start` begins anything.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        if await _started(start, stop):
            await _served(front, operations, stop, before_end)
    finally:
        stop.cancel()


async def _started(start: Callable[[], Awaitable[None]], stop: "asyncio.Future[Any]") -> bool:
    """Whether the start came to its end; told to stop before, it is broken off."""
    starting = asyncio.ensure_future(start())
    both: list[asyncio.Future[Any]] = [stop, starting]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
        return False
    await starting
    return True


async def _served(front: Listener, operations: Listener, stop: "asyncio.Future[Any]", before_end: Callable[[], None]) -> None:
    sockets = [front.bound, operations.bound]
    for each in sockets:
        each.listen(BACKLOG)
    servers = [_server(front, 5), _server(operations, 5)]
    running = [asyncio.ensure_future(server.serve(sockets=[bound])) for server, bound in zip(servers, sockets, strict=True)]
    print("gateway ready " + json.dumps(_urls(front, operations)), flush=True)
    either: list[asyncio.Future[Any]] = [stop, *running]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    before_end()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)


def _server(listener: Listener, keep_alive_s: int) -> _Server:
    tls = listener.tls
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
            ssl_context_factory=None if tls is None else lambda config, default: tls,
        )
    )


def bound(host: str, port: int) -> socket.socket:
    """The address is ours; nobody is let in yet. Raises `OSError`: it is taken, not ours, or no address."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def url(host: str, port: int, *, tls: bool) -> str:
    """Where one listens, as a URL in its canonical form: the port that the scheme implies is left out."""
    scheme, implied = ("https", 443) if tls else ("http", 80)
    place = f"[{host}]" if ":" in host else host
    return f"{scheme}://{place}" + ("" if port == implied else f":{port}")


def _urls(front: Listener, operations: Listener) -> dict[str, str]:
    front_url, operations_url = (
        url(each.host, each.bound.getsockname()[1], tls=each.tls is not None) for each in (front, operations)
    )
    return {"mcp": front_url + "/mcp", "operations": operations_url}

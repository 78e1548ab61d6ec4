"""Real connections to a real server; an application is served once with the same bounds, for all tests that ask for it."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from starlette.types import ASGIApp

from gateway.front.protocol import Bounds
from tests.front.peers import PATIENT, Connect, Peer, served

PortOf = Callable[[ASGIApp, Bounds], int]


@pytest.fixture(scope="session")
def port_of() -> Iterator[PortOf]:
    with contextlib.ExitStack() as opened:
        ports: dict[tuple[ASGIApp, Bounds], int] = {}

        def port(app: ASGIApp, bounds: Bounds) -> int:
            if (app, bounds) not in ports:
                ports[app, bounds] = opened.enter_context(served(app, bounds))
            return ports[app, bounds]

        yield port


@pytest.fixture
def connect(port_of: PortOf) -> Iterator[Connect]:
    with contextlib.ExitStack() as opened:

        def serve(app: ASGIApp, bounds: Bounds = PATIENT, /) -> Callable[[], Peer]:
            port = port_of(app, bounds)
            return lambda: opened.enter_context(contextlib.closing(Peer(port)))

        yield serve

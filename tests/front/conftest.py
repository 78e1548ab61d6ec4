"""`connect(app)()` is a new connection to a server of `app`; an application is served once, for all tests that ask for it."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from starlette.types import ASGIApp

from tests.front.peers import Connect, Peer, served


@pytest.fixture(scope="session")
def port_of() -> Iterator[Callable[[ASGIApp], int]]:
    with contextlib.ExitStack() as opened:
        ports: dict[ASGIApp, int] = {}

        def port(app: ASGIApp) -> int:
            if app not in ports:
                ports[app] = opened.enter_context(served(app))
            return ports[app]

        yield port


@pytest.fixture
def connect(port_of: Callable[[ASGIApp], int]) -> Iterator[Connect]:
    with contextlib.ExitStack() as opened:

        def serve(app: ASGIApp) -> Callable[[], Peer]:
            port = port_of(app)
            return lambda: opened.enter_context(contextlib.closing(Peer(port)))

        yield serve

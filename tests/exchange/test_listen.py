"""Streams of changes and subscriptions: what ends leaves nothing behind, and what has ended is told nothing more."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.catalog.surface import View
from gateway.errors import BackendFailed, Kind, Refusal
from gateway.exchange.draft import Draft
from gateway.exchange.listen import Listener, Listeners
from gateway.exchange.parts import Bounds, Exchange, Ports
from gateway.exchange.subscribing import subscribed
from gateway.exchange.target import Target
from gateway.model import Caller, Identity, Message, Resource, Subject
from gateway.ports import Session
from gateway.wire.methods import Method

CALLER = Caller(Subject("user", Identity("urn:keys", "ada"), "api_key"), None, "127.0.0.1")
VIEW = View("default", ("crm",), {})
GUIDE = ("crm", "doc://guide")
TARGET = Target(Resource(type="resource", public_name="gw-crm+doc://guide", backend="crm", uri="doc://guide"), {}, "crm")


class World:
    """A backend that counts who watches what, and the streams in front of it."""

    def __init__(self) -> None:
        self.watched: Counter[tuple[str, str]] = Counter()
        self.asked = asyncio.Event()  # the backend was asked to watch something
        self.settles = asyncio.Event()  # and says that it does
        self.fails: BackendFailed | None = None
        self.listeners = Listeners(self._released)
        self.ports = cast(Ports, SimpleNamespace(backends=self, bounds=Bounds()))

    async def watch(self, backend: str, uri: str) -> None:
        self.watched[backend, uri] += 1
        self.asked.set()
        if self.fails is not None:
            raise self.fails
        await self.settles.wait()

    async def unwatch(self, backend: str, uri: str) -> None:
        self._released(backend, uri)

    def _released(self, backend: str, uri: str) -> None:
        self.watched[backend, uri] -= 1

    def watching(self) -> dict[tuple[str, str], int]:
        return {place: count for place, count in self.watched.items() if count}

    def subscribing(self, x: Exchange) -> asyncio.Future[None]:
        return asyncio.ensure_future(subscribed(self.ports, self.listeners, x, Draft(), TARGET))


def exchange(method: str, *, session: str | None = None) -> Exchange:
    era: Any = "modern" if session is None else "legacy"
    known = None if session is None else Session(session, CALLER.key, "default", "2025-11-25", {}, {})
    message = Message(era, "2026-07-28" if session is None else "2025-11-25", method, {}, id=1)
    return Exchange("e", message, Method(method, (era,), "listen"), CALLER, VIEW, None, 0, session=known)


def in_a_world(test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await test(World())

    asyncio.run(main())


def test_a_session_that_ended_while_its_subscription_was_decided_holds_nothing() -> None:
    async def test(world: World) -> None:
        world.settles.set()
        world.listeners.session_began("s")
        world.listeners.session_ended("s")
        with pytest.raises(Refusal) as refused:
            await world.subscribing(exchange("resources/subscribe", session="s"))
        assert refused.value.kind is Kind.UNKNOWN_SESSION
        assert (world.watching(), world.listeners.subscriptions("s")) == ({}, 0)

    in_a_world(test)


def test_a_session_that_ends_while_its_subscription_settles_lets_go_of_it() -> None:
    async def test(world: World) -> None:
        world.listeners.session_began("s")
        running = world.subscribing(exchange("resources/subscribe", session="s"))
        await world.asked.wait()
        assert world.watching() == {GUIDE: 1}
        world.listeners.session_ended("s")
        world.settles.set()
        await running
        assert (world.watching(), world.listeners.subscriptions("s")) == ({}, 0)

    in_a_world(test)


def test_the_stream_of_a_session_that_ended_while_it_was_decided_ends_at_once() -> None:
    async def test(world: World) -> None:
        world.listeners.session_began("s")
        world.listeners.session_began("other")
        world.listeners.session_ended("s")
        late, other = (Listener(exchange("GET", session=name), frozenset({"tools"})) for name in ("s", "other"))
        for listener in (late, other):
            world.listeners.open(listener)
        assert (late.ended, other.ended) == ("session", None)
        world.listeners.close(late)
        assert len(world.listeners) == 1

    in_a_world(test)


@pytest.mark.parametrize("ended", [False, True], ids=["the session goes on", "the session ended meanwhile"])
def test_a_subscription_that_its_client_cancels_does_not_stand(ended: bool) -> None:
    async def test(world: World) -> None:
        world.listeners.session_began("s")
        world.watched[GUIDE] = 1  # somebody else's
        running = world.subscribing(exchange("resources/subscribe", session="s"))
        await world.asked.wait()
        if ended:
            world.listeners.session_ended("s")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (world.watching(), world.listeners.subscriptions("s")) == ({GUIDE: 1}, 0)

    in_a_world(test)


def test_a_subscription_that_the_backend_refuses_does_not_stand() -> None:
    async def test(world: World) -> None:
        world.fails = BackendFailed("unreachable", "away", sent=False)
        world.listeners.session_began("s")
        with pytest.raises(Refusal) as refused:
            await world.subscribing(exchange("resources/subscribe", session="s"))
        assert refused.value.kind is Kind.BACKEND_FAILED
        assert (world.watching(), world.listeners.subscriptions("s")) == ({}, 0)

    in_a_world(test)

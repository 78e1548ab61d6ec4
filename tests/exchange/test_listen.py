"""Streams of changes and subscriptions: what ends leaves nothing behind, and what has ended is told nothing more."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from gateway.adapters.limits import MemoryLimiter
from gateway.catalog.surface import View
from gateway.errors import BackendFailed, Kind, Refusal
from gateway.exchange.draft import Draft
from gateway.exchange.listen import Listener, Listeners, changes, listened
from gateway.exchange.parts import Exchange
from gateway.exchange.pipeline import run
from gateway.exchange.standing import Standings
from gateway.exchange.subscribing import subscribed
from gateway.exchange.target import Target
from gateway.model import Caller, Change, Identity, Json, JsonObject, Message, Notice, Reply, Resource, Subject
from gateway.policy.contract import VERSION_1
from gateway.policy.extract import Extractions
from gateway.ports import Session, Verdict
from gateway.wire.methods import Method
from tests.exchange.ports import ports

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
        self.lines: list[Any] = []  # of the audit
        self.looked = asyncio.Semaphore(0)  # counts the looks at what a subject is shown
        self.looks = asyncio.Event()  # and lets them go on
        self.looks.set()
        self.standings = Standings(lambda caller, surface: surface not in self.revoked, lambda: "r1")
        self.revoked: set[str] = set()
        self.ports = ports(self, self.standings, limiter=MemoryLimiter())

    # as decider
    revision = "r1"
    contract = VERSION_1
    extractions = Extractions("r1")

    async def decide(self, document: bytes) -> Verdict:
        everything: list[Json] = list(range(len(json.loads(document)["input"]["resources"])))
        return Verdict(
            {
                "version": 1,
                "visible": everything,
                "allowed": everything,
                "granted_by": {"servers/crm/all": everything},
                "hidden_by": {},
                "denials": [],
                "obligations": [],
                "observed": {},
                "waived": [],
            },
            "r1",
        )

    def counted(self, **told: object) -> None:
        """Counted."""

    exchange = fired = decision = counted

    async def write(self, record: Any) -> None:
        self.lines.append(record)

    async def full_view(self, surface: str, caller: Caller) -> View:
        self.looked.release()
        await self.looks.wait()
        return VIEW

    def revoke(self) -> None:
        self.revoked.add("default")
        self.standings.look()

    def causes(self) -> list[str]:
        """Why streams ended, as it was recorded."""
        return [each["cause"] for each in self.lines]

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


def exchange(method: str, *, session: str | None = None, params: JsonObject | None = None) -> Exchange:
    era: Any = "modern" if session is None else "legacy"
    known = None if session is None else Session(session, CALLER.key, "default", "2025-11-25", {}, {})
    message = Message(era, "2026-07-28" if session is None else "2025-11-25", method, params or {}, id=1)
    return Exchange("e", message, Method(method, (era,), "listen"), CALLER, VIEW, None, 0, session=known)


def in_a_world(test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await test(World())

    asyncio.run(main())


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 — bounded by `in_a_world`; nothing tells of it
        await asyncio.sleep(0)


async def hears(world: World, listener: Listener) -> list[str]:
    """The methods of all that a stream tells until it ends."""
    return [notice.method async for notice in changes(world.ports, world.listeners, listener)]


async def standing(world: World, listener: Listener) -> asyncio.Task[list[str]]:
    """The stream once it waits for news; what it has seen of the tools is not what there is now."""
    world.listeners.session_began("s")
    hearing = asyncio.ensure_future(hears(world, listener))
    await world.looked.acquire()
    await until(lambda: "tools" in listener.seen)
    listener.looked.clear()
    listener.seen["tools"] = "older"
    return hearing


def stream() -> Listener:
    return Listener(exchange("GET", session="s"), frozenset({"tools"}), revision="r1")


def test_a_stream_is_told_of_what_changed() -> None:
    async def test(world: World) -> None:
        listener = stream()
        hearing = await standing(world, listener)
        listener.wake(("tools",))
        await until(lambda: listener.told == 1)
        world.listeners.session_ended("s")
        assert (await hearing, world.causes()) == (["notifications/tools/list_changed"], ["session"])

    in_a_world(test)


def test_a_revoked_stream_ends_though_its_turn_after_a_change_of_policy_has_not_come() -> None:
    async def test(world: World) -> None:
        listener = stream()
        hearing = await standing(world, listener)
        listener.wake(("tools",), spread_s=1_000_000.0)
        await until(lambda: not listener.woken.is_set())
        world.revoke()
        assert (await hearing, world.causes()) == ([], ["credential_revoked"])

    in_a_world(test)


def test_a_stream_that_is_revoked_while_its_news_is_decided_is_not_told_of_it() -> None:
    async def test(world: World) -> None:
        listener = stream()
        hearing = await standing(world, listener)
        world.looks.clear()
        listener.wake(("tools",))
        await world.looked.acquire()
        world.revoke()
        world.looks.set()
        assert (await hearing, world.causes()) == ([], ["credential_revoked"])

    in_a_world(test)


PAGES = {("crm", f"doc://pages/{number}"): f"gw-crm+doc://pages/{number}" for number in range(4)}
ACKNOWLEDGED = Notice(
    "notifications/subscriptions/acknowledged",
    {"notifications": {"resourceSubscriptions": list(PAGES.values())}, "_meta": {"io.modelcontextprotocol/subscriptionId": 1}},
)
COMPLETE = Reply(
    {
        "resultType": "complete",
        "_meta": {
            "io.modelcontextprotocol/subscriptionId": 1,
            "io.modelcontextprotocol/serverInfo": {"name": "gateway"},
        },
    }
)


def subscriptions(world: World) -> AsyncGenerator[Notice | Reply, None]:
    """What a modern client hears that wants to know of the pages."""
    listener = Listener(exchange("subscriptions/listen"), frozenset(), dict(PAGES), revision="r1")
    return listened(world.ports, world.listeners, listener.x, listener)


async def heard(events: AsyncGenerator[Notice | Reply, None]) -> list[Notice | Reply]:
    return [event async for event in events]


def test_all_resources_of_a_stream_are_watched_at_once_and_it_can_be_ended_from_the_first_moment() -> None:
    async def test(world: World) -> None:
        hearing = asyncio.ensure_future(heard(subscriptions(world)))
        await until(lambda: world.watching() == dict.fromkeys(PAGES, 1))
        assert (len(world.standings), hearing.done()) == (1, False)
        world.revoke()
        world.settles.set()
        assert await hearing == [COMPLETE]
        assert (world.causes(), world.watching(), len(world.standings)) == (["credential_revoked"], {}, 0)

    in_a_world(test)


def test_a_client_that_goes_away_before_its_resources_are_watched_leaves_no_watch_behind() -> None:
    async def test(world: World) -> None:
        world.watched.update(PAGES.keys())  # somebody else's
        events = subscriptions(world)
        hearing = asyncio.ensure_future(anext(events))
        await world.asked.wait()
        hearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hearing
        await events.aclose()
        assert (world.causes(), world.watching()) == (["client"], dict.fromkeys(PAGES, 1))
        assert (len(world.standings), len(world.listeners)) == (0, 0)

    in_a_world(test)


def test_a_backend_that_cannot_be_asked_is_told_of_the_end_of_a_watch_all_the_same() -> None:
    async def test(world: World) -> None:
        world.fails = BackendFailed("unreachable", "away", sent=False)
        events = subscriptions(world)
        assert await anext(events) == ACKNOWLEDGED
        assert world.watching() == dict.fromkeys(PAGES, 1)
        await events.aclose()
        assert (world.causes(), world.watching()) == (["client"], {})

    in_a_world(test)


def test_a_resource_that_is_dropped_while_it_is_watched_is_let_go_of_once() -> None:
    async def test(world: World) -> None:
        listener = Listener(exchange("subscriptions/listen"), frozenset(), dict(PAGES), revision="r1")
        events = listened(world.ports, world.listeners, listener.x, listener)
        hearing = asyncio.ensure_future(anext(events))
        await world.asked.wait()
        world.listeners.drop(listener, "gw-crm+doc://pages/0")
        world.settles.set()
        kept = [uri for uri in PAGES.values() if not uri.endswith("/0")]
        told = await hearing
        assert isinstance(told, Notice) and told.params["notifications"] == {"resourceSubscriptions": kept}
        await events.aclose()
        assert (world.watching(), min(world.watched.values())) == ({}, 0)

    in_a_world(test)


def test_a_stream_of_the_pipeline_that_is_closed_has_ended_when_the_closing_returns() -> None:
    async def test(world: World) -> None:
        world.settles.set()
        params: JsonObject = {"notifications": {"resourceSubscriptions": list(PAGES.values())}}
        events = run(world.ports, world.listeners, exchange("subscriptions/listen", params=params))
        assert await anext(events) == ACKNOWLEDGED
        assert world.watching() == dict.fromkeys(PAGES, 1)
        await events.aclose()
        assert (world.watching(), len(world.standings), len(world.listeners)) == ({}, 0, 0)
        assert [each["type"] for each in world.lines] == ["exchange", "stream"]

    in_a_world(test)


class Counted(str):
    """A URI that counts how often it was compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str(self) == other

    __hash__ = str.__hash__

    def startswith(self, *prefix: Any) -> bool:
        Counted.compared += 1
        return str(self).startswith(*prefix)


def test_an_update_is_compared_with_what_may_concern_it_and_not_with_all_that_anybody_watches() -> None:
    async def test(world: World) -> None:
        listeners = []
        for number in range(50):
            watched = {("crm", f"doc://{number}/{each}"): f"gw-crm+doc://{number}/{each}" for each in range(100)}
            listeners.append(Listener(exchange("subscriptions/listen"), frozenset(), watched))
            world.listeners.open(listeners[-1])
        Counted.compared = 0
        world.listeners.resource_updated(Change("crm", "updated", Counted("doc://other/1/2/3")))
        world.listeners.resource_updated(Change("crm", "updated", Counted("doc://7/1/page")))
        told = [number for number, listener in enumerate(listeners) if listener.updated]
        assert (told, listeners[7].updated, Counted.compared < 10) == ([7], {"gw-crm+doc://7/1/page"}, True)

    in_a_world(test)


def test_a_stream_is_told_of_what_it_watches_now_and_of_what_it_watched_no_more() -> None:
    async def test(world: World) -> None:
        world.listeners.session_began("s")
        world.listeners.subscribe("s", "gw-crm+doc://a", ("crm", "doc://a"))
        listener = Listener(exchange("GET", session="s"), frozenset())
        world.listeners.open(listener)
        world.listeners.subscribe("s", "gw-crm+doc://b/", ("crm", "doc://b/"))

        def told(*uris: str) -> set[str]:
            listener.updated.clear()
            for uri in uris:
                world.listeners.resource_updated(Change("crm", "updated", uri))
            return set(listener.updated)

        assert told("doc://a", "doc://b/1", "doc://b", "doc://c") == {"gw-crm+doc://a", "gw-crm+doc://b/1"}
        world.listeners.unsubscribe("s", "gw-crm+doc://a")
        assert told("doc://a", "doc://b/1") == {"gw-crm+doc://b/1"}
        world.listeners.drop(listener, "gw-crm+doc://b/")
        assert told("doc://a", "doc://b/1") == set()
        world.listeners.subscribe("s", "gw-crm+doc://a", ("crm", "doc://a"))
        assert told("doc://a/1") == {"gw-crm+doc://a/1"}
        world.listeners.close(listener)
        assert told("doc://a/1") == set()

    in_a_world(test)


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

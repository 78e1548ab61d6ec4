"""What is open is reviewed a few at a time, so no review waits for a backend that hangs where what it lists is known."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from gateway.catalog.surface import View
from gateway.exchange.listen import Listener, Listeners, changes
from gateway.exchange.memory import ListMemory
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.reviewing import BLOCKS, as_known_now
from gateway.exchange.standing import Standings
from gateway.model import Caller, Identity, Json, Message, Subject
from gateway.policy.contract import VERSION_1
from gateway.ports import Verdict
from gateway.wire.methods import Method

CALLER = Caller(Subject("user", Identity("urn:keys", "ada"), "api_key"), None, "127.0.0.1")
OLD = View("default", ("own", "shared"), {})
KNOWN = View("default", ("own", "shared"), {}, instructions="known")
FULL = View("default", ("own", "shared"), {}, instructions="full")


class World:
    """Backend `own` lists for each subject; what is known of it is `known`, and to have all of it takes forever, or is told."""

    def __init__(self, known: View, full: View | None = None) -> None:
        self._known, self._full = known, full
        self.lines: list[Any] = []
        self.standings = Standings(lambda caller, surface: True, lambda: "r2")
        self.ports = cast(
            Ports,
            SimpleNamespace(
                **dict.fromkeys(("decider", "backends", "catalogs", "audit", "meter"), self),
                memory=ListMemory(),
                list_turns=asyncio.Semaphore(4),
                questions=None,
                standings=self.standings,
                now_ns=lambda: 7,
            ),
        )

    # as decider: the caller is blocked
    contract, revision = VERSION_1, "r2"

    async def decide(self, document: bytes) -> Verdict:
        everything: list[Json] = list(range(len(json.loads(document)["input"]["resources"])))
        empty: dict[str, Json] = {"granted_by": {}, "denials": [], "obligations": [], "observed": {}, "waived": []}
        return Verdict({"version": 1, "visible": [], "allowed": [], "hidden_by": {BLOCKS: everything}, **empty}, "r2")

    # as catalogs and backends
    def view(self, surface: str, caller: Caller) -> View:
        return self._known

    async def full_view(self, surface: str, caller: Caller) -> View:
        if self._full is None:
            await asyncio.Event().wait()
        assert self._full is not None
        return self._full

    def scope(self, backend: str, owner: str) -> str:
        return owner if backend == "own" else ""

    # as audit and meter
    async def write(self, record: Any) -> None:
        self.lines.append(record)

    def counted(self, **told: object) -> None:
        """Counted."""

    undecided = decision = counted

    async def reviewed(self) -> Exchange:
        async with asyncio.timeout(10):
            return await as_known_now(self.ports, exchange())


def exchange() -> Exchange:
    message = Message("modern", "2026-07-28", "subscriptions/listen", {}, id=1)
    return Exchange("e", message, Method("subscriptions/listen", ("modern",), "listen"), CALLER, OLD, None, 0)


def test_a_review_goes_by_what_is_known_and_waits_for_no_backend() -> None:
    now = asyncio.run(World(KNOWN).reviewed())
    assert (now.view, now.started_ns) == (KNOWN, 7)


def test_a_review_waits_for_the_lists_of_a_caller_of_which_nothing_is_known() -> None:
    missing = View("default", ("own", "shared"), {}, missing=("own",))
    assert asyncio.run(World(missing, FULL).reviewed()).view is FULL


def test_a_review_does_not_wait_for_a_backend_that_no_caller_is_needed_to_ask() -> None:
    missing = View("default", ("own", "shared"), {}, missing=("shared",))
    assert asyncio.run(World(missing).reviewed()).view is missing


def test_a_blocked_callers_stream_ends_though_its_backend_hangs() -> None:
    async def main() -> None:
        world = World(KNOWN)
        listener = Listener(exchange(), frozenset(), revision="r1")
        watching = asyncio.ensure_future(world.standings.watch())
        try:
            async with asyncio.timeout(10):
                told = [notice.method async for notice in changes(world.ports, Listeners(lambda backend, uri: None), listener)]
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        assert told == ["notifications/subscriptions/acknowledged"]
        assert [(line["event"], line["cause"]) for line in world.lines] == [("ended", "revoked")]

    asyncio.run(main())

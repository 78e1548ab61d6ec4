"""A backend that lists for each subject: what is fetched as one caller is that caller's, and costs nobody else anything."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.catalogs import CatalogChange, Ears, Freshness, LiveCatalogs
from gateway.adapters.catalogs.own import AT_ONCE, SHORT_WAIT_S
from gateway.catalog.surface import SurfaceSpec
from gateway.errors import BackendFailed, Unrecorded
from gateway.model import BackendMessage, Caller, Change, Identity, ItemType, JsonObject, Listing, Outgoing, Subject

WAIT_S = 5.0
ISSUER = "https://id.example"
SURFACES = (SurfaceSpec("default", ("desk", "wiki")), SurfaceSpec("wiki", ("wiki",)))
SLOW = Freshness()


def who(name: str, *, agent: str | None = "cli", scopes: tuple[str, ...] = ()) -> Caller:
    return Caller(Subject("user", Identity(ISSUER, name), "jwt", scopes=scopes), agent, "192.0.2.1", token=f"token of {name}")


ANN, BOB = who("ann"), who("bob")


def ann(**more: Any) -> Caller:
    return replace(ANN, subject=replace(ANN.subject, **more))


class Offers:
    """`wiki` lists the same for everybody, `desk` what a table says of whoever asks; it can fail, and be made to wait."""

    def __init__(self, **tools: tuple[str, ...]) -> None:
        self.tools = {"": ("page",), **tools}
        self.down: dict[str, Exception] = {}
        self.waiting: dict[str, asyncio.Event] = {}
        self.walks: Counter[str] = Counter()
        self.asked_as: list[Caller] = []
        self.at_once = self.most_at_once = 0

    def scope(self, backend: str, owner: str) -> str:
        return owner if backend == "desk" else ""

    async def page(self, backend: str, type: ItemType, cursor: str | None, caller: Caller | None) -> Listing:
        assert (backend == "desk") == (caller is not None)
        name = caller.subject.identity.id if caller is not None else ""
        if caller is not None and type == "tool":
            self.walks[name] += 1
            self.asked_as.append(caller)
        names = self.tools[name] if type == "tool" else ()
        if (gate := self.waiting.get(name)) is not None:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await gate.wait()
            finally:
                self.at_once -= 1
        if name in self.down:
            raise self.down[name]
        raw: tuple[JsonObject, ...] = tuple({"name": each, "inputSchema": {"type": "object"}} for each in names)
        return Listing(backend, type, raw, "modern")

    def forward(self, request: Outgoing) -> AsyncIterator[BackendMessage]:
        raise AssertionError("a catalog lists, it never calls")

    async def watch(self, backend: str, uri: str) -> None:
        raise AssertionError

    async def unwatch(self, backend: str, uri: str) -> None:
        raise AssertionError


class Stage:
    """The catalogs of these backends, what they told, and for whom they said that they would ask."""

    def __init__(self, offers: Offers, freshness: Freshness) -> None:
        self.told: list[CatalogChange] = []
        self.recorded: list[tuple[str, Caller]] = []
        self.full = False  # the audit's disk
        self.catalogs = LiveCatalogs(offers, ("desk", "wiki"), SURFACES, freshness, Ears(self.told.append, self.asking))

    async def asking(self, backend: str, caller: Caller) -> None:
        if self.full:
            raise Unrecorded
        self.recorded.append((backend, caller))

    async def names(self, caller: Caller) -> list[str]:
        return [item.id for item in (await self.catalogs.full_view("default", caller)).items["tool"]]

    def names_now(self, caller: Caller) -> list[str]:
        return [item.id for item in self.catalogs.view("default", caller).items["tool"]]

    def missing(self, caller: Caller) -> tuple[str, ...]:
        return self.catalogs.view("default", caller).missing

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110 — what is waited for has no event of its own
                await asyncio.sleep(0.005)

    async def until_listed(self, caller: Caller, names: list[str]) -> None:
        async with asyncio.timeout(WAIT_S):
            while await self.names(caller) != names:  # noqa: ASYNC110 — asking is what has it fetched
                await asyncio.sleep(0.005)


Body = Callable[[Stage], Coroutine[Any, Any, None]]


def live(offers: Offers, body: Body, freshness: Freshness = SLOW) -> Stage:
    async def main() -> Stage:
        stage = Stage(offers, freshness)
        try:
            await stage.catalogs.start()
            await stage.catalogs.started(WAIT_S)
            async with asyncio.timeout(2 * WAIT_S):
                await body(stage)
        finally:
            await stage.catalogs.close()
        return stage

    return asyncio.run(main())


async def within(limit_s: float, work: Awaitable[Any]) -> Any:
    begun_s = time.monotonic()
    result = await work
    assert time.monotonic() - begun_s < limit_s
    return result


def test_each_caller_sees_what_the_backend_lists_for_it_beside_what_is_everybodys() -> None:
    offers = Offers(ann=("mail", "notes"), bob=("notes",))

    async def body(stage: Stage) -> None:
        assert await stage.names(ANN) == ["desk__mail", "desk__notes", "wiki__page"]
        assert await stage.names(BOB) == ["desk__notes", "wiki__page"]
        assert await stage.names(ANN) == ["desk__mail", "desk__notes", "wiki__page"]
        assert (stage.missing(ANN), stage.missing(BOB)) == ((), ())

    stage = live(offers, body)
    assert [(caller.key, caller.token) for caller in offers.asked_as] == [(each.key, each.token) for each in (ANN, BOB)]
    assert stage.recorded == [("desk", ANN), ("desk", BOB)]
    assert offers.walks == {"ann": 1, "bob": 1}


def test_nothing_is_fetched_before_somebody_asks_and_who_does_not_wait_is_told_what_is_missing() -> None:
    offers = Offers(ann=("mail",))

    async def body(stage: Stage) -> None:
        assert (stage.names_now(ANN), stage.missing(ANN)) == (["wiki__page"], ("desk",))
        assert offers.walks == {}

    live(offers, body)


def test_a_surface_without_such_a_backend_is_one_view_for_everybody() -> None:
    async def body(stage: Stage) -> None:
        assert await stage.catalogs.full_view("wiki", ANN) is await stage.catalogs.full_view("wiki", BOB)

    stage = live(Offers(), body)
    assert stage.recorded == []


def test_a_crowd_of_one_callers_requests_is_one_fetch() -> None:
    offers = Offers(ann=("mail",))
    offers.waiting["ann"] = asyncio.Event()

    async def body(stage: Stage) -> None:
        asked = [asyncio.create_task(stage.names(ANN)) for _ in range(16)]
        await stage.until(lambda: offers.walks["ann"] == 1)
        offers.waiting.pop("ann").set()
        assert await asyncio.gather(*asked) == [["desk__mail", "wiki__page"]] * 16

    live(offers, body)
    assert offers.walks == {"ann": 1}


def test_who_began_a_fetch_may_go_away_and_the_others_still_get_it() -> None:
    offers = Offers(ann=("mail",))
    offers.waiting["ann"] = asyncio.Event()

    async def body(stage: Stage) -> None:
        first, second = asyncio.create_task(stage.names(ANN)), asyncio.create_task(stage.names(ANN))
        await stage.until(lambda: offers.walks["ann"] == 1)
        first.cancel()
        offers.waiting.pop("ann").set()
        assert await second == ["desk__mail", "wiki__page"]

    live(offers, body)
    assert offers.walks == {"ann": 1}


def test_a_fetch_that_fails_costs_its_own_caller_that_backends_items_and_no_other_list_stands_in() -> None:
    offers = Offers(ann=("mail",), bob=("notes",))
    offers.down["bob"] = BackendFailed("status", "500", sent=True)

    async def body(stage: Stage) -> None:
        assert await stage.names(ANN) == ["desk__mail", "wiki__page"]
        assert (await stage.names(BOB), stage.missing(BOB)) == (["wiki__page"], ("desk",))
        assert stage.missing(ANN) == ()
        assert (await within(0.4, stage.names(BOB)), offers.walks["bob"]) == (["wiki__page"], 1)  # not asked at once again
        offers.down.clear()
        await stage.until_listed(BOB, ["desk__notes", "wiki__page"])

    live(offers, body)


def test_what_cannot_be_recorded_is_not_asked() -> None:
    offers = Offers(ann=("mail",))

    async def body(stage: Stage) -> None:
        stage.full = True
        assert (await stage.names(ANN), stage.missing(ANN)) == (["wiki__page"], ("desk",))
        assert offers.walks == {}
        stage.full = False
        await stage.until_listed(ANN, ["desk__mail", "wiki__page"])

    live(offers, body)


FAST = Freshness(refresh_s=0.2, stale_s=1.0)


@pytest.mark.parametrize("cause", ["unauthorized", "credential"])
def test_a_caller_whose_credential_is_refused_loses_its_list_at_once(cause: str) -> None:
    offers = Offers(ann=("mail",), bob=("notes",))

    async def body(stage: Stage) -> None:
        assert await stage.names(ANN) == ["desk__mail", "wiki__page"]
        assert await stage.names(BOB) == ["desk__notes", "wiki__page"]
        offers.down["ann"] = BackendFailed(cause, sent=False)
        stage.catalogs.refresh(Change("desk", "tools"))
        await stage.until_listed(ANN, ["wiki__page"])
        assert stage.missing(ANN) == ("desk",)
        assert await stage.names(BOB) == ["desk__notes", "wiki__page"]

    live(offers, body)


def test_a_list_outlives_its_backend_for_stale_s_and_grants_nothing_meanwhile() -> None:
    offers = Offers(ann=("mail",))

    async def body(stage: Stage) -> None:
        assert await stage.names(ANN) == ["desk__mail", "wiki__page"]
        offers.down["ann"] = BackendFailed("unreachable", sent=False)
        walks, gone_s = offers.walks["ann"], time.monotonic()
        while await stage.names(ANN) != ["wiki__page"]:  # noqa: ASYNC110 — asking is what has it fetched
            await asyncio.sleep(0.01)
        assert offers.walks["ann"] > walks
        assert FAST.stale_s - 0.2 < time.monotonic() - gone_s < FAST.stale_s + 5.0
        assert stage.missing(ANN) == ("desk",)

    live(offers, body, FAST)


def test_a_list_in_use_is_fetched_again_before_it_is_old_so_that_nobody_waits() -> None:
    offers = Offers(ann=("mail",))

    async def body(stage: Stage) -> None:
        await stage.names(ANN)
        offers.waiting["ann"] = asyncio.Event()
        async with asyncio.timeout(WAIT_S):
            while offers.walks["ann"] == 1:
                assert await within(0.05, stage.names(ANN)) == ["desk__mail", "wiki__page"]
                await asyncio.sleep(0.005)
        offers.tools["ann"] = ("mail", "new")
        offers.waiting.pop("ann").set()
        await stage.until(lambda: stage.names_now(ANN) == ["desk__mail", "wiki__page"])

    live(offers, body, replace(FAST, refresh_s=0.5))


def test_an_old_list_is_waited_for_and_not_shown_again() -> None:
    offers = Offers(ann=("mail",))

    async def body(stage: Stage) -> None:
        await stage.names(ANN)
        begun_s = time.monotonic()
        await stage.until(lambda: time.monotonic() - begun_s > 0.25)
        assert offers.walks["ann"] == 1  # nobody asked
        offers.tools["ann"] = ("new",)
        assert await stage.names(ANN) == ["desk__new", "wiki__page"]

    live(offers, body, FAST)


def test_a_backend_that_hangs_costs_one_bounded_wait_and_the_next_caller_a_shorter_one() -> None:
    offers = Offers(ann=("mail",), bob=("notes",))
    offers.waiting = {"ann": asyncio.Event(), "bob": asyncio.Event()}
    freshness = Freshness(scope_wait_s=1.0)

    async def body(stage: Stage) -> None:
        begun_s = time.monotonic()
        assert (await stage.names(ANN), stage.missing(ANN)) == (["wiki__page"], ("desk",))
        assert 0.9 < time.monotonic() - begun_s < 5.0
        await within(0.1, stage.names(ANN))  # this fetch is not worth a second wait
        await within(SHORT_WAIT_S + 0.3, stage.names(BOB))
        offers.waiting.pop("ann").set()
        await stage.until(lambda: stage.names_now(ANN) == ["desk__mail", "wiki__page"])
        assert [(change.owner, change.kinds, change.detail) for change in stage.told if change.owner] == [
            (ANN.key, ("tools",), {})
        ]  # its open streams learn of what came late

    live(offers, body, freshness)


def test_a_credential_that_cannot_be_had_in_time_costs_one_long_wait_and_each_next_caller_a_short_one() -> None:
    offers = Offers(ann=("mail",), bob=("notes",), carl=("todo",))
    offers.waiting = {"ann": asyncio.Event(), "bob": asyncio.Event()}
    offers.down = {"ann": BackendFailed("credential", "it could not be had in time", sent=False)}

    async def body(stage: Stage) -> None:
        asked = asyncio.create_task(stage.names(ANN))
        await stage.until(lambda: offers.walks["ann"] == 1)
        asyncio.get_running_loop().call_later(SHORT_WAIT_S + 0.1, offers.waiting["ann"].set)  # the token endpoint's time-out
        assert (await asked, stage.missing(ANN)) == (["wiki__page"], ("desk",))
        await within(SHORT_WAIT_S + 0.3, stage.names(BOB))
        assert await stage.names(who("carl")) == ["desk__todo", "wiki__page"]  # it answers again
        await offers_again(stage, offers)

    async def offers_again(stage: Stage, offers: Offers) -> None:
        """A caller who comes now waits until the lists are there."""
        offers.tools["dora"], offers.waiting["dora"] = ("chat",), asyncio.Event()
        asked = asyncio.create_task(stage.names(who("dora")))
        await stage.until(lambda: offers.walks["dora"] == 1)
        asyncio.get_running_loop().call_later(SHORT_WAIT_S + 0.1, offers.waiting["dora"].set)
        assert await asked == ["desk__chat", "wiki__page"]

    live(offers, body, Freshness(scope_wait_s=3.0))


def test_many_callers_at_once_are_a_queue_at_the_backend() -> None:
    people = [who(f"user{number}") for number in range(3 * AT_ONCE)]
    offers = Offers(**{each.subject.identity.id: ("mail",) for each in people})
    gate = asyncio.Event()
    offers.waiting = {each.subject.identity.id: gate for each in people}

    async def body(stage: Stage) -> None:
        asked = [asyncio.create_task(stage.names(each)) for each in people]
        await stage.until(lambda: offers.at_once == AT_ONCE)
        gate.set()
        assert await asyncio.gather(*asked) == [["desk__mail", "wiki__page"]] * len(people)

    live(offers, body)
    assert offers.most_at_once == AT_ONCE


def test_the_least_used_list_is_forgotten_and_fetched_again_when_it_is_needed() -> None:
    carl = who("carl")
    offers = Offers(ann=("mail",), bob=("notes",), carl=("todo",))

    async def body(stage: Stage) -> None:
        for caller in (ANN, BOB, ANN, carl):
            await stage.names(caller)
        assert offers.walks == {"ann": 1, "bob": 1, "carl": 1}
        assert (stage.names_now(ANN), stage.names_now(BOB)) == (["desk__mail", "wiki__page"], ["wiki__page"])
        assert await stage.names(BOB) == ["desk__notes", "wiki__page"]
        assert offers.walks == {"ann": 1, "bob": 2, "carl": 1}

    live(offers, body, Freshness(scopes_kept=2))


def test_a_flood_of_new_callers_ends_no_fetch_that_is_under_way() -> None:
    offers = Offers(ann=("mail",), bob=("notes",))
    offers.waiting["ann"] = asyncio.Event()

    async def body(stage: Stage) -> None:
        asked = asyncio.create_task(stage.names(ANN))
        await stage.until(lambda: offers.walks["ann"] == 1)
        assert (await within(0.2, stage.names(BOB)), stage.missing(BOB)) == (["wiki__page"], ("desk",))
        offers.waiting.pop("ann").set()
        assert await asked == ["desk__mail", "wiki__page"]
        assert await stage.names(BOB) == ["desk__notes", "wiki__page"]

    live(offers, body, Freshness(scopes_kept=1))
    assert offers.walks == {"ann": 1, "bob": 1}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(who("ann", scopes=("read",)), id="with a narrower token"),
        pytest.param(who("ann", agent="other"), id="through another agent"),
        pytest.param(replace(ANN, subject=replace(ANN.subject, identity=Identity("https://other", "ann"))), id="elsewhere"),
        pytest.param(replace(ANN, subject=replace(ANN.subject, authentication="asserted")), id="only asserted"),
        pytest.param(ann(actors=(Identity(ISSUER, "robot"),)), id="with somebody who acts for her"),
        pytest.param(ann(groups=("finance",)), id="in another group"),
        pytest.param(ann(claims={"tenant": "b"}), id="with another claim"),
        pytest.param(ann(assurance={"acr": "silver"}), id="who logged in otherwise"),
    ],
)
def test_what_one_credential_listed_is_not_another_ones(other: Caller) -> None:
    offers = Offers(ann=("mail",))

    async def body(stage: Stage) -> None:
        await stage.names(replace(ANN, subject=replace(ANN.subject, scopes=("read", "write"))))
        await stage.names(ANN)
        offers.down["ann"] = BackendFailed("unauthorized", sent=False)
        assert (await stage.names(other), stage.missing(other)) == (["wiki__page"], ("desk",))
        assert await stage.names(ANN) == ["desk__mail", "wiki__page"]

    live(offers, body)


def test_a_refreshed_token_of_the_same_rights_finds_the_list_that_was_fetched_with_the_old_one() -> None:
    offers = Offers(ann=("mail",))
    old = ann(groups=("a", "b"), claims={"x": 1, "y": {"p": 1, "q": 2}}, assurance={"acr": "gold", "token_issued_ns": 1})
    new = ann(groups=("b", "a"), claims={"y": {"q": 2, "p": 1}, "x": 1}, assurance={"acr": "gold", "token_issued_ns": 2})

    async def body(stage: Stage) -> None:
        assert await stage.names(old) == ["desk__mail", "wiki__page"]
        assert await stage.names(replace(new, token="another", expires_at_s=9e9)) == ["desk__mail", "wiki__page"]

    live(offers, body)
    assert offers.walks == {"ann": 1}


def test_a_change_at_the_backend_reaches_only_the_caller_whose_list_it_changed() -> None:
    offers = Offers(ann=("mail",), bob=("notes",))

    async def body(stage: Stage) -> None:
        await stage.names(ANN)
        await stage.names(BOB)
        bobs = stage.catalogs.view("default", BOB)
        del stage.told[:]
        offers.tools["ann"] = ("mail", "new")
        stage.catalogs.refresh(Change("desk", "tools"))
        await stage.until(lambda: bool(stage.told))
        assert stage.told == [CatalogChange("", "", ("default",), ("tools", "prompts", "resources"), (), {})]  # look again
        del stage.told[:]
        assert await stage.names(ANN) == ["desk__mail", "desk__new", "wiki__page"]
        assert await stage.names(BOB) == ["desk__notes", "wiki__page"]
        assert stage.catalogs.view("default", BOB).items["tool"] is bobs.items["tool"]
        (change,) = stage.told
        assert (change.surfaces, change.kinds, change.counts, change.owner) == (("default",), ("tools",), (), ANN.key)
        assert change.detail == {
            "backend": "desk",
            "subject": {"issuer": ISSUER, "id": "ann"},
            "agent": "cli",
            "added": ["desk__new"],
        }

    live(offers, body)
    assert offers.walks == {"ann": 2, "bob": 2}


def test_a_list_that_was_on_its_way_when_it_changed_is_fetched_once_more() -> None:
    offers = Offers(ann=("mail",))
    offers.waiting["ann"] = asyncio.Event()

    async def body(stage: Stage) -> None:
        asked = asyncio.create_task(stage.names(ANN))
        await stage.until(lambda: offers.walks["ann"] == 1)
        offers.tools["ann"] = ("new",)
        stage.catalogs.refresh(Change("desk", "tools"))
        await stage.until(lambda: any(not change.owner and not change.counts for change in stage.told))
        offers.waiting.pop("ann").set()
        assert await asked == ["desk__mail", "wiki__page"]
        assert await stage.names(ANN) == ["desk__new", "wiki__page"]

    live(offers, body)


def test_a_view_is_the_same_as_long_as_nothing_in_it_changes_and_equal_lists_are_kept_once() -> None:
    offers = Offers(ann=("mail", "notes"), bob=("mail", "notes"), carl=("mail", "other"))

    async def body(stage: Stage) -> None:
        anns, bobs = [await stage.catalogs.full_view("default", caller) for caller in (ANN, BOB)]
        assert await stage.catalogs.full_view("default", ANN) is anns
        assert anns.items["tool"] is bobs.items["tool"]
        assert anns.by_name is bobs.by_name
        carls = await stage.catalogs.full_view("default", who("carl"))
        assert [item.id for item in carls.items["tool"]] == ["desk__mail", "desk__other", "wiki__page"]
        assert carls.items["tool"][0] is anns.items["tool"][0]

    live(offers, body)


def test_a_fault_of_ours_leaves_no_list_in_force_and_heals_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    offers = Offers(ann=("mail",))

    async def body(stage: Stage) -> None:
        await stage.names(ANN)
        offers.down["ann"] = RuntimeError("a bug")
        await stage.until_listed(ANN, ["wiki__page"])
        offers.down.clear()
        await stage.until_listed(ANN, ["desk__mail", "wiki__page"])

    live(offers, body, FAST)
    assert "background task lists of desk for one caller crashed" in caplog.messages


def test_a_backend_that_fails_everybody_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    people = [who(f"user{number}") for number in range(20)]
    offers = Offers(**{each.subject.identity.id: () for each in people})
    offers.down = {each.subject.identity.id: BackendFailed("unreachable", "refused", sent=False) for each in people}

    async def body(stage: Stage) -> None:
        for each in people:
            await stage.names(each)

    live(offers, body)
    assert caplog.messages == ["the items of desk cannot be fetched for a caller: unreachable: refused"]


def test_while_it_stays_empty_handed_a_backend_is_asked_ever_less_often() -> None:
    offers = Offers(ann=("mail",))
    offers.down["ann"] = BackendFailed("unreachable", sent=False)

    async def body(stage: Stage) -> None:
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < 1.8:
            assert await stage.names(ANN) == ["wiki__page"]
            await asyncio.sleep(0.005)

    live(offers, body)
    assert offers.walks["ann"] in {2, 3}  # at 0, 0.5 and 1.5 s


def test_the_gateway_s_end_ends_what_is_on_its_way() -> None:
    offers = Offers(ann=("mail",))
    offers.waiting["ann"] = asyncio.Event()

    async def body(stage: Stage) -> None:
        asked = asyncio.create_task(stage.names(ANN))
        await stage.until(lambda: offers.walks["ann"] == 1)
        await stage.catalogs.close()
        assert await asked == ["wiki__page"]

    live(offers, body)


PEOPLE = (ANN, BOB, who("ann", agent="other"), who("carl"))
NAMES = ("ann", "bob", "carl")
OPERATION = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("look"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("list"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("hold"), st.sampled_from(NAMES)),
    st.tuples(st.just("let go"), st.sampled_from(NAMES)),
    st.tuples(st.just("break"), st.sampled_from(NAMES), st.sampled_from(("unreachable", "unauthorized"))),
    st.tuples(st.just("mend"), st.sampled_from(NAMES)),
    st.tuples(st.just("change")),
    st.tuples(st.just("moment")),
    st.tuples(st.just("turn")),
)


@settings(max_examples=60, deadline=None)
@given(operations=st.lists(OPERATION, min_size=5, max_size=40), kept=st.integers(1, 4))
def test_in_any_order_of_anything_nobody_sees_what_was_listed_to_another(operations: list[tuple[Any, ...]], kept: int) -> None:
    """What is listed to `ann` is called `common` or after `ann`, and so on: a stray name shows at once."""
    offers = Offers(**{name: ("common", f"{name}_0") for name in NAMES})

    def check(stage: Stage, caller: Caller, ids: list[str]) -> None:
        own = caller.subject.identity.id
        assert {each.removeprefix("desk__").partition("_")[0] for each in ids if each.startswith("desk__")} <= {"common", own}
        assert ("desk" in stage.missing(caller)) == (not any(each.startswith("desk__") for each in ids))

    async def body(stage: Stage) -> None:
        asked: list[asyncio.Task[list[str]]] = []
        for name, *told in operations:
            match name, told:
                case "ask", [caller]:
                    asked.append(asyncio.create_task(stage.names(caller)))
                case "look", [caller]:
                    check(stage, caller, stage.names_now(caller))
                case "list", [whose, number]:
                    offers.tools[whose] = ("common", *(f"{whose}_{each}" for each in range(number)))
                case "hold", [whose]:
                    offers.waiting.setdefault(whose, asyncio.Event())
                case "let go", [whose] if whose in offers.waiting:
                    offers.waiting.pop(whose).set()
                case "break", [whose, cause]:
                    offers.down[whose] = BackendFailed(cause, sent=True)
                case "mend", [whose]:
                    offers.down.pop(whose, None)
                case "change", []:
                    stage.catalogs.refresh(Change("desk", "tools"))
                case "moment", []:
                    await asyncio.sleep(0.06)  # a change is heard, and a wait is over
                case _:
                    await asyncio.sleep(0)
            for caller in PEOPLE:
                check(stage, caller, stage.names_now(caller))
        for gate in offers.waiting.values():
            gate.set()
        await asyncio.gather(*asked)
        for caller in PEOPLE:
            check(stage, caller, stage.names_now(caller))

    live(offers, body, Freshness(scopes_kept=kept, scope_wait_s=0.05))

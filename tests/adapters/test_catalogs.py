"""The living catalog: every backend by itself, healed when it comes back, missing when it is gone too long, told once."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest

from gateway.adapters.catalogs import BURST, MAX_TOLD, CatalogChange, Ears, Freshness, LiveCatalogs, Patience
from gateway.catalog.surface import SurfaceError, SurfaceSpec
from gateway.errors import BackendFailed
from gateway.model import BackendMessage, Caller, Change, Identity, ItemType, JsonObject, Listing, Outgoing, Subject

WAIT_S = 5.0
ALL = SurfaceSpec("default", ("crm", "wiki"))
CRM = SurfaceSpec("crm", ("crm",))
WIKI = SurfaceSpec("wiki", ("wiki",))
ADA = Caller(Subject("user", Identity("https://id.example", "ada"), "jwt"), "cli", "192.0.2.1")


class Offers:
    """Backends whose lists are a table: pages of tool names by backend, an error instead, or a wait."""

    def __init__(self, **tools: Sequence[Sequence[str]]) -> None:
        self.tools: dict[str, Sequence[Sequence[str]]] = dict(tools)
        self.down: dict[str, Exception] = {}
        self.hung: set[str] = set()
        self.ttl_ms = 0
        self.loops = False
        self.walks: dict[str, int] = {}

    def scope(self, backend: str, owner: str) -> str:
        return ""

    async def page(self, backend: str, type: ItemType, cursor: str | None, caller: Caller | None) -> Listing:
        if backend in self.hung:
            await asyncio.Event().wait()
        if type == "tool" and cursor is None:
            self.walks[backend] = self.walks.get(backend, 0) + 1
        number = len(cursor) + 1 if cursor is not None else 0  # the first cursor is "", which is one like any other
        if backend in self.down and (type, number) == ("tool", len(self.tools[backend]) - 1):
            raise self.down[backend]
        pages = self.tools[backend] if type == "tool" else [[]]
        names = pages[min(number, len(pages) - 1)]
        following = "x" * number if number + 1 < len(pages) else None
        if self.loops and type == "tool":
            following = "x"
        raw: tuple[JsonObject, ...] = tuple({"name": name, "inputSchema": {"type": "object"}} for name in names)
        return Listing(backend, type, raw, "modern", self.ttl_ms, following)

    def forward(self, request: Outgoing) -> AsyncIterator[BackendMessage]:
        raise AssertionError("a catalog lists, it never calls")

    async def watch(self, backend: str, uri: str) -> None:
        raise AssertionError

    async def unwatch(self, backend: str, uri: str) -> None:
        raise AssertionError


async def unasked(backend: str, caller: Caller) -> None:
    raise AssertionError("nobody's own lists are fetched here")


def ears(told: "Told") -> Ears:
    return Ears(told.append, unasked)


class Told(list[CatalogChange]):
    """What a listener was told, and a way to wait for more."""

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110 — what is waited for has no event of its own
                await asyncio.sleep(0.005)


SLOW = Freshness(refresh_s=60.0, stale_s=300.0)
FAST = Freshness(refresh_s=0.05, stale_s=0.4)
Body = Callable[[LiveCatalogs, Told], Coroutine[Any, Any, None]]


def live(offers: Offers, body: Body, *, surfaces: Sequence[SurfaceSpec] = (ALL, CRM, WIKI), freshness: Freshness = SLOW) -> Told:
    """Run `body` with a catalog of these backends that has started."""

    async def main() -> Told:
        told = Told()
        catalogs = LiveCatalogs(offers, tuple(offers.tools), surfaces, freshness, ears(told))
        try:
            await catalogs.start()
            await catalogs.started(WAIT_S)
            await body(catalogs, told)
        finally:
            await catalogs.close()
        return told

    return asyncio.run(main())


def names(catalogs: LiveCatalogs, surface: str = "default") -> list[str]:
    return [item.public_name for item in catalogs.view(surface, ADA).items["tool"]]


def test_everything_that_the_backends_offer_is_there_after_the_start_and_told_once_each() -> None:
    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert names(catalogs) == ["crm__a", "crm__b", "wiki__a"]
        assert catalogs.view("default", ADA).missing == ()

    told = live(Offers(crm=[["b"], ["a"]], wiki=[["a"]]), body)
    crm, wiki = sorted(told, key=lambda change: str(change.detail["backend"]))
    assert crm == CatalogChange(
        before=crm.before,
        after=crm.after,
        surfaces=("default", "crm"),
        kinds=("tools",),
        counts=(("crm", "tool", 2), ("crm", "prompt", 0), ("crm", "resource", 0), ("crm", "resource_template", 0)),
        detail={"backend": "crm", "added": ["crm__a", "crm__b"]},
    )
    assert (wiki.surfaces, wiki.kinds, wiki.detail) == (
        ("default", "wiki"),
        ("tools",),
        {"backend": "wiki", "added": ["wiki__a"]},
    )
    first, second = told
    assert first.after == second.before != second.after


def test_before_any_answer_every_backend_is_missing_and_nobody_waits() -> None:
    async def main() -> None:
        offers = Offers(crm=[["a"]], wiki=[["a"]])
        offers.hung = {"crm", "wiki"}
        catalogs = LiveCatalogs(offers, ("crm", "wiki"), [ALL], SLOW, ears(Told()))
        assert (names(catalogs), catalogs.view("default", ADA).missing) == ([], ("crm", "wiki"))
        await catalogs.start()
        begun_s = time.monotonic()
        await catalogs.started(0.05)
        assert time.monotonic() - begun_s < 1.0
        await catalogs.close()

    asyncio.run(main())


def test_a_dead_backend_costs_its_own_items_only_and_heals_by_itself() -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])
    offers.down["crm"] = BackendFailed("unreachable", sent=False)

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert (names(catalogs), catalogs.view("default", ADA).missing) == (["wiki__a"], ("crm",))
        assert catalogs.view("wiki", ADA).missing == ()
        offers.down.clear()
        await told.until(lambda: names(catalogs) == ["crm__a", "wiki__a"])
        assert catalogs.view("default", ADA).missing == ()

    told = live(offers, body)
    assert [change.detail["backend"] for change in told] == ["wiki", "crm"]  # that it is not there yet is nothing new


def test_a_listing_that_fails_in_the_middle_changes_nothing() -> None:
    offers = Offers(crm=[["a"], ["b"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        before = catalogs.view("crm", ADA)
        walks = offers.walks["crm"]
        offers.tools["crm"] = [["new"], ["never"]]
        offers.down["crm"] = BackendFailed("closed", sent=True)
        catalogs.refresh(Change("crm", "tools"))
        await told.until(lambda: offers.walks["crm"] > walks + 1)
        assert catalogs.view("crm", ADA) is before

    assert len(live(offers, body, surfaces=[CRM])) == 1


def test_items_outlive_their_backend_for_stale_s_and_then_it_is_missing() -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        offers.down["crm"] = BackendFailed("late", sent=True)
        walks, gone_s = offers.walks["crm"], time.monotonic()
        await told.until(lambda: offers.walks["crm"] > walks)
        assert (names(catalogs), catalogs.view("default", ADA).missing) == (["crm__a", "wiki__a"], ())  # stale, but there
        await told.until(lambda: names(catalogs) == ["wiki__a"])
        assert FAST.stale_s - 0.1 < time.monotonic() - gone_s < FAST.stale_s + 1.0
        assert catalogs.view("default", ADA).missing == ("crm",)
        offers.down.clear()
        await told.until(lambda: names(catalogs) == ["crm__a", "wiki__a"])

    told = live(offers, body, freshness=FAST)
    assert [change.detail for change in told[2:]] == [
        {"backend": "crm", "removed": ["crm__a"], "missing": True},
        {"backend": "crm", "added": ["crm__a"]},
    ]
    assert told[2].counts[0] == ("crm", "tool", 0)


def test_a_backend_that_never_finishes_its_list_is_late() -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])
    offers.hung = {"crm"}

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert (names(catalogs), catalogs.view("default", ADA).missing) == (["wiki__a"], ("crm",))

    live(offers, body, freshness=Freshness(walk_s=0.1))


def test_a_change_at_a_backend_is_fetched_once_when_it_is_heard_and_told_to_its_surfaces_only() -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        other, before = catalogs.view("wiki", ADA), catalogs.view("crm", ADA)
        del told[:]
        offers.tools["crm"] = [["a", "new"]]
        for _ in range(20):
            catalogs.refresh(Change("crm", "tools"))
        await told.until(lambda: names(catalogs, "crm") == ["crm__a", "crm__new"])
        assert offers.walks["crm"] == 2  # a burst is one refresh
        assert catalogs.view("wiki", ADA) is other
        assert catalogs.view("crm", ADA).items["prompt"] is before.items["prompt"]
        assert catalogs.view("crm", ADA).find("tool", "crm__a") is before.find("tool", "crm__a")

    (change,) = live(offers, body)
    assert (change.surfaces, change.kinds, change.detail) == (
        ("default", "crm"),
        ("tools",),
        {"backend": "crm", "added": ["crm__new"]},
    )


def test_an_unchanged_list_is_the_same_view_and_nobody_is_told() -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        before = catalogs.view("default", ADA)
        walks = offers.walks["crm"]
        await told.until(lambda: offers.walks["crm"] > walks + 3)
        assert catalogs.view("default", ADA) is before

    assert len(live(offers, body, freshness=FAST)) == 2


def test_a_backend_that_tells_of_changes_without_a_pause_is_heard_once_a_second_after_a_burst() -> None:
    offers = Offers(crm=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        page = offers.page

        async def restless(backend: str, type: ItemType, cursor: str | None, caller: Caller | None) -> Listing:
            catalogs.refresh(Change("crm", "tools"))
            return await page(backend, type, cursor, caller)

        offers.page = restless  # type: ignore[method-assign]
        catalogs.refresh(Change("crm", "tools"))
        begun_s, walks = time.monotonic(), offers.walks["crm"]
        await told.until(lambda: time.monotonic() - begun_s > 1.0)
        assert 2 <= offers.walks["crm"] - walks <= BURST + 2

    live(offers, body, surfaces=[CRM])


@pytest.mark.parametrize("change", [Change("crm", "updated", "note://1"), Change("stranger", "tools")])
def test_what_concerns_no_list_here_fetches_nothing(change: Change) -> None:
    offers = Offers(crm=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        catalogs.refresh(change)
        begun_s = time.monotonic()
        await told.until(lambda: time.monotonic() - begun_s > 0.2)
        assert offers.walks == {"crm": 1}

    live(offers, body, surfaces=[CRM])


def test_a_list_whose_cursor_loops_ends_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    offers = Offers(crm=[["a"], ["b"]])
    offers.loops = True

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert names(catalogs, "crm") == ["crm__a", "crm__b"]

    with caplog.at_level(logging.WARNING, logger="gateway.catalog"):
        live(offers, body, surfaces=[CRM])
    assert caplog.messages == ["crm: the list of type tool loops or has more than 200 pages; the rest is left out"]


@pytest.mark.parametrize("pages", [[["a", "b", "c"]], [["a", "b"], ["c"]], [["a"], ["b"], ["c"], ["d"]]])
def test_a_list_over_its_bound_is_cut_there_and_says_so(pages: Sequence[Sequence[str]], caplog: pytest.LogCaptureFixture) -> None:
    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert names(catalogs, "crm") == ["crm__a", "crm__b"]

    with caplog.at_level(logging.WARNING, logger="gateway.catalog"):
        live(Offers(crm=pages), body, surfaces=[CRM], freshness=Freshness(max_items=2))
    assert caplog.messages == ["crm lists more than 2 items of type tool; the rest is left out"]


def test_bad_items_among_good_ones_are_dropped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert names(catalogs, "crm") == ["crm__a", "crm__b"]

    with caplog.at_level(logging.WARNING, logger="gateway.catalog"):
        live(Offers(crm=[["a", "b a d"], ["a", "b"]]), body, surfaces=[CRM])
    assert caplog.messages == [
        "crm: tool 'b a d' is not offered: its name is not 1 to 128 letters, digits, `_`, `.` and `-`",
        "crm: tool 'a' is not offered: its name was listed before",
    ]


def test_what_is_dropped_is_logged_when_it_is_new_and_not_at_every_refresh(caplog: pytest.LogCaptureFixture) -> None:
    offers = Offers(crm=[["a", "b a d"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        await told.until(lambda: offers.walks["crm"] > 3)
        assert len(caplog.messages) == 1
        offers.tools["crm"] = [["a", "b a d", "worse!"]]
        await told.until(lambda: len(caplog.messages) > 1)

    with caplog.at_level(logging.WARNING, logger="gateway.catalog"):
        live(offers, body, surfaces=[CRM], freshness=FAST)
    assert [message.split(" is ")[0] for message in caplog.messages] == ["crm: tool 'b a d'", "crm: tool 'worse!'"]


BARE = SurfaceSpec("bare", ("crm",), renames={"crm__a": "b"}, bare=True)


def test_a_collision_costs_the_two_that_collide_and_neither_the_start_nor_any_other_item(
    caplog: pytest.LogCaptureFixture,
) -> None:
    offers = Offers(crm=[["a", "b", "c"]], wiki=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert names(catalogs, "bare") == ["c"]
        assert names(catalogs) == ["crm__a", "crm__b", "crm__c", "wiki__a"]

    with caplog.at_level(logging.ERROR, logger="gateway.catalog"):
        live(offers, body, surfaces=[ALL, BARE])
    assert caplog.messages == ["surface bare: crm__a and crm__b would both be called b, so neither is shown"]


def test_a_collision_that_comes_later_holds_up_no_update(caplog: pytest.LogCaptureFixture) -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert names(catalogs, "bare") == ["b"]
        offers.tools["crm"] = [["a", "b", "c"]]
        catalogs.refresh(Change("crm", "tools"))
        await told.until(lambda: names(catalogs, "bare") == ["c"])
        assert names(catalogs) == ["crm__a", "crm__b", "crm__c", "wiki__a"]
        offers.tools["wiki"] = [["new"]]
        catalogs.refresh(Change("wiki", "tools"))
        await told.until(lambda: names(catalogs)[-1] == "wiki__new")
        offers.tools["crm"] = [["a", "c"]]
        catalogs.refresh(Change("crm", "tools"))
        await told.until(lambda: names(catalogs, "bare") == ["b", "c"])

    with caplog.at_level(logging.ERROR, logger="gateway.catalog"):
        live(offers, body, surfaces=[ALL, BARE])
    assert len(caplog.messages) == 1


def test_a_fault_of_ours_leaves_no_items_in_force_and_heals_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        offers.down["crm"] = RuntimeError("a bug")
        catalogs.refresh(Change("crm", "tools"))
        await told.until(lambda: catalogs.view("default", ADA).missing == ("crm",))
        assert names(catalogs) == ["wiki__a"]
        offers.down.clear()
        await told.until(lambda: names(catalogs) == ["crm__a", "wiki__a"])

    told = live(offers, body, freshness=Freshness(refresh_s=0.2))
    assert [change.detail for change in told[2:]] == [
        {"backend": "crm", "removed": ["crm__a"], "missing": True},
        {"backend": "crm", "added": ["crm__a"]},
    ]
    assert "background task catalog of crm crashed" in caplog.messages


def test_a_fault_before_the_first_answer_does_not_hold_up_the_start() -> None:
    offers = Offers(crm=[["a"]], wiki=[["a"]])
    offers.down["crm"] = RuntimeError("a bug")

    async def main() -> None:
        catalogs = LiveCatalogs(offers, ("crm", "wiki"), [ALL], SLOW, ears(Told()))
        await catalogs.start()
        begun_s = time.monotonic()
        await catalogs.started(WAIT_S)
        assert time.monotonic() - begun_s < WAIT_S / 2
        assert (names(catalogs), catalogs.view("default", ADA).missing) == (["wiki__a"], ("crm",))
        await catalogs.close()

    asyncio.run(main())


def test_what_a_failing_backend_granted_is_granted_no_longer() -> None:
    offers = Offers(crm=[["a"]])
    offers.ttl_ms = 60_000

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        def left_ms() -> int:
            return catalogs.view("crm", ADA).ttl_left_ms("tool", time.time_ns())

        items = catalogs.view("crm", ADA).items["tool"]
        assert 0 < left_ms() <= 60_000
        offers.down["crm"] = BackendFailed("unreachable", sent=False)
        catalogs.refresh(Change("crm", "tools"))
        await told.until(lambda: left_ms() == 0)
        assert catalogs.view("crm", ADA).items["tool"] is items
        offers.down.clear()
        await told.until(lambda: left_ms() > 0)
        assert catalogs.view("crm", ADA).items["tool"] is items

    assert len(live(offers, body, surfaces=[CRM])) == 1  # nothing that a listener would have to hear of


def test_a_flood_of_changes_is_a_bounded_number_of_fetches() -> None:
    offers = Offers(crm=[["a"]])

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < 1.0:  # between two refreshes, not only while one is under way
            catalogs.refresh(Change("crm", "tools"))
            await asyncio.sleep(0.001)
        assert 2 <= offers.walks["crm"] - 1 <= BURST + 2

    live(offers, body, surfaces=[CRM])


def test_a_failing_backend_that_tells_of_changes_is_hardly_asked_more_often() -> None:
    offers = Offers(crm=[["a"]])
    offers.down["crm"] = BackendFailed("closed", sent=True)

    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < 1.0:
            catalogs.refresh(Change("crm", "tools"))
            await asyncio.sleep(0.001)
        assert offers.walks["crm"] - 1 <= 2

    live(offers, body, surfaces=[CRM])


def test_many_bad_items_are_told_by_the_first_of_them_and_a_count(caplog: pytest.LogCaptureFixture) -> None:
    async def body(catalogs: LiveCatalogs, told: Told) -> None:
        assert names(catalogs, "crm") == ["crm__a"]

    with caplog.at_level(logging.WARNING, logger="gateway.catalog"):
        live(Offers(crm=[["a", *(f"b a d {number}" for number in range(500))]]), body, surfaces=[CRM])
    assert len(caplog.messages) == MAX_TOLD + 1
    assert caplog.messages[-1] == f"crm: {500 - MAX_TOLD} more entries are not offered"


def test_renames_onto_one_name_are_refused_before_any_backend_is_asked() -> None:
    spec = SurfaceSpec("default", ("crm", "wiki"), renames={"crm__a": "x", "wiki__a": "x"})
    with pytest.raises(SurfaceError, match="crm__a and wiki__a would both be called x"):
        LiveCatalogs(Offers(), ("crm", "wiki"), [spec], SLOW, ears(Told()))


def test_a_long_page_is_read_in_steps_so_that_others_get_their_turn() -> None:
    async def main() -> None:
        offers = Offers(crm=[[f"tool_{number}" for number in range(1000)]])
        catalogs = LiveCatalogs(offers, ("crm",), [CRM], SLOW, ears(Told()))
        await catalogs.start()
        turns = 0
        while not names(catalogs, "crm"):
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 10
        await catalogs.close()

    asyncio.run(main())


def test_a_burst_is_heard_at_once_a_flood_once_a_second_and_a_quiet_time_makes_room_again() -> None:
    patience = Patience(100.0)
    assert [patience.pause_s(100.0) for _ in range(BURST + 2)] == [0.05] * BURST + [1.0] * 2
    assert [patience.pause_s(101.0), patience.pause_s(101.0)] == [0.05, 1.0]
    assert [patience.pause_s(200.0) for _ in range(BURST + 1)] == [0.05] * BURST + [1.0]

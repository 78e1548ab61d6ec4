"""Limits of rate and of concurrency: all or nothing, exact, and bounded themselves."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.concurrency import Concurrency
from gateway.adapters.limits import MemoryLimiter
from gateway.errors import Kind, Refusal
from gateway.ports import Charge


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _charge(limiter: MemoryLimiter, *charges: Charge) -> float:
    return asyncio.run(limiter.charge(charges))


def test_a_limit_holds_for_every_stretch_of_its_period_and_names_the_wait() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock_s=clock)
    restart = Charge("servers/deploy/rate:alice", 3, 60)
    assert [_charge(limiter, restart) for _ in range(3)] == [0.0, 0.0, 0.0]
    clock.now_s += 20
    assert _charge(limiter, restart) == 40.0
    clock.now_s += 39.9
    assert _charge(limiter, restart) == pytest.approx(0.1)
    clock.now_s += 0.1
    assert [_charge(limiter, restart) for _ in range(4)] == [0.0, 0.0, 0.0, 60.0]


def test_when_one_limit_is_over_none_is_charged() -> None:
    limiter = MemoryLimiter(clock_s=Clock())
    narrow, wide = Charge("narrow", 1, 60), Charge("wide", 2, 60)
    assert _charge(limiter, narrow, wide) == 0.0
    for _ in range(5):
        assert _charge(limiter, wide, narrow) == 60.0
    assert _charge(limiter, wide) == 0.0, "the refused exchanges left it alone"
    assert _charge(limiter, wide) == 60.0


def test_two_duties_on_one_window_count_together() -> None:
    limiter = MemoryLimiter(clock_s=Clock())
    assert _charge(limiter, Charge("k", 3, 60, 2), Charge("k", 3, 60, 2)) == 60.0
    assert _charge(limiter, Charge("k", 3, 60, 2), Charge("k", 3, 60, 1)) == 0.0


def test_what_is_heavier_than_its_limit_never_passes() -> None:
    assert _charge(MemoryLimiter(clock_s=Clock()), Charge("k", 3, 60, 4)) == 60.0


def test_concurrent_exchanges_never_exceed_a_limit_together() -> None:
    limiter = MemoryLimiter(clock_s=Clock())

    async def main() -> list[float]:
        return await asyncio.gather(*(limiter.charge([Charge("k", 7, 60)]) for _ in range(50)))

    assert asyncio.run(main()).count(0.0) == 7


def test_windows_that_have_passed_are_forgotten_and_a_flood_of_keys_is_refused() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock_s=clock, max_keys=10)
    for number in range(10):
        assert _charge(limiter, Charge(f"k{number}", 1, 60)) == 0.0
    with pytest.raises(OSError, match="too many"):
        _charge(limiter, Charge("one more", 1, 60))
    clock.now_s += 60
    assert _charge(limiter, Charge("one more", 1, 60)) == 0.0
    assert len(limiter._windows) == 1


def test_a_known_key_is_counted_on_when_there_is_no_room_for_a_new_one() -> None:
    limiter = MemoryLimiter(clock_s=Clock(), max_keys=10)
    for number in range(10):
        assert _charge(limiter, Charge(f"k{number}", 2, 60)) == 0.0
    assert [_charge(limiter, Charge("k0", 2, 60), Charge("k1", 2, 60)) for _ in range(2)] == [0.0, 60.0]
    with pytest.raises(OSError, match="too many"):
        _charge(limiter, Charge("k2", 2, 60), Charge("one more", 2, 60))
    assert [_charge(limiter, Charge("k2", 2, 60)) for _ in range(2)] == [0.0, 60.0], "the refused exchange left it alone"


def test_a_full_limiter_looks_for_windows_that_have_passed_once_a_second_at_most() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock_s=clock, max_keys=10)
    for number in range(10):
        assert _charge(limiter, Charge(f"k{number}", 1, 60)) == 0.0
    clock.now_s += 59.5
    for pause_s in (0.0, 0.5, 0.25):  # the windows pass meanwhile
        clock.now_s += pause_s
        with pytest.raises(OSError, match="too many"):
            _charge(limiter, Charge("one more", 1, 60))
    clock.now_s += 0.25
    assert _charge(limiter, Charge("one more", 1, 60)) == 0.0
    assert len(limiter._windows) == 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), max_size=3)), max_size=40)
)
def test_no_stretch_of_a_period_ever_holds_more_than_the_limit(steps: Sequence[tuple[float, Sequence[tuple[str, int]]]]) -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock_s=clock)
    passed: list[tuple[float, str, int]] = []
    for pause_s, wanted in steps:
        clock.now_s += pause_s
        if _charge(limiter, *(Charge(key, 5, 20, weight) for key, weight in wanted)) == 0.0:
            passed += [(clock.now_s, key, weight) for key, weight in wanted]
    for key in "ab":
        for at_s, _, _ in passed:
            assert sum(weight for when_s, one, weight in passed if one == key and at_s - 20 < when_s <= at_s) <= 5


# --- concurrency --------------------------------------------------------------------------------------------------------


def test_the_exchange_over_the_cap_is_refused_and_others_are_not_concerned() -> None:
    places = Concurrency({"exchanges": 2, "streams": 1})
    with places.slot("exchanges", "alice"), places.slot("exchanges", "alice"):
        with pytest.raises(Refusal, match="2 requests under way") as refused, places.slot("exchanges", "alice"):
            pass
        assert (refused.value.kind, refused.value.cause) == (Kind.BUSY, "too_many_exchanges")
        with places.slot("exchanges", "bob"), places.slot("streams", "alice"):
            assert (places.under_way("exchanges"), places.under_way("streams")) == (3, 1)
    assert (places.under_way("exchanges"), places._held) == (0, {})


def test_a_cancelled_exchange_gives_its_place_back() -> None:
    places = Concurrency({"exchanges": 50, "streams": 1})

    async def exchange() -> None:
        with places.slot("exchanges", "alice"):
            await asyncio.Event().wait()

    async def main() -> None:
        tasks = [asyncio.ensure_future(exchange()) for _ in range(50)]
        await asyncio.sleep(0)
        assert places.under_way("exchanges") == 50
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert (places.under_way("exchanges"), places._held) == (0, {})

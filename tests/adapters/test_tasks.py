"""Background loops that outlive their crashes, and what is told of these."""

import asyncio

import pytest

from gateway.adapters.tasks import Tasks

AGAIN = "an internal error (ZeroDivisionError), see the log"


def test_a_kept_loop_is_begun_again_after_each_crash_and_the_same_crash_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        begun = 0
        calm = asyncio.Event()

        async def loop() -> None:
            nonlocal begun
            begun += 1
            if begun < 4:
                raise ZeroDivisionError("twice the same" if begun < 3 else "another")
            calm.set()
            await asyncio.Event().wait()

        tasks = Tasks(again_s=0.0)
        kept = tasks.keep(loop, "sweeping")
        async with asyncio.timeout(5):
            await calm.wait()
        assert (begun, kept.done(), tasks.crashed()) == (4, False, {"sweeping": AGAIN})
        await tasks.close()
        assert (kept.cancelled(), begun) == (True, 4)

    asyncio.run(main())
    assert caplog.messages == ["background task sweeping crashed"] * 2
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["twice the same", "another"]


def test_a_crash_is_told_until_the_loop_has_gone_on_for_a_while() -> None:
    async def main() -> None:
        now_s, begun = 100.0, asyncio.Semaphore(0)

        async def loop() -> None:
            begun.release()
            if now_s == 100.0:
                raise ZeroDivisionError
            await asyncio.Event().wait()

        tasks = Tasks(again_s=0.0, clock_s=lambda: now_s)
        tasks.keep(loop, "sweeping")
        async with asyncio.timeout(5):
            await begun.acquire()
            await begun.acquire()
            assert tasks.crashed() == {"sweeping": AGAIN}
            now_s = 105.0
            assert tasks.crashed() == {"sweeping": AGAIN}
            now_s = 110.0
            assert tasks.crashed() == {}
            await tasks.close()

    asyncio.run(main())


def test_a_loop_that_never_crashed_is_not_told_of_and_one_that_returns_is_not_begun_again() -> None:
    async def main() -> None:
        begun = 0

        async def loop() -> None:
            nonlocal begun
            begun += 1

        tasks = Tasks(again_s=0.0)
        async with asyncio.timeout(5):
            await tasks.keep(loop, "sweeping")
        assert (begun, tasks.crashed()) == (1, {})
        await tasks.close()

    asyncio.run(main())

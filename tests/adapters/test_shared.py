"""One attempt for all who wait, and what becomes of it when the gateway ends."""

import asyncio

import pytest

from gateway.adapters.shared import Shared
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed


async def _never() -> int:
    await asyncio.Event().wait()
    return 0


def test_who_waits_learns_that_the_attempt_was_ended() -> None:
    async def main() -> None:
        tasks = Tasks()
        waiter = asyncio.ensure_future(Shared[int](tasks, "attempt").run(_never))
        await asyncio.sleep(0)  # the attempt is under way
        await tasks.close()
        with pytest.raises(BackendFailed, match="the gateway is ending"):
            await waiter

    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_background_task_that_waits_for_an_attempt_ends_with_it_and_begins_no_other() -> None:
    async def main() -> int:
        tasks, attempts = Tasks(), 0
        shared: Shared[int] = Shared(tasks, "attempt")

        async def attempt() -> int:
            nonlocal attempts
            attempts += 1
            return await _never()

        async def again_and_again() -> None:
            while True:
                try:
                    await shared.run(attempt)
                except BackendFailed:
                    continue

        for _ in range(8):  # some are cancelled before the attempt is, some after it
            tasks.spawn(again_and_again(), "waiter")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await tasks.close()
        return attempts

    assert asyncio.run(asyncio.wait_for(main(), 10)) == 1

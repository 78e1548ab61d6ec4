"""Runs of a program beside a loop that is busy, in the loop that the gateway runs in."""

import asyncio
import time

import pytest
import uvloop

from gateway.adapters.opa.command import Completed, OpaUnusable, run


async def _busy() -> None:
    """Holds the loop again and again for long enough for a short program to end meanwhile."""
    for _ in range(50):
        time.sleep(0.01)  # noqa: ASYNC251 — this is the load
        await asyncio.sleep(0)


def test_a_program_that_ends_before_it_is_looked_at_is_read_like_any_other() -> None:
    async def main() -> list[Completed]:
        busy = asyncio.ensure_future(_busy())
        done = await asyncio.gather(*(run("/bin/echo", ["said"]) for _ in range(20)))
        await busy
        return list(done)

    assert uvloop.run(main()) == [Completed(0, b"said\n", b"")] * 20


def test_a_program_that_ends_without_reading_its_input_is_unusable() -> None:
    async def main() -> None:
        busy = asyncio.ensure_future(_busy())
        with pytest.raises(OpaUnusable, match="ended before it read its input"):
            await asyncio.gather(*(run("/bin/true", ["at once"], stdin=b"x" * 1_000_000) for _ in range(20)))
        await busy

    uvloop.run(main())

"""The one place that starts background tasks: each is referenced, named, logged when it crashes, and ended on close.

One that looks after something for as long as the gateway runs is kept: begun again after a crash, which can be told of.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("gateway.tasks")

AGAIN_S = 1.0  # from a crash to the next beginning
CALM_S = 10.0  # for so long after a crash it is told of: several rounds of most loops, so that one that crashes on stays told


class Crashed(Exception):
    """What was attempted met an error that nobody foresaw; it stands in the log with its traceback."""


async def attempted(work: Awaitable[T], what: str, *known: type[Exception], logged: str = "") -> T:
    """`work`, for a loop that must go on whatever it meets. Raises `known` and `Crashed`, nothing else.

    `logged`: the `repr` of an error that stands in the log already.
    """
    try:
        return await work
    except known:
        raise
    except Exception as error:  # from bytes of others: one loop that ends with them is a gateway that nobody can update
        if repr(error) != logged:
            log.error("%s crashed", what, exc_info=error)
        raise Crashed(f"an internal error ({type(error).__name__}), see the log") from error


class Tasks:
    """Owns the background tasks of one adapter."""

    def __init__(self, *, again_s: float = AGAIN_S, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._again_s = again_s
        self._clock_s = clock_s
        self._running: set[asyncio.Task[Any]] = set()
        self._crashes: dict[str, tuple[float, str]] = {}  # of kept loops: when last, and what

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `coroutine`; the task is kept until it ends, and a crash is logged rather than lost."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(self, loop: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        """Start `loop`, which has no end of its own, and begin it again a moment after each crash."""
        return self.spawn(self._kept(loop, name), name)

    def crashed(self) -> dict[str, str]:
        """The kept loops that crashed a short while ago, and by what."""
        now_s = self._clock_s()
        return {name: what for name, (at_s, what) in self._crashes.items() if now_s < at_s + CALM_S}

    async def close(self) -> None:
        """Cancel what still runs, also what is begun meanwhile, and wait for its end."""
        while running := tuple(self._running):
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _kept(self, loop: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        logged = ""
        while True:
            try:
                return await attempted(loop(), f"background task {name}", logged=logged)
            except Crashed as crash:
                logged = repr(crash.__cause__)
                self._crashes[name] = (self._clock_s(), str(crash))
            await asyncio.sleep(self._again_s)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background task %s crashed", task.get_name(), exc_info=error)

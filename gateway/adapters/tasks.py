"""The one place that starts background tasks: each is referenced, named, logged when it crashes, and ended on close."""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("gateway.tasks")


class Crashed(Exception):
    """What was attempted met an error that nobody foresaw; it stands in the log with its traceback."""


async def attempted(work: Awaitable[T], what: str, *known: type[Exception]) -> T:
    """`work`, for a loop that must go on whatever it meets. Raises `known` and `Crashed`, nothing else."""
    try:
        return await work
    except known:
        raise
    except Exception as error:  # from bytes of others: one loop that ends with them is a gateway that nobody can update
        log.error("%s crashed", what, exc_info=error)
        raise Crashed(f"an internal error ({type(error).__name__}), see the log") from error


class Tasks:
    """Owns the background tasks of one adapter."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `coroutine`; the task is kept until it ends, and a crash is logged rather than lost."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what still runs, also what is begun meanwhile, and wait for its end."""
        while running := tuple(self._running):
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background task %s crashed", task.get_name(), exc_info=error)

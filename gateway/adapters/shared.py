"""One attempt at a time, shared by all who wait for it; a waiter that gives up does not end it for the others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed

T = TypeVar("T")


class Shared(Generic[T]):
    """At most one running attempt."""

    def __init__(self, tasks: Tasks, name: str) -> None:
        self._tasks = tasks
        self._name = name
        self._attempt: asyncio.Task[T | BackendFailed] | None = None

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the attempt under way gives, or a new one. Raises `BackendFailed`."""
        if self._attempt is None:
            self._attempt = self._tasks.spawn(self._outcome(attempt), self._name)
        running = self._attempt
        try:
            outcome = await asyncio.shield(running)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if running.cancelled() and not (waiter is not None and waiter.cancelling()):  # who is cancelled itself must end
                raise BackendFailed("closed", "the gateway is ending", sent=False) from None
            raise
        if isinstance(outcome, BackendFailed):
            raise outcome
        return outcome

    async def _outcome(self, attempt: Callable[[], Awaitable[T]]) -> T | BackendFailed:
        try:
            return await attempt()
        except BackendFailed as failed:
            failed.sent = False  # what the waiters themselves want to send was not sent yet
            return failed
        finally:
            self._attempt = None

"""Requests under way, and the look-out for a client that goes away."""

import asyncio
from dataclasses import dataclass

from gateway.front.reading import Receive
from gateway.model import RequestId

WATCH_AFTER_S = 0.05  # most exchanges end sooner and need no look-out

RunningKey = tuple[str, str, RequestId]  # session (or exchange), type of the id, id: 1 and "1" are two requests


@dataclass(slots=True)
class Running:
    """A request under way, and whether its own client ended it."""

    task: "asyncio.Task[None]"
    cancelled: bool = False

    def cancel(self) -> None:
        if not self.cancelled:
            self.cancelled = True
            self.task.cancel()


class Watch:
    """Cancels a request when its client goes away; looks only after a moment, since most exchanges end before."""

    def __init__(self, running: Running, receive: Receive) -> None:
        self._running = running
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)

    def _start(self) -> None:
        self._watching = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._running.cancel()
                return

    def stop(self) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

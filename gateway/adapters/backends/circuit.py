"""Whether a backend can be reached. After a few failed connections in a row its callers fail at once, and one probe
in the background finds out when it is back.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from gateway.adapters.backends.specs import BackendStatus, Pace
from gateway.adapters.tasks import Crashed, Tasks, attempted
from gateway.errors import BackendFailed
from gateway.model import Era

log = logging.getLogger("gateway.backends")


class Circuit:
    """The state of one backend's reachability."""

    def __init__(self, name: str, pace: Pace, tasks: Tasks, probe: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._pace = pace
        self._tasks = tasks
        self._probe = probe  # raises BackendFailed while the backend is still away
        self._failures = 0
        self._state: Literal["unknown", "up", "down"] = "unknown"
        self._since_s = time.time()
        self._last_error = ""
        self._recovered: list[Callable[[], None]] = []

    def check(self) -> None:
        """Raises `BackendFailed` when the backend is known to be down."""
        if self._state == "down":
            raise BackendFailed("unreachable", f"known to be down: {self._last_error}", sent=False)

    def on_recovery(self, told: Callable[[], None]) -> None:
        self._recovered.append(told)

    def reached(self) -> None:
        """The backend answered something."""
        self._failures = 0
        if self._state == "up":
            return
        was, self._state, self._since_s, self._last_error = self._state, "up", time.time(), ""
        if was == "down":
            log.info("backend %s is back", self._name)
            for told in self._recovered:
                told()

    def unreached(self, error: str) -> None:
        """No connection, or no process."""
        self._failures += 1
        self._last_error = error
        if self._failures < self._pace.failures or self._state == "down":
            return
        self._state, self._since_s = "down", time.time()
        log.warning("backend %s is down: %s", self._name, error)
        self._tasks.spawn(self._until_back(), f"probe of {self._name}")

    def failed(self, error: str) -> None:
        """It was reached, but did not do well: told to the operator, without effect on callers."""
        self._last_error = error

    def succeeded(self) -> None:
        """It did well: what went wrong before is over."""
        self._last_error = ""

    def status(self, era: Era | None) -> BackendStatus:
        return BackendStatus(self._name, era, self._state, self._last_error, self._since_s)

    async def _until_back(self) -> None:
        wait_s = self._pace.first_s
        while self._state == "down":
            await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))  # noqa: S311 — spreads probes, guards nothing
            wait_s = min(wait_s * 2, self._pace.most_s)
            try:
                await attempted(self._probe(), f"probe of {self._name}", BackendFailed)
            except Crashed as crash:
                self._last_error = str(crash)  # it stays down until a probe tells more
            except BackendFailed as failed:
                if failed.cause not in ("unreachable", "credential"):  # without a credential, nobody was asked
                    self._last_error = str(failed)
                    if failed.cause != "late":
                        self.reached()  # it is there; what it says is its callers' business
            else:
                self.reached()

"""What stays open is authorised again: when its credential ends or is taken back, and when the policy changes.

Every stream of changes and every request that a backend works on stands here while it is open. What is not good any more
ends, and so does what the policy cannot decide. A few are asked about at a time, each at most once for a policy revision.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from gateway.model import Caller

T = TypeVar("T")

Ending = Literal["expired", "credential_revoked", "revoked", "undecided", "internal"]
"""Why something open was ended: its credential's own end · the credential was taken back · the policy no longer allows it ·
the policy gave no decision · a defect of the gateway."""

BEAT_S = 0.25  # between two looks at the credentials: a revoked one ends what it opened within a second
JUDGED_AT_ONCE = 8  # five hundred streams must not ask the policy in one moment


class Ended(Exception):
    """Raised where a wait was ended from outside."""

    def __init__(self, cause: Ending) -> None:
        super().__init__(cause)
        self.cause = cause


class Leash:
    """Lets what its owner waits for be ended from outside. It ends nothing while the owner is busy otherwise."""

    __slots__ = ("_timeout", "cause")

    def __init__(self) -> None:
        self.cause: Ending | None = None
        self._timeout: asyncio.Timeout | None = None

    def end(self, cause: Ending) -> None:
        self.cause = self.cause or cause
        if self._timeout is not None:
            self._timeout.reschedule(0.0)  # long past on the loop's clock: now

    async def next_of(self, messages: AsyncIterator[T]) -> T:
        """The next one. Raises `Ended`, and the wait for it is cancelled then; `StopAsyncIteration` after the last."""
        if self.cause is not None:
            raise Ended(self.cause)
        try:
            async with asyncio.timeout(None) as self._timeout:
                return await anext(messages)
        except TimeoutError:
            if self.cause is None:
                raise  # its own
            raise Ended(self.cause) from None
        finally:
            self._timeout = None


@dataclass(eq=False, slots=True)
class Standing:
    """One thing that is open, and how it is judged and ended."""

    caller: Caller
    surface: str
    revision: str | None  # of the policy that judged it last; None: none did yet
    judge: Callable[[], Awaitable[Ending | None]]
    end: Callable[[Ending], None]
    grace_s: float = 0.0  # how long it may outlive its credential's own end


class Standings:
    """Everything that is open. `watch` runs for as long as the gateway does, and is begun again if it ever breaks."""

    def __init__(
        self,
        still_good: Callable[[Caller, str], bool],
        revision: Callable[[], str | None],
        *,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._still_good = still_good
        self._revision = revision
        self._clock_s = clock_s
        self._open: dict[Standing, None] = {}
        self._due: dict[Standing, None] = {}  # in the order of their asking
        self._asked = asyncio.Event()

    def open(self, standing: Standing) -> None:
        self._open[standing] = None
        if standing.revision is None or standing.revision != self._revision():  # it changed while this was decided
            self._due[standing] = None
            self._asked.set()

    def close(self, standing: Standing) -> None:
        self._open.pop(standing, None)
        self._due.pop(standing, None)

    def policy_changed(self) -> None:
        self._due.update(self._open)
        if self._due:
            self._asked.set()

    def __len__(self) -> int:
        return len(self._open)

    async def watch(self) -> None:
        """Look after what is open. If this ever breaks, everything open ends: what nobody looks after may not stay."""
        try:
            async with asyncio.TaskGroup() as looking:
                looking.create_task(self._look(), name="credentials of what is open")
                for _ in range(JUDGED_AT_ONCE):
                    looking.create_task(self._judge(), name="policy on what is open")
        finally:
            for standing in tuple(self._open):
                standing.end("internal")
                self.close(standing)  # it is not looked at again: what broke this watch must not break the next one

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.look()

    def look(self) -> None:
        """End what is open with a credential that no longer counts."""
        now_s = self._clock_s()
        for standing in tuple(self._open):
            expires_at_s = standing.caller.expires_at_s
            if expires_at_s is not None and now_s >= expires_at_s + standing.grace_s:
                standing.end("expired")
            elif not self._still_good(standing.caller, standing.surface):
                standing.end("credential_revoked")

    async def _judge(self) -> None:
        while True:
            await self._asked.wait()
            while self._due:
                standing = next(iter(self._due))
                del self._due[standing]
                await self._judged(standing)
            self._asked.clear()

    async def _judged(self, standing: Standing) -> None:
        revision = self._revision()
        if revision is not None and standing.revision == revision:
            return
        standing.revision = revision
        cause = await standing.judge()
        if cause is not None and standing in self._open:
            standing.end(cause)

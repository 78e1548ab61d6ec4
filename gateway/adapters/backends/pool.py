"""What is opened once for each owner and then kept: never shared between owners, bounded, the least used ended first.

The gateway's own (owner "") stays for as long as the gateway runs.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.adapters.shared import Shared
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Held(Generic[T]):
    """One owner's."""

    owner: str
    value: T
    in_flight: int = 0
    last_used_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolLimits:
    name: str  # for the operator, e.g. "sessions of crm"
    most: int
    idle_s: float
    shared: bool  # one for all owners


class OwnerPool(Generic[T]):
    """At most one value for each owner; opening it is shared by all who wait for it."""

    def __init__(
        self,
        limits: PoolLimits,
        tasks: Tasks,
        *,
        end: Callable[[T], Coroutine[None, None, None]],
    ) -> None:
        self._limits = limits
        self._tasks = tasks
        self._end = end
        self._held: OrderedDict[str, Held[T]] = OrderedDict()  # least recently used first
        self._opening: dict[str, Shared[Held[T]]] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def of(self, owner: str, open: Callable[[], Awaitable[T]]) -> Held[T]:
        """The owner's, opened if need be. Raises `BackendFailed`."""
        owner = "" if self._limits.shared else owner
        held = self._held.get(owner)
        if held is not None:
            self._held.move_to_end(owner)
            return held
        opening = self._opening.get(owner)
        if opening is None:
            self._make_room()
            opening = self._opening[owner] = Shared(self._tasks, f"opening {self._limits.name}")
        return await opening.run(lambda: self._opened(owner, open))

    @contextmanager
    def using(self, held: Held[T]) -> Iterator[None]:
        """While the block runs, it is not ended for want of room or of use."""
        held.in_flight += 1
        try:
            yield
        finally:
            held.in_flight -= 1
            held.last_used_s = asyncio.get_running_loop().time()

    def lost(self, held: Held[T]) -> None:
        """It is of no use any more; the next one who asks opens another."""
        if self._held.get(held.owner) is held:
            del self._held[held.owner]

    def end_idle(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for owner, held in tuple(self._held.items()):
            if owner and not held.in_flight and now_s - held.last_used_s >= self._limits.idle_s:
                self._drop(held)

    async def close(self) -> None:
        """End all, each as far as it can be ended."""
        held = tuple(self._held.values())
        self._held.clear()
        await asyncio.gather(*(self._end(each.value) for each in held))

    async def _opened(self, owner: str, open: Callable[[], Awaitable[T]]) -> Held[T]:
        try:
            held = Held(owner, await open(), last_used_s=asyncio.get_running_loop().time())
        finally:
            self._opening.pop(owner, None)
        self._held[owner] = held
        return held

    def _make_room(self) -> None:
        if len(self._held) + len(self._opening) < self._limits.most:
            return
        for owner, held in self._held.items():
            if owner and not held.in_flight:
                self._drop(held)
                return
        raise BackendFailed("busy", f"all {self._limits.most} {self._limits.name} are in use", sent=False)

    def _drop(self, held: Held[T]) -> None:
        del self._held[held.owner]
        self._tasks.spawn(self._end(held.value), f"ending one of {self._limits.name}")

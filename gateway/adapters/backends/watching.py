"""Hears what one backend tells of its own accord, for as long as the gateway runs, and says when something was missed.

A stream that ends is opened again with back-off; what may have been lost meanwhile is told as if it had changed.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from gateway.adapters.backends.specs import Pace
from gateway.adapters.tasks import Crashed, Tasks, attempted
from gateway.errors import BackendFailed
from gateway.model import Change, JsonObject

log = logging.getLogger("gateway.backends")

SETTLE_S = 2.0  # how long a new watch waits until the backend has it
QUIET_S = 300.0  # how often a backend that offers nothing to hear is asked again
QUEUED = 1000
KINDS: Final[dict[str, Literal["tools", "prompts", "resources"]]] = {
    "notifications/tools/list_changed": "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resources",
}

Emit: TypeAlias = Callable[[Change], None]
Standing = Literal["standing"]
"""Said once by a stream: from now on nothing is missed."""

Uris: TypeAlias = frozenset[str]


class NothingToHear(Exception):
    """The backend has no such stream."""


class Source(Protocol):
    """Where a backend's notifications come from."""

    def stream(self, uris: Uris) -> AsyncGenerator[JsonObject | Standing, None]:
        """`standing`, then notifications, until it ends. Raises `BackendFailed` or `NothingToHear`."""
        ...

    async def amend(self, before: Uris, after: Uris) -> bool:
        """Change what the running stream tells of; False: it cannot be changed, a new one is needed."""
        ...


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BackendFailed | NothingToHear


@dataclass(frozen=True, slots=True)
class _Heard:
    generation: int
    said: JsonObject | Standing | _Ended


def change_of(backend: str, message: JsonObject) -> Change | None:
    """What a notification says has changed; None: nothing that concerns us."""
    method, params = message.get("method"), message.get("params")
    if not isinstance(method, str):
        return None
    if (kind := KINDS.get(method)) is not None:
        return Change(backend, kind)
    uri = params.get("uri") if isinstance(params, dict) else None
    if method == "notifications/resources/updated" and isinstance(uri, str):
        return Change(backend, "updated", uri)
    return None


class Watcher:
    """One backend's notifications, and the URIs that somebody watches there."""

    def __init__(self, backend: str, source: Callable[[], Awaitable[Source]], emit: Emit, pace: Pace, tasks: Tasks) -> None:
        self._backend = backend
        self._source = source  # raises BackendFailed while the backend is away
        self._emit = emit
        self._pace = pace
        self._tasks = tasks
        self._wanted: Counter[str] = Counter()
        self._queue: asyncio.Queue[_Heard | None] = asyncio.Queue(QUEUED)
        self._settled = asyncio.Event()
        self._asked = asyncio.Event()  # a new URI is watched: a backend may tell of that though it had nothing to tell before
        self._missed = False
        self._wait_s = pace.first_s

    def start(self) -> None:
        self._tasks.spawn(self._run(), f"notifications of {self._backend}")

    async def watch(self, uri: str) -> None:
        """Hear of updates of `uri`; returns when the backend was told, or after a short while."""
        self._wanted[uri] += 1
        if self._wanted[uri] == 1:
            self._amended()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._settled.wait()

    def unwatch(self, uri: str) -> None:
        self._wanted[uri] -= 1
        if self._wanted[uri] <= 0:
            del self._wanted[uri]
            self._amended()

    def told(self, message: JsonObject) -> None:
        """A notification that came by another way, e.g. on the stream of a request."""
        change = change_of(self._backend, message)
        if change is not None:
            self._emit(change)

    def all_changed(self) -> None:
        """Anything may have changed while nobody listened."""
        for kind in KINDS.values():
            self._emit(Change(self._backend, kind))
        for uri in tuple(self._wanted):
            self._emit(Change(self._backend, "updated", uri))

    def _amended(self) -> None:
        self._asked.set()
        self._settled.clear()
        with suppress(asyncio.QueueFull):  # full: the loop that empties it looks at the URIs each time
            self._queue.put_nowait(None)

    async def _run(self) -> None:
        while True:
            self._asked.clear()
            try:
                await attempted(self._listen(), f"listening to {self._backend}", BackendFailed, NothingToHear)
            except NothingToHear:
                self._settled.set()  # there is nothing to wait for
                with suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_S):
                        await self._asked.wait()
                self._wait_s = self._pace.first_s
                continue
            except BackendFailed as failed:
                log.debug("notifications of %s: %s", self._backend, failed)
            except Crashed:
                self._missed, self._wait_s = True, self._pace.most_s  # what was being told then; it may well crash again
            await asyncio.sleep(self._wait_s * random.uniform(0.8, 1.2))  # noqa: S311 — spreads the load, guards nothing
            self._wait_s = min(self._wait_s * 2, self._pace.most_s)

    async def _listen(self) -> None:
        await self._follow(await self._source())

    async def _follow(self, source: Source) -> None:
        """Hear one source until its newest stream ends. A newer stream stands before the older one is closed."""
        self._queue = asyncio.Queue(QUEUED)
        streams: dict[int, tuple[Uris, asyncio.Task[None]]] = {}
        newest = self._open(source, streams, 0)
        standing = False
        try:
            while True:
                heard = await self._queue.get()
                if heard is not None and isinstance(heard.said, _Ended):
                    if heard.generation == newest:
                        self._missed = self._missed or standing
                        raise heard.said.error
                elif heard is not None and heard.said == "standing":
                    standing = True
                    self._stands(streams, newest)
                elif heard is not None and isinstance(heard.said, dict):
                    self.told(heard.said)
                now = frozenset(self._wanted)
                if standing and len(streams) == 1 and now != streams[newest][0]:
                    if await source.amend(streams[newest][0], now):
                        streams[newest] = (now, streams[newest][1])
                        self._settled.set()
                    else:
                        newest = self._open(source, streams, newest + 1)
        finally:
            for _, task in streams.values():
                task.cancel()

    def _stands(self, streams: dict[int, tuple[Uris, asyncio.Task[None]]], newest: int) -> None:
        for generation in [each for each in streams if each != newest]:
            streams.pop(generation)[1].cancel()
        self._wait_s = self._pace.first_s
        if streams[newest][0] == frozenset(self._wanted):
            self._settled.set()
        if self._missed:
            self._missed = False
            self.all_changed()

    def _open(self, source: Source, streams: dict[int, tuple[Uris, asyncio.Task[None]]], generation: int) -> int:
        uris = frozenset(self._wanted)
        task = self._tasks.spawn(self._pump(source, uris, generation), f"stream of {self._backend}")
        streams[generation] = (uris, task)
        return generation

    async def _pump(self, source: Source, uris: Uris, generation: int) -> None:
        error: BackendFailed | NothingToHear = BackendFailed("closed", "the stream of notifications ended", sent=True)
        queue = self._queue
        try:
            hearing = self._hear(source, uris, generation)
            await attempted(hearing, f"stream of {self._backend}", BackendFailed, NothingToHear)
        except (BackendFailed, NothingToHear) as failed:
            error = failed
        except Crashed as crash:
            error = BackendFailed("closed", str(crash), sent=True)
        await queue.put(_Heard(generation, _Ended(error)))

    async def _hear(self, source: Source, uris: Uris, generation: int) -> None:
        queue = self._queue
        async with aclosing(source.stream(uris)) as said:
            async for each in said:
                await queue.put(_Heard(generation, each))

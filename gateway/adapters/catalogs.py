"""What exists, kept fresh in the background: every backend by itself, so that a dead one costs its own items only.

Readers get a frozen view and never wait. A new catalog replaces the old one whole, and whoever listens is told what changed.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gateway.adapters.tasks import Tasks
from gateway.catalog.items import LISTED_BEFORE, Dropped, read_items
from gateway.catalog.merge import TYPES, Catalog, Part, part_of, refreshed, ungranted
from gateway.catalog.surface import SurfaceSpec, View, check, view
from gateway.errors import BackendFailed, Refusal
from gateway.model import Change, Item, ItemType, Json, JsonObject, Listing
from gateway.ports import Backends

log = logging.getLogger("gateway.catalog")

KINDS: dict[str, tuple[ItemType, ...]] = {
    "tools": ("tool",),
    "prompts": ("prompt",),
    "resources": ("resource", "resource_template"),
}
MAX_PAGES = 200
FIRST_RETRY_S = 0.5
MIN_TTL_S = 5.0
COALESCE_S = 0.05  # a burst of list_changed is one refresh
BURST = 10  # changes of a backend that are heard at once; one more each second
FAILING_PAUSE_S = 2.0  # of a backend that fails and tells of changes; that it is up again is such a change
MAX_TOLD = 20  # lines for the operator about one walk of one backend's lists
CHUNK_ITEMS = 100  # some 5 ms of work


@dataclass(frozen=True, slots=True)
class Freshness:
    refresh_s: float = 60.0
    stale_s: float = 300.0
    max_items: int = 5000  # of one type at one backend
    walk_s: float = 120.0  # for all lists of one backend, however many pages it answers in time


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """What a new catalog differs in, for listeners, metrics and the audit."""

    before: str
    after: str
    surfaces: tuple[str, ...]
    kinds: tuple[str, ...]
    counts: tuple[tuple[str, str, int], ...]  # (backend, type, items)
    detail: JsonObject


class Patience:
    """How long a change that a backend tells of waits to be heard: a burst is heard at once, a flood once a second."""

    def __init__(self, now_s: float) -> None:
        self._credit = float(BURST)
        self._at_s = now_s

    def pause_s(self, now_s: float) -> float:
        self._credit = min(BURST, self._credit + now_s - self._at_s)
        self._at_s = now_s
        if self._credit < 1:
            return 1.0
        self._credit -= 1
        return COALESCE_S


class LiveCatalogs:
    """Implements `ports.Catalogs`. Raises `SurfaceError` for surfaces that could never be shown."""

    def __init__(
        self,
        backends: Backends,
        names: Sequence[str],
        surfaces: Sequence[SurfaceSpec],
        freshness: Freshness,
        on_change: Callable[[CatalogChange], None],
    ) -> None:
        for spec in surfaces:
            check(spec)
        self._backends = backends
        self._names = tuple(names)
        self._surfaces = tuple(surfaces)
        self._freshness = freshness
        self._on_change = on_change
        self._tasks = Tasks()
        self._catalog = Catalog({}, self._names)
        self._views = {spec.name: view(self._catalog, spec) for spec in self._surfaces}
        self._wanted = {name: asyncio.Event() for name in self._names}
        self._tried = {name: asyncio.Event() for name in self._names}
        self._told: dict[str, frozenset[str]] = {name: frozenset() for name in self._names}
        self._closed = False

    def view(self, surface: str) -> View:
        return self._views[surface]

    async def start(self) -> None:
        for name in self._names:
            self._spawn(name, after_s=0.0)

    async def started(self, deadline_s: float) -> None:
        """Wait until every backend answered or failed once, at most `deadline_s`."""
        try:
            async with asyncio.timeout(deadline_s):
                for tried in self._tried.values():
                    await tried.wait()
        except TimeoutError:
            log.warning("not every backend answered within %g s; their items follow when they do", deadline_s)

    async def close(self) -> None:
        self._closed = True
        await self._tasks.close()

    def refresh(self, change: Change) -> None:
        """A backend said that a list changed."""
        if change.backend in self._wanted and change.kind in KINDS:
            self._wanted[change.backend].set()

    # --- one backend ---

    def _spawn(self, name: str, *, after_s: float) -> None:
        task = self._tasks.spawn(self._keep(name, after_s), f"catalog of {name}")
        task.add_done_callback(partial(self._crashed, name))

    def _crashed(self, name: str, task: "asyncio.Task[None]") -> None:
        """A fault of ours ended the loop, and `Tasks` has logged it: what it last knew may not stay in force unwatched."""
        if task.cancelled() or self._closed:
            return
        self._tried[name].set()
        self._spawn(name, after_s=self._freshness.refresh_s)
        self._publish(name, None)

    async def _keep(self, name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        retry_s, good_s, patience = FIRST_RETRY_S, time.monotonic(), Patience(time.monotonic())
        while True:
            self._wanted[name].clear()
            try:
                part = await self._fetched(name)
            except (BackendFailed, Refusal) as failed:
                log.warning("the items of %s cannot be fetched: %s", name, failed)
                stale_in_s = good_s + self._freshness.stale_s - time.monotonic()
                old = self._catalog.parts.get(name)
                self._publish(name, ungranted(old) if old is not None and stale_in_s > 0 else None)
                if old is None or stale_in_s <= 0:
                    stale_in_s = retry_s
                due_s = min(stale_in_s, retry_s * random.uniform(0.8, 1.2))  # noqa: S311 — spreads load, guards nothing
                retry_s = min(retry_s * 2, self._freshness.refresh_s)
                least_s = min(due_s, FAILING_PAUSE_S)  # what it says of changes shortens the wait no further
            else:
                retry_s, good_s = FIRST_RETRY_S, time.monotonic()
                self._publish(name, part)
                due_s, least_s = self._due_s(part) * random.uniform(0.9, 1.0), 0.0  # noqa: S311
            self._tried[name].set()
            await self._wait(name, max(due_s, 0.0), patience, least_s)

    def _due_s(self, part: Part) -> float:
        """Until the shortest freshness that the backend granted ends; our own where it granted none."""
        granted = [ttl_ms / 1000 for ttl_ms in part.ttl_ms.values() if ttl_ms > 0]
        own_s = self._freshness.refresh_s
        return max(min(MIN_TTL_S, own_s), min([own_s, *granted]))

    async def _wait(self, name: str, for_s: float, patience: "Patience", least_s: float) -> None:
        """Until the backend tells of a change, and a pause more, or for `for_s`."""
        try:
            async with asyncio.timeout(for_s):
                await self._wanted[name].wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(least_s, patience.pause_s(time.monotonic())))

    async def _fetched(self, name: str) -> Part:
        """Everything that a backend offers. Raises `BackendFailed`, also when it takes too long over it."""
        items: dict[ItemType, tuple[Item, ...]] = {}
        ttl_ms: dict[ItemType, int] = {}
        left = _LeftOut()
        at_ns = time.time_ns()
        try:
            async with asyncio.timeout(self._freshness.walk_s):
                for type in TYPES:
                    items[type], ttl_ms[type] = await self._walked(name, type, left)
        except TimeoutError as error:
            raise BackendFailed("late", f"its lists took more than {self._freshness.walk_s:g} s", sent=True) from error
        self._tell(name, left)
        return part_of(name, items, ttl_ms, at_ns=at_ns)

    def _tell(self, name: str, left: "_LeftOut") -> None:
        """Say what is left out when that changed, not at every refresh."""
        lines = frozenset(left.lines)
        if lines != self._told[name]:
            for line in left.lines:
                if line not in self._told[name]:
                    log.warning("%s", line)
            if left.more:
                log.warning("%s: %d more entries are not offered", name, left.more)
        self._told[name] = lines

    async def _walked(self, name: str, type: ItemType, left: "_LeftOut") -> tuple[tuple[Item, ...], int]:
        """All pages of one list, bounded; a cursor that comes twice ends the walk. Adds what is not offered to `left`."""
        found: dict[str, Item] = {}
        ttl_ms: int | None = None
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            listing = await self._backends.page(name, type, cursor, None)
            await self._take(listing, found, left)
            ttl_ms = listing.ttl_ms if ttl_ms is None else min(ttl_ms, listing.ttl_ms)
            cursor = listing.next_cursor
            if cursor is None or cursor in seen or len(found) > self._freshness.max_items:
                break
            seen.add(cursor)
        most = self._freshness.max_items
        if len(found) > most:
            left.say(f"{name} lists more than {most} items of type {type}; the rest is left out")
        elif cursor is not None:
            left.say(f"{name}: the list of type {type} loops or has more than {MAX_PAGES} pages; the rest is left out")
        return tuple(found.values())[:most], ttl_ms or 0

    async def _take(self, listing: Listing, found: dict[str, Item], left: "_LeftOut") -> None:
        """Add a page's items to `found`, a few at a time, so that a long page keeps nobody else waiting."""
        for start in range(0, len(listing.definitions), CHUNK_ITEMS):
            items, dropped = read_items(replace(listing, definitions=listing.definitions[start : start + CHUNK_ITEMS]))
            for each in dropped:
                left.drop(each)
            for item in items:
                if found.setdefault(item.id, item) is not item:
                    left.drop(Dropped(item.backend, item.type, item.name, LISTED_BEFORE))
            await asyncio.sleep(0)

    # --- all of them ---

    def _publish(self, name: str, part: Part | None) -> None:
        """Put a backend's new part, or its absence, into force."""
        before = self._catalog
        old = before.parts.get(name)
        parts = {each: own for each, own in before.parts.items() if each != name}
        if part is not None:
            part = parts[name] = refreshed(old, part)
        if part is old and (part is not None or name in before.missing):
            return
        now = Catalog(parts, tuple(each for each in self._names if each not in parts))
        views = {spec.name: view(now, spec, self._views[spec.name]) for spec in self._surfaces}
        old_views, self._views, self._catalog = self._views, views, now
        _tell_collisions(old_views, views)
        detail, kinds = _difference(old, part)
        if not kinds and before.missing == now.missing:
            return
        surfaces = tuple(each for each in views if not _same_items(old_views[each], views[each]))
        counts = tuple((name, type, len(part.items.get(type, ())) if part else 0) for type in TYPES)
        self._on_change(CatalogChange(before.version, now.version, surfaces, kinds, counts, {"backend": name, **detail}))


class _LeftOut:
    """What one walk of a backend's lists leaves out, for the operator: the first lines, and how many more there were."""

    def __init__(self) -> None:
        self.lines: dict[str, None] = {}
        self.more = 0

    def drop(self, each: Dropped) -> None:
        self.say(f"{each.backend}: {each.type} {each.name!r} is not offered: {each.reason}")

    def say(self, line: str) -> None:
        if line in self.lines or len(self.lines) < MAX_TOLD:
            self.lines[line] = None
        else:
            self.more += 1


def _tell_collisions(before: Mapping[str, View], after: Mapping[str, View]) -> None:
    for surface, seen in after.items():
        new = [line for line in seen.collisions if line not in before[surface].collisions]
        for line in new[:MAX_TOLD]:
            log.error("%s", line)
        if len(new) > MAX_TOLD:
            log.error("surface %s: %d more names collide", surface, len(new) - MAX_TOLD)


def _same_items(one: View, other: View) -> bool:
    return all(one.items[type] is other.items[type] for type in TYPES)


def _difference(before: Part | None, after: Part | None) -> tuple[JsonObject, tuple[str, ...]]:
    """What was added, removed and changed, by id, and the kinds of list that it concerns."""
    detail: dict[str, list[Json]] = {"added": [], "removed": [], "changed": []}
    kinds = []
    for kind, types in KINDS.items():
        old = {item.id: item.fingerprint for type in types for item in (before.items.get(type, ()) if before else ())}
        new = {item.id: item.fingerprint for type in types for item in (after.items.get(type, ()) if after else ())}
        if old != new:
            kinds.append(kind)
        detail["added"] += sorted(new.keys() - old.keys())
        detail["removed"] += sorted(old.keys() - new.keys())
        detail["changed"] += sorted(each for each in old.keys() & new.keys() if old[each] != new[each])
    said: JsonObject = {name: list[Json](ids) for name, ids in detail.items() if ids}
    if after is None:
        said["missing"] = True
    return said, tuple(kinds)

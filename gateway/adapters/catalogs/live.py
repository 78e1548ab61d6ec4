"""What exists, kept fresh in the background: every backend by itself, so that a dead one costs its own items only.

Readers get a frozen view. A new catalog replaces the old one whole, and whoever listens is told what changed. What a
backend lists for each subject is fetched as that subject, kept apart, and joined to the rest in a view of its own.
"""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.adapters.catalogs.changes import KINDS, CatalogChange, difference, same_items, tell_collisions
from gateway.adapters.catalogs.freshness import FAILING_PAUSE_S, FIRST_RETRY_S, Freshness, Patience
from gateway.adapters.catalogs.own import Asking, OwnParts, ScopeKey, scope_key
from gateway.adapters.catalogs.walking import Walker
from gateway.adapters.tasks import Tasks
from gateway.catalog.merge import TYPES, Catalog, Part, refreshed, same_objects, ungranted
from gateway.catalog.surface import SurfaceSpec, View, check, view
from gateway.errors import BackendFailed, Refusal
from gateway.model import Caller, Change, JsonObject
from gateway.ports import Backends

log = logging.getLogger("gateway.catalog")

SOMEBODY = "\x1f"  # an owner that nobody is: to learn which backends list for each subject
VIEWS_KEPT = 1024  # callers' own views, over all surfaces: each is made again in some milliseconds
COLLISIONS_TOLD = 1000  # lines about callers' own views, in all


@dataclass(frozen=True, slots=True)
class Ears:
    """Whoever is told: of a change afterwards, of a fetch as a caller before it."""

    changed: Callable[[CatalogChange], None]
    asking: Asking


@dataclass(frozen=True, slots=True)
class _OwnView:
    """One scope's view of one surface, and what it was made from."""

    view: View
    shared: View
    parts: tuple[Part | None, ...]


class LiveCatalogs:
    """Implements `ports.Catalogs`. Raises `SurfaceError` for surfaces that could never be shown."""

    def __init__(
        self, backends: Backends, names: Sequence[str], surfaces: Sequence[SurfaceSpec], freshness: Freshness, ears: Ears
    ) -> None:
        for spec in surfaces:
            check(spec)
        self._names = tuple(names)
        self._surfaces = {spec.name: spec for spec in surfaces}
        self._freshness = freshness
        self._on_change = ears.changed
        self._walker = Walker(backends, freshness)
        self._tasks = Tasks()
        self._own = {
            name: OwnParts(name, self._walker, freshness, ears.asking, partial(self._own_changed, name))
            for name in self._names
            if backends.scope(name, SOMEBODY)
        }
        self._own_on = {spec.name: tuple(self._own[name] for name in spec.backends if name in self._own) for spec in surfaces}
        self._catalog = Catalog({}, self._names)
        self._views = {spec.name: view(self._catalog, spec) for spec in surfaces}
        self._newest = dict(self._views)  # own views, whoever's: what is equal in two of them is one object
        self._own_views: OrderedDict[tuple[str, ScopeKey], _OwnView] = OrderedDict()  # least recently used first
        self._wanted = {name: asyncio.Event() for name in self._names}
        self._tried = {name: asyncio.Event() for name in self._names if name not in self._own}
        self._told: dict[str, frozenset[str]] = {name: frozenset() for name in self._names}
        self._collisions_told: set[str] = set()
        self._closed = False

    def view(self, surface: str, caller: Caller) -> View:
        if not self._own_on[surface]:
            return self._views[surface]
        return self._own_view(surface, scope_key(caller))

    async def full_view(self, surface: str, caller: Caller) -> View:
        owns = self._own_on[surface]
        if not owns:
            return self._views[surface]
        key = scope_key(caller)
        due = {walk: own for own in owns if (walk := own.wanted(key, caller)) is not None}
        if due:
            _, late = await asyncio.wait(due, timeout=max(own.wait_s for own in due.values()))
            for walk in late:  # it goes on: others may wait for it, and who asks next finds what it brings
                due[walk].waited_in_vain()
        return self._own_view(surface, key)

    async def start(self) -> None:
        for name in self._names:
            if name in self._own:
                self._tasks.keep(partial(self._hear, name), f"changes of {name}")
            else:
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
        for own in self._own.values():
            await own.close()

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
                part, left = await self._walker.walked(name, None)
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
                self._told[name] = left.tell(name, self._told[name])
                self._publish(name, part)
                due_s, least_s = self._freshness.lasts_s(part) * random.uniform(0.9, 1.0), 0.0  # noqa: S311
                del part  # mostly equal to the one in force: held while we wait, every item would be there twice
            self._tried[name].set()
            await self._wait(name, max(due_s, 0.0), patience, least_s)

    async def _wait(self, name: str, for_s: float, patience: Patience, least_s: float) -> bool:
        """Until the backend tells of a change, and a pause more, or for `for_s`; whether it told of one."""
        try:
            async with asyncio.timeout(for_s):
                await self._wanted[name].wait()
        except TimeoutError:
            return False
        await asyncio.sleep(max(least_s, patience.pause_s(time.monotonic())))
        return True

    async def _hear(self, name: str) -> None:
        """Of a backend that lists for each subject nothing is fetched in the background: open streams are told to look again."""
        patience = Patience(time.monotonic())
        surfaces = tuple(spec.name for spec in self._surfaces.values() if name in spec.backends)
        while True:
            changed = await self._wait(name, self._freshness.refresh_s, patience, 0.0)
            self._wanted[name].clear()
            if changed:
                self._own[name].expire()
            if len(self._own[name]):
                self._on_change(CatalogChange("", "", surfaces, tuple(KINDS), (), {}))

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
        views = {spec.name: view(now, spec, self._views[spec.name]) for spec in self._surfaces.values()}
        old_views, self._views, self._catalog = self._views, views, now
        tell_collisions(old_views, views)
        detail, kinds = difference(old, part)
        if not kinds and before.missing == now.missing:
            return
        surfaces = tuple(each for each in views if not same_items(old_views[each], views[each]))
        counts = tuple((name, type, len(part.items.get(type, ())) if part else 0) for type in TYPES)
        self._on_change(CatalogChange(before.version, now.version, surfaces, kinds, counts, {"backend": name, **detail}))

    # --- each subject's own ---

    def _own_view(self, surface: str, key: ScopeKey) -> View:
        shared, owns = self._views[surface], self._own_on[surface]
        parts = tuple(own.part(key) for own in owns)
        place = (surface, key)
        kept = self._own_views.get(place)
        if kept is not None and kept.shared is shared and same_objects(kept.parts, parts):
            self._own_views.move_to_end(place)
            return kept.view
        merged = self._merged(surface, parts, kept.view if kept is not None else self._newest[surface])
        self._own_views[place] = _OwnView(merged, shared, parts)
        self._newest[surface] = merged
        if len(self._own_views) > VIEWS_KEPT:
            self._own_views.popitem(last=False)
        return merged

    def _merged(self, surface: str, own: Sequence[Part | None], previous: View) -> View:
        """The surface with a caller's own parts, of the very objects of `previous` as far as nothing changed."""
        parts = {**self._catalog.parts, **{part.backend: part for part in own if part is not None}}
        missing = tuple(name for name in self._names if name not in parts)
        merged = view(Catalog(parts, missing), self._surfaces[surface], previous)
        for line in merged.collisions:
            if line not in self._collisions_told and len(self._collisions_told) < COLLISIONS_TOLD:
                self._collisions_told.add(line)
                log.error("%s", line)
        return merged

    def _own_changed(self, name: str, caller: Caller, before: Part | None, now: Part) -> None:
        """A caller's lists differ from those it had, or are its first: that is for its own streams, and the record."""
        detail, kinds = difference(before, now)
        if not kinds:
            return
        surfaces = tuple(spec.name for spec in self._surfaces.values() if name in spec.backends)
        said: JsonObject = {}
        if before is not None:  # the first were recorded when they were asked for
            who = caller.subject.identity
            said = {"backend": name, "subject": {"issuer": who.issuer, "id": who.id}, **detail}
            if caller.agent_id is not None:
                said["agent"] = caller.agent_id
        earlier = before.version[:16] if before is not None else ""
        self._on_change(CatalogChange(earlier, now.version[:16], surfaces, kinds, (), said, caller.key))

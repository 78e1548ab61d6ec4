"""One walk through all lists of one backend, bounded in pages, items and time: everything it offers, or `BackendFailed`."""

import asyncio
import logging
import time
from dataclasses import replace

from gateway.adapters.catalogs.changes import MAX_TOLD
from gateway.adapters.catalogs.freshness import Freshness
from gateway.catalog.items import LISTED_BEFORE, Dropped, read_items
from gateway.catalog.merge import TYPES, Part, part_of
from gateway.errors import BackendFailed
from gateway.model import Caller, Item, ItemType, Listing
from gateway.ports import Backends

log = logging.getLogger("gateway.catalog")

MAX_PAGES = 200
CHUNK_ITEMS = 100  # some 5 ms of work


class Walker:
    """Walks a backend's lists, with the gateway's own credential or with a caller's."""

    def __init__(self, backends: Backends, freshness: Freshness) -> None:
        self._backends = backends
        self._freshness = freshness

    async def walked(self, name: str, caller: Caller | None) -> tuple[Part, "LeftOut"]:
        """Everything that a backend offers to `caller`, and what of it cannot be. Raises `BackendFailed`, `Refusal`."""
        items: dict[ItemType, tuple[Item, ...]] = {}
        ttl_ms: dict[ItemType, int] = {}
        left = LeftOut()
        at_ns = time.time_ns()
        try:
            async with asyncio.timeout(self._freshness.walk_s):
                for type in TYPES:
                    items[type], ttl_ms[type] = await self._list(name, type, caller, left)
        except TimeoutError as error:
            raise BackendFailed("late", f"its lists took more than {self._freshness.walk_s:g} s", sent=True) from error
        return part_of(name, items, ttl_ms, at_ns=at_ns), left

    async def _list(self, name: str, type: ItemType, caller: Caller | None, left: "LeftOut") -> tuple[tuple[Item, ...], int]:
        """All pages of one list, bounded; a cursor that comes twice ends the walk. Adds what is not offered to `left`."""
        found: dict[str, Item] = {}
        ttl_ms: int | None = None
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            listing = await self._backends.page(name, type, cursor, caller)
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

    async def _take(self, listing: Listing, found: dict[str, Item], left: "LeftOut") -> None:
        """Add a page's items to `found`, a few at a time, so that a long page keeps nobody else waiting."""
        for start in range(0, len(listing.definitions), CHUNK_ITEMS):
            items, dropped = read_items(replace(listing, definitions=listing.definitions[start : start + CHUNK_ITEMS]))
            for each in dropped:
                left.drop(each)
            for item in items:
                if found.setdefault(item.id, item) is not item:
                    left.drop(Dropped(item.backend, item.type, item.name, LISTED_BEFORE))
            await asyncio.sleep(0)


class LeftOut:
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

    def tell(self, name: str, told: frozenset[str]) -> frozenset[str]:
        """Say what is not in `told` yet, so not at every refresh; what is told now."""
        lines = frozenset(self.lines)
        if lines != told:
            for line in self.lines:
                if line not in told:
                    log.warning("%s", line)
            if self.more:
                log.warning("%s: %d more entries are not offered", name, self.more)
        return lines

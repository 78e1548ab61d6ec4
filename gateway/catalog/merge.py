"""The catalog: the items of all backends at one moment, in one fixed order. Frozen; a newer one replaces it whole."""

import hashlib
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.model import Item, ItemType

TYPES: tuple[ItemType, ...] = ("tool", "prompt", "resource", "resource_template")


@dataclass(frozen=True, slots=True)
class Part:
    """What one backend offers; `part_of` makes it."""

    backend: str
    items: Mapping[ItemType, tuple[Item, ...]]
    ttl_ms: Mapping[ItemType, int]  # freshness that the backend granted
    fresh_until_ns: Mapping[ItemType, int]  # when that ends, Unix time
    version: str  # changes when any item does


@dataclass(frozen=True, slots=True)
class Catalog:
    """All parts that are known, and the backends whose part is not."""

    parts: Mapping[str, Part]
    missing: tuple[str, ...]

    @property
    def version(self) -> str:
        """Changes when any item does."""
        whole = "".join(f"{name} {self.parts[name].version}\n" for name in sorted(self.parts))
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def part_of(backend: str, items: Mapping[ItemType, tuple[Item, ...]], ttl_ms: Mapping[ItemType, int], *, at_ns: int) -> Part:
    """What `backend` offered when it was asked at `at_ns` (Unix time)."""
    whole = hashlib.sha256()
    for type in TYPES:
        for line in sorted(f"{type}\0{item.id}\0{item.fingerprint}\n" for item in items.get(type, ())):
            whole.update(line.encode())
    fresh_until_ns = {type: at_ns + granted * 1_000_000 for type, granted in ttl_ms.items() if granted > 0}
    return Part(backend, items, ttl_ms, fresh_until_ns, whole.hexdigest())


def refreshed(before: Part | None, now: Part) -> Part:
    """`now`, made of the very objects of `before` as far as nothing changed: what is kept by identity stays valid."""
    if before is None:
        return now
    items = {type: kept(before.items.get(type, ()), now.items.get(type, ())) for type in TYPES}
    unchanged = all(items[type] is before.items.get(type, ()) for type in TYPES)
    if unchanged and now.ttl_ms == before.ttl_ms and now.fresh_until_ns == before.fresh_until_ns:
        return before
    return Part(now.backend, items, now.ttl_ms, now.fresh_until_ns, now.version)


def ungranted(part: Part) -> Part:
    """`part` as it stays in force while its backend fails: nobody may keep it any longer."""
    return replace(part, ttl_ms=dict.fromkeys(part.ttl_ms, 0), fresh_until_ns={})


def kept(before: tuple[Item, ...], now: tuple[Item, ...]) -> tuple[Item, ...]:
    """`now`, with the old object of every item that is as it was; the old tuple where all are."""
    known = {item.id: item for item in before}
    items = tuple(old if (old := known.get(item.id)) is not None and _same(old, item) else item for item in now)
    return before if same_objects(before, items) else items


def same_objects(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _same(one: Item, other: Item) -> bool:
    """All that an item holds follows from its definition, of which the fingerprint tells every part that counts."""
    return one.fingerprint == other.fingerprint and one.modern == other.modern

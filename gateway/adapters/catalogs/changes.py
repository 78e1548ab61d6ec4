"""What a new catalog differs in from the one before, for those who are told of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalog.merge import TYPES, Part
from gateway.catalog.surface import View
from gateway.model import ItemType, Json, JsonObject

log = logging.getLogger("gateway.catalog")

KINDS: dict[str, tuple[ItemType, ...]] = {
    "tools": ("tool",),
    "prompts": ("prompt",),
    "resources": ("resource", "resource_template"),
}
MAX_TOLD = 20  # lines for the operator about one walk of one backend's lists


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """What a new catalog differs in, for listeners, metrics and the audit."""

    before: str
    after: str
    surfaces: tuple[str, ...]
    kinds: tuple[str, ...]
    counts: tuple[tuple[str, str, int], ...]  # (backend, type, items); none where it concerns one caller only
    detail: JsonObject  # empty: nothing to record, only a reason to look again
    owner: str | None = None  # whose own lists changed (`Caller.key`); None: everybody's


def tell_collisions(before: Mapping[str, View], after: Mapping[str, View]) -> None:
    for surface, seen in after.items():
        new = [line for line in seen.collisions if line not in before[surface].collisions]
        for line in new[:MAX_TOLD]:
            log.error("%s", line)
        if len(new) > MAX_TOLD:
            log.error("surface %s: %d more names collide", surface, len(new) - MAX_TOLD)


def same_items(one: View, other: View) -> bool:
    return all(one.items[type] is other.items[type] for type in TYPES)


def difference(before: Part | None, after: Part | None) -> tuple[JsonObject, tuple[str, ...]]:
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

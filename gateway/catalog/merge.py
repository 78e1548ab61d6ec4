"""The catalog: the items of all backends at one moment, in one fixed order. Frozen; a newer one replaces it whole."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import Item, ItemType

TYPES: tuple[ItemType, ...] = ("tool", "prompt", "resource", "resource_template")


@dataclass(frozen=True, slots=True)
class Part:
    """What one backend offers."""

    backend: str
    items: Mapping[ItemType, tuple[Item, ...]]
    ttl_ms: Mapping[ItemType, int]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All parts that are known, and the backends whose part is not."""

    parts: Mapping[str, Part]
    missing: tuple[str, ...]

    @property
    def version(self) -> str:
        """Changes when any item does."""
        whole = hashlib.sha256()
        for backend in sorted(self.parts):
            for type in TYPES:
                for item in sorted(self.parts[backend].items.get(type, ()), key=_order):
                    whole.update(f"{item.id}\0{type}\0{item.fingerprint}\n".encode())
        return whole.hexdigest()[:16]


def _order(item: Item) -> str:
    return item.id

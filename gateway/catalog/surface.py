"""A surface: a named, curated part of the catalog at its own URL, and the frozen view of it that exchanges read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model import Item, ItemType


@dataclass(frozen=True, slots=True)
class View:
    """One surface at one moment. Never changes; a newer catalog makes a newer view."""

    surface: str
    backends: tuple[str, ...]
    items: Mapping[ItemType, tuple[Item, ...]]  # each in order of `public_name`
    missing: tuple[str, ...] = ()  # backends whose part is not (or no longer) known
    instructions: str | None = None  # for the model
    bare: bool = False  # one backend, its own names
    ttl_ms: Mapping[ItemType, int] = field(default_factory=dict)  # how long a list may be kept by the client
    by_name: Mapping[tuple[ItemType, str], Item] = field(default_factory=dict)  # (type, public_name)

    def find(self, type: ItemType, public_name: str) -> Item | None:
        return self.by_name.get((type, public_name))

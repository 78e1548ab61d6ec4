"""A surface: a named, curated part of the catalog at its own URL, and the frozen view of it that exchanges read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache

from gateway.catalog.items import presented
from gateway.catalog.merge import TYPES, Catalog
from gateway.catalog.names import public_uri, split_uri
from gateway.catalog.templates import pattern
from gateway.model import Item, ItemType, Json


class SurfaceError(Exception):
    """A surface cannot be shown as it is set; the message says which two things collide."""


@dataclass(frozen=True, slots=True)
class SurfaceSpec:
    """What one surface shows. Patterns are shell-like, on ids (`crm__*`) or on `type:id` (`prompt:*`)."""

    name: str
    backends: tuple[str, ...]
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)  # item id -> public name
    descriptions: Mapping[str, str] = field(default_factory=dict)  # item id -> description
    instructions: str | None = None
    bare: bool = False


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
    by_uri: Mapping[tuple[str, str], Item] = field(default_factory=dict)  # (backend, its URI), listed resources
    spec: SurfaceSpec | None = None

    def find(self, type: ItemType, public_name: str) -> Item | None:
        return self.by_name.get((type, public_name))

    def locate(self, public_uri: str) -> tuple[str, str] | None:
        """Backend and its own URI; None: no URI of a backend on this surface."""
        if self.bare:
            return self.backends[0], public_uri
        place = split_uri(public_uri)
        return place if place is not None and place[0] in self.backends else None

    def publish_uri(self, backend: str, uri: str) -> str:
        return uri if self.bare else public_uri(backend, uri)

    def resource_of(self, backend: str, uri: str) -> Item | None:
        return self.by_uri.get((backend, uri))

    def template_of(self, backend: str, uri: str) -> Item | None:
        """The template that `uri` matches; of several the one with the most literal text, then the first by name."""
        best: tuple[int, Item] | None = None
        for item in self.items.get("resource_template", ()):
            if item.backend != backend:
                continue
            found = pattern(item.name)
            if found is not None and found.matches(uri) and (best is None or found.literal_chars > best[0]):
                best = (found.literal_chars, item)
        return best[1] if best else None


def view(catalog: Catalog, spec: SurfaceSpec) -> View:
    """The surface as `catalog` fills it. Raises `SurfaceError` when two items would have one name."""
    items = {type: _items(catalog, spec, type) for type in TYPES}
    by_name: dict[tuple[ItemType, str], Item] = {}
    for type in TYPES:
        for item in items[type]:
            other = by_name.setdefault((type, item.public_name), item)
            if other is not item:
                raise SurfaceError(f"surface {spec.name}: {other.id} and {item.id} would both be called {item.public_name}")
    missing = tuple(name for name in spec.backends if name in catalog.missing)
    return View(
        surface=spec.name,
        backends=spec.backends,
        items=items,
        missing=missing,
        instructions=spec.instructions,
        bare=spec.bare,
        ttl_ms={type: 0 if missing else _ttl_ms(catalog, spec, type) for type in TYPES},
        by_name=by_name,
        by_uri={(item.backend, item.name): item for item in items["resource"]},
        spec=spec,
    )


def shown(view: View, items: Sequence[Item]) -> tuple[Item, ...]:
    """Those of a backend's items that belong on this surface, as it shows them."""
    assert view.spec is not None
    return tuple(_presented(view.spec, item) for item in items if _included(view.spec, item))


def _items(catalog: Catalog, spec: SurfaceSpec, type: ItemType) -> tuple[Item, ...]:
    parts = [catalog.parts[backend] for backend in spec.backends if backend in catalog.parts]
    chosen = [_presented(spec, item) for part in parts for item in part.items.get(type, ()) if _included(spec, item)]
    return tuple(sorted(chosen, key=lambda item: item.public_name))


def _presented(spec: SurfaceSpec, item: Item) -> Item:
    name = spec.renames.get(item.id) or (item.name if spec.bare else item.id)
    description = spec.descriptions.get(item.id)
    if name == item.public_name and description is None:
        return item
    definition: dict[str, Json] = dict(item.definition)
    if description is not None:
        definition["description"] = description
    return presented(item, definition, name)


def _included(spec: SurfaceSpec, item: Item) -> bool:
    return _any(spec.include, item) and not _any(spec.exclude, item)


def _any(patterns: Sequence[str], item: Item) -> bool:
    return any(_glob(each).match(item.id) or _glob(each).match(f"{item.type}:{item.id}") for each in patterns)


@lru_cache(maxsize=4096)
def _glob(text: str) -> re.Pattern[str]:
    """Of the operator's own settings, so Python's expressions are safe here."""
    return re.compile(translate(text))


def _ttl_ms(catalog: Catalog, spec: SurfaceSpec, type: ItemType) -> int:
    """The shortest that a backend grants: what it did not grant is not ours to promise."""
    parts = [catalog.parts[backend] for backend in spec.backends if backend in catalog.parts]
    return min((part.ttl_ms.get(type, 0) for part in parts), default=0)

"""A surface: a named, curated part of the catalog at its own URL, and the frozen view of it that exchanges read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from itertools import groupby

from gateway.catalog.items import own_links, presented
from gateway.catalog.merge import TYPES, Catalog, Part, same_objects
from gateway.catalog.names import NAME, public_uri, split_name, split_uri
from gateway.catalog.templates import Pattern, pattern
from gateway.model import Item, ItemType

Templates = Mapping[str, tuple[tuple[Pattern, Item], ...]]
"""By backend, the most literal text first, then by name: the first that matches counts."""


class SurfaceError(ValueError):
    """A surface can never be shown as it is set; the message says what is wrong, or which two things collide."""


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
    fresh_until_ns: Mapping[ItemType, int] = field(default_factory=dict)  # Unix time at which `ttl_ms` has run out
    parts: tuple[Part, ...] = ()  # what this view was made from
    sources: Mapping[ItemType, tuple[Item, ...]] = field(default_factory=dict)  # `items` before this surface named them
    collisions: tuple[str, ...] = ()  # items left out because they would share a name; for the operator
    templates: Templates = field(default_factory=dict)

    def find(self, type: ItemType, public_name: str) -> Item | None:
        return self.by_name.get((type, public_name))

    def locate(self, uri: str) -> tuple[str, str] | None:
        """Backend and its own URI; None: no URI of a backend on this surface, or one that the surface excludes."""
        place = (self.backends[0], uri) if self.bare else split_uri(uri)
        if place is None or place[0] not in self.backends:
            return None
        return None if self.spec is not None and _excluded(self.spec, "resource", public_uri(*place)) else place

    def ttl_left_ms(self, type: ItemType, now_ns: int) -> int:
        """How long a client may still keep this list: what is left of the shortest freshness granted, not all of it again."""
        return min(max(0, (self.fresh_until_ns.get(type, 0) - now_ns) // 1_000_000), self.ttl_ms.get(type, 0))

    def publish_uri(self, backend: str, uri: str) -> str:
        return uri if self.bare else public_uri(backend, uri)

    def resource_of(self, backend: str, uri: str) -> Item | None:
        return self.by_uri.get((backend, uri))

    def template_of(self, backend: str, uri: str) -> Item | None:
        """The template that `uri` matches; of several the one with the most literal text, then the first by name."""
        return next((item for found, item in self.templates.get(backend, ()) if found.matches(uri)), None)


def check(spec: SurfaceSpec) -> None:
    """What can be wrong before any backend has answered. Raises `SurfaceError`, which names both of two that collide."""
    if spec.bare and len(spec.backends) != 1:
        raise SurfaceError(f"surface {spec.name}: bare names need exactly one backend, not {len(spec.backends)}")
    taken: dict[str, str] = {}
    for id, name in spec.renames.items():
        place = split_name(id)
        if place is None or place[0] not in spec.backends:
            raise SurfaceError(
                f"surface {spec.name}: {id} cannot be renamed: it is not a tool or prompt of the surface's backends"
            )
        if not NAME.fullmatch(name):
            raise SurfaceError(f"surface {spec.name}: {name!r} is no name for {id}: 1 to 128 letters, digits, `_`, `.` and `-`")
        other_place = split_name(name)
        if not spec.bare and name != id and other_place is not None and other_place[0] in spec.backends:
            raise SurfaceError(
                f"surface {spec.name}: {id} cannot be called {name}: {other_place[0]} may have an item of its own under that name"
            )
        other = taken.setdefault(name, id)
        if other != id:
            raise SurfaceError(f"surface {spec.name}: {other} and {id} would both be called {name}")


def view(catalog: Catalog, spec: SurfaceSpec, previous: View | None = None) -> View:
    """The surface as `catalog` fills it. Items that would share a name are left out, both of them, and told as `collisions`.

    Made of the very objects of the `previous` view as far as nothing changed, down to `previous` itself.
    """
    parts = tuple(catalog.parts[backend] for backend in spec.backends if backend in catalog.parts)
    missing = tuple(name for name in spec.backends if name in catalog.missing)
    if previous is not None and previous.missing == missing and same_objects(previous.parts, parts):
        return previous
    collisions: list[str] = []
    chosen = {type: _chosen(parts, spec, type, previous, collisions) for type in TYPES}
    items = {type: named for type, (_, named) in chosen.items()}
    same = previous if previous is not None and all(items[type] is previous.items[type] for type in TYPES) else None
    return View(
        surface=spec.name,
        backends=spec.backends,
        items=items,
        missing=missing,
        instructions=spec.instructions,
        bare=spec.bare,
        ttl_ms={type: 0 if missing else _least([part.ttl_ms for part in parts], type) for type in TYPES},
        by_name=same.by_name if same else {(type, item.public_name): item for type in TYPES for item in items[type]},
        by_uri=same.by_uri if same else {(item.backend, item.name): item for item in items["resource"]},
        spec=spec,
        fresh_until_ns={type: 0 if missing else _least([part.fresh_until_ns for part in parts], type) for type in TYPES},
        parts=parts,
        sources={type: sources for type, (sources, _) in chosen.items()},
        collisions=tuple(collisions),
        templates=_templates(items["resource_template"], previous),
    )


def shown(view: View, items: Sequence[Item]) -> tuple[Item, ...]:
    """Those of a backend's items that belong on this surface, as it shows them."""
    assert view.spec is not None
    return tuple(_presented(view.spec, item) for item in items if _included(view.spec, item))


def _chosen(
    parts: Sequence[Part], spec: SurfaceSpec, type: ItemType, previous: View | None, collisions: list[str]
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """The surface's items as the catalog has them, and under their names here, both in order of the names.

    Adds to `collisions` what is left out.
    """
    old_sources, old_items = (previous.sources[type], previous.items[type]) if previous is not None else ((), ())
    known = {id(source): item for source, item in zip(old_sources, old_items, strict=True)}
    included = [source for part in parts for source in part.items.get(type, ()) if _included(spec, source)]
    pairs = [(source, known.get(id(source)) or _presented(spec, source)) for source in included]
    pairs.sort(key=lambda pair: (pair[1].public_name, pair[1].id))
    alone = []
    for name, sharing in groupby(pairs, key=lambda pair: pair[1].public_name):
        group = list(sharing)
        if len(group) == 1:
            alone += group
            continue
        ids = " and ".join(item.id for _, item in group)
        collisions.append(f"surface {spec.name}: {ids} would both be called {name}, so neither is shown")
    sources, items = tuple(source for source, _ in alone), tuple(item for _, item in alone)
    return (old_sources, old_items) if same_objects(old_items, items) else (sources, items)


def _templates(items: tuple[Item, ...], previous: View | None) -> Templates:
    if previous is not None and previous.items["resource_template"] is items:
        return previous.templates
    compiled = {id(item): found for ranked in (previous.templates.values() if previous else ()) for found, item in ranked}
    by_backend: dict[str, list[tuple[Pattern, Item]]] = {}
    for item in items:
        found = compiled.get(id(item)) or pattern(item.name)
        if found is not None:
            by_backend.setdefault(item.backend, []).append((found, item))
    return {
        backend: tuple(sorted(pairs, key=lambda pair: (-pair[0].literal_chars, pair[1].public_name)))
        for backend, pairs in by_backend.items()
    }


def _presented(spec: SurfaceSpec, item: Item) -> Item:
    name = spec.renames.get(item.id) or (item.name if spec.bare else item.id)
    definition = own_links(item.definition) if spec.bare else item.definition
    description = spec.descriptions.get(item.id)
    if name == item.public_name and description is None and definition is item.definition:
        return item
    return presented(item, definition if description is None else {**definition, "description": description}, name)


def _included(spec: SurfaceSpec, item: Item) -> bool:
    if len(spec.backends) > 1 and _for_apps_only(item):
        return False
    return _any(spec.include, item.type, item.id) and not _excluded(spec, item.type, item.id)


def _excluded(spec: SurfaceSpec, type: ItemType, id: str) -> bool:
    return _any(spec.exclude, type, id)


def _any(patterns: Sequence[str], type: ItemType, id: str) -> bool:
    return any(_glob(each).match(id) or _glob(each).match(f"{type}:{id}") for each in patterns)


def _for_apps_only(item: Item) -> bool:
    """MCP Apps: only the user interface of the same server may call it, and a client takes a whole surface for one server."""
    meta = item.definition.get("_meta") if item.type == "tool" else None
    ui = meta.get("ui") if isinstance(meta, dict) else None
    visibility = ui.get("visibility") if isinstance(ui, dict) else None
    return visibility is not None and not (isinstance(visibility, list) and "model" in visibility)


@lru_cache(maxsize=4096)
def _glob(text: str) -> re.Pattern[str]:
    """Of the operator's own settings, so Python's expressions are safe here."""
    return re.compile(translate(text))


def _least(granted: Sequence[Mapping[ItemType, int]], type: ItemType) -> int:
    """The shortest that a backend grants: what it did not grant is not ours to promise."""
    return min((each.get(type, 0) for each in granted), default=0)

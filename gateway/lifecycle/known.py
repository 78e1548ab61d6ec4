"""The items that a policy repository knows: those of its facts, reviewed or labelled, and the tools that have a schema."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.lifecycle.catalog.names import meant
from gateway.policy.facts import whole

ALIKE = 0.6  # of difflib's ratio: names are longer than labels, and "closeticket" is like "close_ticket"
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Items:
    """By backend and type: names of tools and prompts, URIs of resources, URI templates."""

    by_backend: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    def of(self, backend: str, type: str) -> frozenset[str]:
        return self.by_backend.get(backend, {}).get(type, frozenset())


def known_items(facts: Mapping[str, str], schemas: Path) -> Items:
    """`facts`: their files. Broken ones, of which others tell, know nothing."""
    found: dict[str, dict[str, set[str]]] = {}
    try:
        told: Any = whole(facts)
    except (ValueError, yaml.YAMLError):
        return Items()
    for backend, types in _members(told.get("items")):
        for type, named in _members(types):
            found.setdefault(backend, {}).setdefault(type, set()).update(name for name, _ in _members(named))
    for path in sorted((schemas / "tools").glob("*/*.json")):
        if (name := meant(path.stem)) is not None:
            found.setdefault(path.parent.name, {}).setdefault("tool", set()).add(name)
    return Items({backend: {type: frozenset(names) for type, names in types.items()} for backend, types in found.items()})


def instead(name: str, known: Collection[str]) -> str:
    """What there is, in a clause."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=ALIKE)
    if close:
        return f'did you mean "{close[0]}"?'
    shown = sorted(known)[:SHOWN]
    return f"there are {', '.join(shown)}" + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")


def _members(value: Any) -> Collection[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()

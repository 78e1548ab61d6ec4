"""What texts in the facts name, where their schema says so: `"x-names": "label"` for a reviewed label, `"zone"` for a time zone.

JSON Schema cannot know whether there is such a thing, and a rule that asks about a label which nothing has protects nothing.
`"x-besides"` lists words that stand for themselves where labels are expected.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.model import Json, JsonObject
from gateway.policy.facts import Key, Places, placed, standing

Thing = Literal["label", "zone"]
NAMES, BESIDES = "x-names", "x-besides"


@dataclass(frozen=True, slots=True)
class Named:
    """One text, and where it stands."""

    text: str
    path: str
    file: str
    line: int


def named(texts: Mapping[str, str], schema: JsonObject, thing: Thing) -> tuple[Named, ...]:
    """Every text in facts that were checked which names such a thing. Raises `ValueError` where they were not."""
    merged, places = placed(texts)
    return tuple(_told(places, path, text) for path, text in _named(merged, schema, thing, ()))


def item_labels(texts: Mapping[str, str]) -> tuple[Named, ...]:
    """Every label of every item. Raises `ValueError` where the facts were not checked."""
    merged, places = placed(texts)
    found = []
    for backend, types in _members(merged.get("items")):
        for kind, items in _members(types):
            for name, item in _members(items):
                said = item.get("labels") if isinstance(item, dict) else None
                for at, label in enumerate(said if isinstance(said, list) else ()):
                    if isinstance(label, str):
                        found.append(_told(places, ("items", backend, kind, name, "labels", at), label))
    return tuple(found)


def _told(places: Places, path: tuple[Key, ...], text: str) -> Named:
    file, line = standing(places, path)
    return Named(text, ".".join(str(key) for key in path), file, line)


def _members(value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        yield from value.items()


def _named(value: Json, schema: Json, thing: Thing, path: tuple[Key, ...]) -> Iterator[tuple[tuple[Key, ...], str]]:
    if not isinstance(schema, dict):
        return
    if isinstance(value, str) and _names(schema, value, thing):
        yield path, value
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _named(each, schema.get("items"), thing, (*path, at))
    elif isinstance(value, dict):
        members = schema.get("properties")
        for name, each in value.items():
            if _names(schema.get("propertyNames"), name, thing):
                yield (*path, name), name
            below = members.get(name) if isinstance(members, dict) else None
            yield from _named(each, schema.get("additionalProperties") if below is None else below, thing, (*path, name))


def _names(schema: Json, text: str, thing: Thing) -> bool:
    if not isinstance(schema, dict) or schema.get(NAMES) != thing:
        return False
    besides = schema.get(BESIDES)
    return not (isinstance(besides, list) and text in besides)

"""What changed between two definitions, as a reader names it: a text, an argument, a hint. Nothing that changed is left out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias

import msgspec

from gateway.model import Json, JsonObject

Area: TypeAlias = Literal["text", "argument", "result", "hint", "member"]
How: TypeAlias = Literal["added", "removed", "changed", "retyped", "required", "optional"]
Path: TypeAlias = tuple[str, ...]


class Absent(Enum):
    ABSENT = "absent"


ABSENT = Absent.ABSENT
Side: TypeAlias = "Json | Absent"
SCHEMAS: Mapping[str, Area] = {"inputSchema": "argument", "outputSchema": "result", "arguments": "argument"}
TYPING = frozenset({"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "format", "prefixItems", "items"})
TEXTS = frozenset({"description", "title"})


@dataclass(frozen=True, slots=True)
class Difference:
    area: Area
    how: How
    path: str  # JSON pointer into the definition; a prompt's argument stands under its name
    about: str  # the argument (`customer.email`, `tags[]`), the hint or the member
    before: Side
    now: Side

    def members(self) -> dict[str, Json]:
        sides = {name: side for name, side in (("before", self.before), ("now", self.now)) if not isinstance(side, Absent)}
        return {"area": self.area, "how": self.how, "path": self.path, "about": self.about, **sides}


def differences(before: JsonObject, now: JsonObject) -> tuple[Difference, ...]:
    """In the order of a reader's interest: texts, arguments, hints, results, all else. None only if all is the same."""
    found = [told for leaf in _leaves(_by_name(before), _by_name(now), ()) for told in _told(*leaf)]
    order = ("text", "argument", "hint", "result", "member")
    return tuple(sorted(found, key=lambda each: (order.index(each.area), each.path, each.how)))


def pointer(path: Path) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def _by_name(definition: JsonObject) -> JsonObject:
    """A prompt's arguments under their names, so that one that moved has not changed."""
    told = definition.get("arguments")
    if not isinstance(told, list):
        return definition
    named: JsonObject = {str(each.get("name")): each for each in told if isinstance(each, dict)}
    return {**definition, "arguments": named} if len(named) == len(told) else definition


def _leaves(before: Side, now: Side, path: Path) -> Iterator[tuple[Path, Side, Side]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            yield from _leaves(before.get(name, ABSENT), now.get(name, ABSENT), (*path, name))
    elif _deep(before) and _deep(now) and len(before) == len(now):  # type: ignore[arg-type]
        for place, (one, other) in enumerate(zip(before, now, strict=True)):  # type: ignore[arg-type]
            yield from _leaves(one, other, (*path, str(place)))
    elif _bytes(before) != _bytes(now):  # true is not 1, and 1.0 not 1: they are written otherwise
        yield path, before, now


def _deep(value: Side) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict | list) for each in value)


def _bytes(value: Side) -> bytes | None:
    return None if isinstance(value, Absent) else msgspec.json.encode(value, order="sorted")


def _told(path: Path, before: Side, now: Side) -> Iterator[Difference]:
    area, about, word = _place(path)
    how: How = "added" if isinstance(before, Absent) else "removed" if isinstance(now, Absent) else "changed"
    if word[:1] == ("required",) and len(word) == 1 and area in {"argument", "result"}:
        yield from _required(area, path, about, before, now)
    elif word and word[-1] in TEXTS and all(side is ABSENT or isinstance(side, str) for side in (before, now)):
        yield Difference("text", how, pointer(path), about, before, now)
    elif area in {"argument", "result"} and word:
        retyped = word[0] in TYPING
        yield Difference(area, "retyped" if retyped else "changed", pointer(path), _named(about, word, retyped), before, now)
    else:
        yield Difference(area, how, pointer(path), about, before, now)


def _named(about: str, word: Path, retyped: bool) -> str:
    words = word[1:] if retyped and len(word) == 1 else word
    return f"{about}: {pointer(words)[1:]}".removeprefix(": ") if words else about


def _required(area: Area, path: Path, about: str, before: Side, now: Side) -> Iterator[Difference]:
    """A list of names in a schema, true or false at a prompt's argument."""
    if not isinstance(before, list) and not isinstance(now, list):
        how: How = "required" if now is True else "optional"
        yield Difference(area, how, pointer(path), about, before, now)
        return
    old, new = (side if isinstance(side, list) else [] for side in (before, now))
    gained = [name for name in new if name not in old]
    lost = [name for name in old if name not in new]
    for name in gained:
        yield Difference(area, "required", pointer(path), _below(about, str(name)), ABSENT, name)
    for name in lost:
        yield Difference(area, "optional", pointer(path), _below(about, str(name)), name, ABSENT)
    if not gained and not lost:
        yield Difference(area, "changed", pointer(path), _below(about, "required"), before, now)


def _place(path: Path) -> tuple[Area, str, Path]:
    """Where in a definition, whose name a reader knows it by, and the word of its schema that is meant."""
    if path[0] in SCHEMAS and len(path) > 1:
        if path[0] == "arguments":
            return "argument", path[1], path[2:]
        about, rest = _argument(path[1:])
        return SCHEMAS[path[0]], about, rest
    if path[0] == "annotations":
        return "hint", pointer(path[1:])[1:] or "annotations", path[1:]
    return "member", pointer(path)[1:], path


def _argument(path: Path) -> tuple[str, Path]:
    about = ""
    while path:
        if path[0] == "properties" and len(path) > 1:
            about, path = _below(about, path[1]), path[2:]
        elif path[0] == "items" and len(path) > 1:
            about, path = f"{about}[]", path[1:]
        else:
            break
    return about, path


def _below(about: str, name: str) -> str:
    return f"{about}.{name}" if about else name


def shown_type(schema: Any) -> str:
    """A property's type, as short as a reader needs it."""
    if not isinstance(schema, dict):
        return "anything"
    told = schema.get("type")
    if isinstance(told, list):
        return " or ".join(str(each) for each in told)
    if isinstance(told, str):
        return told
    return next((word for word in sorted(TYPING) if word in schema), "anything")

"""A backend's schema in the words that OPA's type checker understands, so that a misspelt argument is an error in a rule.

OPA 1.21 takes the first of several types for the only one, ignores `oneOf`, takes everything for anything under an `anyOf` of
which one part names no properties, gives up on the whole set for a type that it does not know, and fetches what a `$ref`
names. So nothing is passed on: a new schema is built of types, properties, items and enumerated values. It is never
narrower than the backend's, but for names that the backend's own leaves open without listing them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import unquote

from gateway.model import Json, JsonObject

MAX_NODES = 4_000  # parts of one schema, references followed: one that refers twice to the next level doubles with every level
MAX_DEPTH = 24  # beyond it no rule is written
MAX_NOTES = 10
SPEAKS = frozenset({"$ref", "allOf", "anyOf", "oneOf"})  # of types, in parts that are looked at themselves
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")

Role: TypeAlias = Literal["whole", "choice", "aside"]  # holds in any case, is one of several that may, or under a condition
Place: TypeAlias = tuple[str, ...]
Part: TypeAlias = tuple[JsonObject, Role, frozenset[str]]  # with the references that led to it


@dataclass(frozen=True, slots=True)
class Digest:
    schema: JsonObject
    notes: tuple[str, ...]  # what could not be told to OPA: rules about it are not checked


def digestible(schema: Json) -> Digest:
    """`schema` as OPA's type checker takes it. Where nothing can be said it is the schema of an object of anything."""
    reader = _Reader(schema)
    found = reader.read(schema, (), frozenset())
    if found.get("type") != "object":
        if "anyOf" in found:  # results: an object or something else
            reader.note((), "is not always an object")
        elif found:
            reader.note((), "is no object")
            found = {}
        else:
            found = {"type": "object"}
    if found.get("type") == "object" and not found.get("properties"):
        reader.note((), "lists no names, so rules about them are not checked")
    notes = tuple(reader.notes)[:MAX_NOTES]
    return Digest({"$comment": "; ".join(notes), **found} if notes else found, notes)


class _Reader:
    """One reading of one schema, whose `$ref`s lead into itself."""

    def __init__(self, root: Json) -> None:
        self.notes: dict[str, None] = {}
        self._root = root
        self._left = MAX_NODES

    def note(self, at: Place, said: str) -> None:
        self.notes[f"/{'/'.join(at)} {said}" if at else f"it {said}"] = None

    def read(self, schema: Json, at: Place, through: frozenset[str]) -> JsonObject:
        """`through`: references that led here. {} stands for anything."""
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0 or len(at) > MAX_DEPTH:
            if isinstance(schema, dict):
                self.note(at[:1], "is too large to be told whole")
            return {}
        parts = list(self._parts(schema, at, through, "whole", set()))
        if any(part is None for part, _, _ in parts):
            return {}  # a part that cannot be read may allow anything
        said = [(part, role, led) for part, role, led in parts if part is not None]
        types = _types(said)
        if types is None:
            return {}
        shapes = [self._shape(type, said, at) for type in types]
        return shapes[0] if len(shapes) == 1 else {"anyOf": list[Json](shapes)}

    def _shape(self, type: str, said: list[Part], at: Place) -> JsonObject:
        if type == "object":
            return self._object(said, at)
        if type == "array":
            items = [(inner, led) for part, _, led in said for inner in _entries(part)]
            below = self._union(items, (*at, "*"))
            return {"type": "array", "items": below} if below else {"type": "array"}
        values = [value for part, _, _ in said for value in _values(part) or () if _is(value, type)]
        unique = [value for place, value in enumerate(values) if value not in values[:place]]
        return {"type": type, "enum": unique} if unique and type != "null" else {"type": type}

    def _object(self, said: list[Part], at: Place) -> JsonObject:
        named: dict[str, list[tuple[Json, frozenset[str]]]] = {}
        for part, _, led in said:
            properties = part.get("properties")
            for name, inner in properties.items() if isinstance(properties, dict) else ():
                named.setdefault(name, []).append((inner, led))
        if any(_open(part) for part, _, _ in said) and named:
            self.note(at, "takes names beyond those listed; rules read such a one with object.get")
        shape: JsonObject = {"type": "object"}
        bare = [part for part, role, _ in said if role == "choice" and _bare_object(part)]
        own = any("properties" in part for part, role, _ in said if role == "whole")
        if bare and not own and named:
            self.note(at, "may be an object of any names, so none are checked")
            return shape
        if named:
            shape["properties"] = {name: self._union(inner, (*at, name)) for name, inner in sorted(named.items())}
        required = [name for part, role, _ in said if role == "whole" for name in _texts(part.get("required"))]
        listed = [name for name in dict.fromkeys(required) if name in named]
        if listed:
            shape["required"] = list[Json](listed)
        return shape

    def _union(self, schemas: "list[tuple[Json, frozenset[str]]]", at: Place) -> JsonObject:
        """What any of them allows."""
        read = [self.read(schema, at, led) for schema, led in schemas]
        unique = [each for place, each in enumerate(read) if each not in read[:place]]
        if not unique or {} in unique:
            return {}
        if len(unique) == 1:
            return unique[0]
        choices = [choice for each in unique for choice in _choices(each)]
        return {"anyOf": [choice for place, choice in enumerate(choices) if choice not in choices[:place]]}

    def _parts(
        self, schema: JsonObject, at: Place, through: frozenset[str], role: Role, met: set[str]
    ) -> Iterator[tuple[JsonObject | None, Role, frozenset[str]]]:
        """Everything that is said about one and the same value, references followed. None: something that cannot be read."""
        self._left -= 1
        if self._left < 0:
            self.note(at[:1], "is too large to be told whole")
            yield None, role, through
            return
        yield schema, role, through
        reference = schema.get("$ref", schema.get("$dynamicRef", schema.get("$recursiveRef")))
        if reference is not None and not (isinstance(reference, str) and reference in met):
            yield from self._referred(reference, at, through, role, met)
        for inner in _list(schema, "allOf"):
            yield from self._parts(inner, at, through, role, met)
        for inner in (*_list(schema, "anyOf"), *_list(schema, "oneOf")):
            yield from self._parts(inner, at, through, "choice" if role == "whole" else role, met)
        for inner in _conditional(schema):
            yield from self._parts(inner, at, through, "aside", met)

    def _referred(
        self, reference: Json, at: Place, through: frozenset[str], role: Role, met: set[str]
    ) -> Iterator[tuple[JsonObject | None, Role, frozenset[str]]]:
        target = _target(self._root, reference)
        if reference in through or not isinstance(reference, str):
            self.note(at, "refers to itself; below that anything goes")
            yield None, role, through
        elif not isinstance(target, dict):
            self.note(at, "refers to what is not in the schema; anything goes there")
            yield None, role, through
        else:
            met.add(reference)
            yield from self._parts(target, at, through | {reference}, role, met)


def _types(said: list[Part]) -> tuple[str, ...] | None:
    """The types that a value may have; None: any. Choices add up, and what holds in any case narrows them."""
    narrowed: set[str] | None = None
    chosen: set[str] = set()
    anything = False
    for part, role, _ in said:
        own = _own_types(part)
        if role == "choice":
            anything = anything or (own is None and not SPEAKS & part.keys())
            chosen |= own or set()
        elif role == "whole" and own is not None:
            narrowed = (_common(narrowed, own) if narrowed is not None else own) or narrowed
    if narrowed is None and not anything:
        narrowed = chosen or None
    return None if narrowed is None else tuple(type for type in TYPES if type in narrowed)


def _common(one: set[str], other: set[str]) -> set[str]:
    wide = {*one, *(("integer",) if "number" in one else ())} & {*other, *(("integer",) if "number" in other else ())}
    return wide - {"integer"} if "number" in wide else wide


def _own_types(part: JsonObject) -> set[str] | None:
    told = part.get("type")
    types = {told} if isinstance(told, str) else set(_texts(told))
    if types:
        return types if types <= set(TYPES) else None
    values = _values(part)
    if not values:
        return None
    return {next(type for type in TYPES if _is(value, type)) for value in values}


def _values(part: JsonObject) -> list[Json] | None:
    values = part.get("enum")
    if isinstance(values, list):
        return values
    return [part["const"]] if "const" in part else None


def _is(value: Json, type: str) -> bool:
    match value:
        case None:
            return type == "null"
        case bool():
            return type == "boolean"
        case int():
            return type in {"integer", "number"}
        case float():
            return type == "number"
        case str():
            return type == "string"
        case list():
            return type == "array"
        case dict():
            return type == "object"


def _entries(part: JsonObject) -> Iterator[Json]:
    """The schemas of a list's entries: one for all, or one for each of the first."""
    for word in ("prefixItems", "items", "additionalItems"):
        told = part.get(word)
        if isinstance(told, list):
            yield from told
        elif isinstance(told, dict):
            yield told
        elif told is True:
            yield {}


def _list(schema: JsonObject, word: str) -> list[JsonObject]:
    told = schema.get(word)
    parts = [{} if each is True else each for each in told] if isinstance(told, list) else []
    return [each for each in parts if isinstance(each, dict)]


def _conditional(schema: JsonObject) -> Iterator[JsonObject]:
    for word in ("then", "else"):
        inner = schema.get(word)
        if isinstance(inner, dict):
            yield inner
    dependent = schema.get("dependentSchemas")
    for inner in dependent.values() if isinstance(dependent, dict) else ():
        if isinstance(inner, dict):
            yield inner


def _choices(schema: JsonObject) -> list[Json]:
    inner = schema.get("anyOf")
    return inner if isinstance(inner, list) else [schema]


def _open(part: JsonObject) -> bool:
    """It says itself that more names may come, rather than not saying anything."""
    more = part.get("additionalProperties")
    return more is True or isinstance(more, dict) or bool(part.get("patternProperties"))


def _bare_object(part: JsonObject) -> bool:
    return part.get("type") == "object" and "properties" not in part


def _texts(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _target(root: Json, reference: Json) -> Json:
    """What a reference within the schema names (RFC 6901); None: nothing, or something elsewhere."""
    if reference == "#":
        return root
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    at = root
    for step in unquote(reference[2:]).split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, Mapping):
            at = at.get(name)
        elif isinstance(at, list) and name.isdecimal() and int(name) < len(at):
            at = at[int(name)]
        else:
            return None
    return at

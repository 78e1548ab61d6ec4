"""Which arguments an item's own schema does not know. What cannot be told within bounds is unknown as a whole.

JSON Schema lets strange members pass unless it is told otherwise, and backends often do what a strange member says.
"""

from collections.abc import Container, Iterator

from gateway.model import Json, JsonObject
from gateway.policy.schema_keywords import Unjudgeable, compiling, search

MAX_STEPS = 2_000  # schemas looked at for one question
MAX_LOOKS = 20_000  # of one schema for one member; 1 µs each, as a pattern takes for one name
MAX_REFERENCE_CHARS = 1_000
EVERYTHING = ("",)  # the pointer to all arguments

Schemas = list[JsonObject]


class _Tired(Exception):
    """More than `MAX_STEPS` or `MAX_LOOKS`."""


def unknown_arguments(schema: Json, arguments: JsonObject) -> tuple[str, ...]:
    """JSON pointers, in order. Known is what some part of the schema names, or what it gives a schema of its own.

    Below the top, an object for which no member is declared is free: nothing in it is unknown.
    """
    names = flat_names(schema)
    if names is not None:
        return beyond(names, arguments)
    if not isinstance(schema, dict):
        return beyond(frozenset(), arguments)
    try:
        return tuple(_Walk(schema).unknown([schema], arguments, ""))
    except (_Tired, RecursionError):
        return EVERYTHING


def flat_names(schema: Json) -> frozenset[str] | None:
    """The common case: only `properties`, and no object below them. Their names; None: the whole schema must be walked."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(properties, dict):
        return None
    if schema.keys() & _COMBINED or isinstance(schema.get("additionalProperties"), dict):
        return None
    return frozenset(properties) if all(_is_plain(each) for each in properties.values()) else None


def beyond(names: Container[str], arguments: JsonObject) -> tuple[str, ...]:
    """Pointers to the arguments that have none of these names."""
    return tuple([f"/{_escaped(name)}" for name in arguments if name not in names])


def _is_plain(schema: Json) -> bool:
    """No object can be valid here, nor anywhere in what is; so no member can be strange and the arguments valid."""
    if not isinstance(schema, dict) or schema.keys() & _COMBINED:
        return False
    kind = schema.get("type")
    if kind == "array":
        return "prefixItems" not in schema and _is_plain(schema.get("items"))
    return isinstance(kind, str) and kind in _PLAIN


_PLAIN = frozenset({"string", "number", "integer", "boolean", "null"})
_APPLIED = ("allOf", "anyOf", "oneOf")
_CONDITIONAL = ("if", "then", "else")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_MAPS = ("patternProperties", "unevaluatedProperties")  # and additional properties, where they have a schema
_COMBINED = frozenset((*_APPLIED, *_CONDITIONAL, *_REFERENCES, *_MAPS, "dependentSchemas"))


class _Walk:
    """One walk down a value and all the schemas that speak about it."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._steps = 0
        self._looks = 0

    def unknown(self, schemas: Schemas, value: Json, at: str) -> Iterator[str]:
        said = list(self._all(schemas))
        if isinstance(value, dict):
            free = bool(at) and not any("properties" in each or each.get("additionalProperties") is False for each in said)
            patterns = [pattern for each in said if isinstance(kept := each.get("patternProperties"), dict) for pattern in kept]
            looks = len(said) + len(patterns)
            self._look(sum(map(compiling, patterns)))
            for name, member in value.items():
                self._look(looks)
                speaking = [schema for each in said for schema in _of_member(each, name)]
                if any(isinstance(each, dict | bool) for each in speaking):
                    below = [each for each in speaking if isinstance(each, dict)]
                    yield from self.unknown(below, member, f"{at}/{_escaped(name)}")
                elif not free:
                    yield f"{at}/{_escaped(name)}"
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                if not isinstance(entry, dict | list):
                    continue
                self._look(len(said))
                below = [schema for each in said for schema in _of_entry(each, index) if isinstance(schema, dict)]
                if below:
                    yield from self.unknown(below, entry, f"{at}/{index}")

    def _look(self, looks: int) -> None:
        self._looks += looks
        if self._looks > MAX_LOOKS:
            raise _Tired

    def _all(self, schemas: Schemas) -> Iterator[JsonObject]:
        """The schemas, and those that they apply to the same value."""
        waiting = list(schemas)
        seen: set[int] = set()
        while waiting:
            schema = waiting.pop()
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise _Tired
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            yield schema
            waiting.extend(each for each in _applied(schema, self._root) if isinstance(each, dict))


def _applied(schema: JsonObject, root: JsonObject) -> Iterator[Json]:
    for keyword in _APPLIED:
        listed = schema.get(keyword)
        yield from listed if isinstance(listed, list) else ()
    for keyword in _CONDITIONAL:
        yield schema.get(keyword)
    dependent = schema.get("dependentSchemas")
    yield from dependent.values() if isinstance(dependent, dict) else ()
    for keyword in _REFERENCES:
        reference = schema.get(keyword)
        if isinstance(reference, str):
            yield _resolved(root, reference)


def _resolved(root: JsonObject, reference: str) -> Json:
    """Where a local reference leads; None: elsewhere, and that knows nothing."""
    if len(reference) > MAX_REFERENCE_CHARS or (reference != "#" and not reference.startswith("#/")):
        return None
    value: Json = root
    for raw in reference.split("/")[1:]:
        token = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(token)
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return None
    return value


def _of_member(schema: JsonObject, name: str) -> Iterator[Json]:
    """What a schema says of one member: it knows those that it names, and those that its map gives a schema.

    `true` for additional members only lets them pass.
    """
    properties = schema.get("properties")
    if isinstance(properties, dict) and name in properties:
        yield properties[name]
        return
    patterns = schema.get("patternProperties")
    for pattern, schema_of_it in patterns.items() if isinstance(patterns, dict) else ():
        if _matches(pattern, name):
            yield schema_of_it
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        extra = schema.get(keyword)
        if isinstance(extra, dict):
            yield extra


def _matches(pattern: str, name: str) -> bool:
    try:
        return search(pattern, name)
    except Unjudgeable:
        return False


def _of_entry(schema: JsonObject, index: int) -> Iterator[Json]:
    first = schema.get("prefixItems")
    if isinstance(first, list) and index < len(first):
        yield first[index]
        return
    items = schema.get("items")
    if isinstance(items, list):
        yield items[index] if index < len(items) else schema.get("additionalItems")
    else:
        yield items


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")

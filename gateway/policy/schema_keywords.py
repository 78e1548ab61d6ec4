"""The keywords of JSON Schema as they are judged here: each is a step of one budget, and none runs a pattern but on RE2."""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec
import re2
from jsonschema import Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from gateway.model import JsonObject

MAX_REFERENCES = 2_000  # followed in one check: `allOf` of two references to the next level doubles with every level
MAX_UNIQUE = 10_000  # entries of a list under `uniqueItems`
MAX_PATTERN_BYTES = 1 << 20  # memory of one RE2 program
LONG_TEXT = 256  # characters: longer ones are not repeated in messages

_options = re2.Options()
_options.max_mem = MAX_PATTERN_BYTES
_options.log_errors = False


class Unjudgeable(Exception):
    """The schema asks for something that is not judged here; `str()` says what."""


class Budget:
    """What one check may still cost."""

    __slots__ = ("dear", "parts", "references", "steps")

    def __init__(self, steps: int, parts: int) -> None:
        self.steps = steps
        self.references = MAX_REFERENCES
        self.parts = parts  # of the schema
        self.dear = 1  # how many steps one counts for

    def spend(self, steps: int) -> None:
        self.steps -= steps * self.dear
        if self.steps < 0:
            raise Unjudgeable("it takes too long")

    def refer(self) -> None:
        self.references -= 1
        if self.references < 0:
            raise Unjudgeable(f"more than {MAX_REFERENCES} references")


spending: ContextVar[Budget] = ContextVar("spending")


def draft_of(schema: JsonObject) -> Any:
    dialect = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    return _DRAFTS.get(dialect.rstrip("#")) if isinstance(dialect, str) else None


Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


def search(pattern: str, text: str) -> bool:
    """As ECMA-262 `search`, as far as RE2 goes: no look-around and no back-references, so no exponential time.

    Raises `Unjudgeable`.
    """
    try:
        return _program(pattern).search(text) is not None
    except UnicodeEncodeError as error:  # a lone surrogate
        raise Unjudgeable("no text") from error


def compiling(pattern: str) -> int:
    """Steps that the first search costs: RE2 takes up to 8 ms for what is repeated or a class of Unicode, until it gives up."""
    if pattern in _programs:
        return 0
    return 1_000 if "{" in pattern or "\\p" in pattern.lower() else 10 + len(pattern)


def _searched(pattern: str, text: str) -> bool:
    spend = spending.get().spend
    spend(1 + compiling(pattern))
    spend(len(text) * _program(pattern).programsize >> 12)  # at worst RE2 tries all of the program at every character
    return search(pattern, text)


_programs: dict[str, Any] = {}  # None: it is none to RE2


def _program(pattern: str) -> Any:
    if pattern not in _programs:
        if len(_programs) >= 4_096:
            _programs.clear()
        try:
            _programs[pattern] = re2.compile(pattern, _options)
        except re2.error:
            _programs[pattern] = None
    program = _programs.get(pattern)
    if program is None:
        raise Unjudgeable(f"pattern {pattern[:80]!r}")
    return program


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _searched(pattern, instance):
        yield ValidationError("does not match its pattern")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for name, value in instance.items():
            if _searched(pattern, name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [name for name in instance if name not in declared and not any(_searched(pattern, name) for pattern in patterns)]
    if validator.is_type(allowed, "object"):
        for name in extra:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extra:
        yield ValidationError("has additional properties")


def _unique_items(validator: Any, wanted: bool, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not wanted or not validator.is_type(instance, "array"):
        return
    if len(instance) > MAX_UNIQUE:
        raise Unjudgeable(f"uniqueItems over more than {MAX_UNIQUE} entries")
    spending.get().spend(len(instance) // 2)
    if len({msgspec.json.encode(_canonical(entry), order="deterministic") for entry in instance}) != len(instance):
        yield ValidationError("has an entry twice")


def _canonical(value: Any) -> Any:
    """1 and 1.0 are the same number to JSON Schema; true and 1 are not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        spending.get().spend(len(value) >> 10)
        return str(value)
    if isinstance(value, list):
        spending.get().spend(1 + len(value) // 2)
        return [_canonical(entry) for entry in value]
    if isinstance(value, dict):
        spending.get().spend(1 + len(value) // 2)
        return {name: _canonical(entry) for name, entry in value.items()}
    return value


def _const(_validator: Any, constant: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not _same(constant, instance):
        yield ValidationError("is not the constant")


def _enum(_validator: Any, choices: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str):  # equal to nothing but itself, so this need not look closer
        chosen = instance in choices
    else:
        spending.get().spend(len(choices) // 8)
        chosen = any(_same(choice, instance) for choice in choices)
    if not chosen:
        yield ValidationError("is none of the choices")


def _same(one: Any, two: Any) -> bool:
    """Equal to JSON Schema, where each pair of lists or objects that is looked into costs a step."""
    if isinstance(one, list) and isinstance(two, list):
        spending.get().spend(1 + len(one) // 4)
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        spending.get().spend(1 + len(one) // 4)
        return one.keys() == two.keys() and all(_same(value, two[name]) for name, value in one.items())
    return bool(one == two) and isinstance(one, bool) == isinstance(two, bool)


def _paid(name: str, keyword: Keyword) -> Keyword:
    """The keyword, as a step of its own."""
    if name not in _COSTLY:

        def one(validator: Any, said: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            spending.get().spend(1)
            return keyword(validator, said, instance, schema)

        return one
    wide, each_of = name in _WIDE, 64 if name == "enum" else 8

    def costly(validator: Any, said: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        """More steps for what it walks through, and for each error that it passes on: that holds parts of the schema."""
        budget = spending.get()
        cost = 1 + (len(said) // each_of if isinstance(said, list | dict | str) else 0)
        if wide and isinstance(instance, list | dict):
            cost += len(instance) // 8
        if name in _NESTED and isinstance(said, dict):
            cost += sum([len(each) for each in said.values() if isinstance(each, list | dict)]) // 8
        budget.spend(cost)
        if name in _REFERENCES:
            budget.refer()
        for error in keyword(validator, said, instance, schema) or ():
            budget.spend(1 + len(error.message) // 64)
            yield error

    return costly


def _unevaluated(keyword: Keyword) -> Keyword:
    """The library looks every member up in a list of all that were found, where each part of the schema may find all again."""

    def unevaluated(validator: Any, said: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        budget, squared = spending.get(), len(instance) ** 2 >> 8 if isinstance(instance, list | dict) else 0
        budget.spend(squared * budget.parts)
        before, budget.dear = budget.dear, budget.dear + squared
        yield from list(keyword(validator, said, instance, schema) or ())
        budget.dear = before

    return unevaluated


def _evolve(self: Any, **changes: Any) -> Any:
    """The validator of a part of the schema, which is a step; one in a dialect of its own is as bounded as all others."""
    spending.get().spend(1)
    schema = changes.get("schema", self.schema)
    draft = draft_of(schema) if isinstance(schema, dict) and "$schema" in schema else type(self)
    if draft is None:
        raise Unjudgeable("a part in an unknown dialect")
    return draft(schema, _resolver=changes.get("_resolver", self._resolver))


def _bounded(draft: Any) -> Any:
    changed: dict[str, Keyword] = dict(draft.VALIDATORS)
    own: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        "const": _const,
        "enum": _enum,
    }
    changed |= {name: keyword for name, keyword in own.items() if name in changed}
    changed |= {name: _unevaluated(changed[name]) for name in _UNEVALUATED if name in changed}
    bounded = extend(draft, {name: _paid(name, keyword) for name, keyword in changed.items()})  # type: ignore[no-untyped-call]
    bounded.evolve = _evolve
    return bounded


_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef", *_UNEVALUATED})
_NESTED = frozenset({"dependencies", "dependentRequired"})
_WIDE = frozenset(
    {"items", "prefixItems", "additionalItems", "contains", "propertyNames", "additionalProperties", "patternProperties"}
)
_APPLIED = ("allOf", "anyOf", "oneOf", "not", "if", "properties", "dependentSchemas", "required", "enum")
_COSTLY = _WIDE | _NESTED | _REFERENCES | frozenset(_APPLIED)
_DRAFTS: dict[str, Any] = {
    str(draft.META_SCHEMA.get("$id", draft.META_SCHEMA.get("id"))).rstrip("#"): _bounded(draft)
    for draft in (Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator)
}

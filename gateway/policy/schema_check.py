"""Whether a value satisfies an item's own schema. What cannot be told, within bounds and without network, is not valid.

The schemas come from backends and the values from clients, so neither may cost time without bound: patterns run on RE2,
references are counted, and nothing is ever fetched.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec
import re2
from jsonschema import Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator
from jsonschema.exceptions import SchemaError, UndefinedTypeCheck, UnknownType, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from gateway.model import Json

MAX_SCHEMA_BYTES = 256 * 1024
MAX_REFERENCES = 2_000  # followed in one check: `allOf` of two references to the next level doubles with every level
MAX_UNIQUE = 10_000  # entries of a list under `uniqueItems`
MAX_PATTERN_BYTES = 1 << 20  # memory of one RE2 program

_left: ContextVar[int] = ContextVar("references_left", default=0)
_options = re2.Options()
_options.max_mem = MAX_PATTERN_BYTES
_options.log_errors = False


class Unjudgeable(Exception):
    """The schema asks for something that is not judged here; `str()` says what."""


class Validator:
    """One schema, compiled. `problem`: why nothing is valid under it, for the operator; None: it is usable."""

    __slots__ = ("_checks", "problem")

    def __init__(self, checks: Any, problem: str | None) -> None:
        self._checks = checks
        self.problem = problem

    def valid(self, value: Json) -> bool:
        """Whether `value` satisfies the schema. Never raises."""
        if self._checks is None:
            return False
        _left.set(MAX_REFERENCES)
        try:
            return bool(self._checks.is_valid(value))
        except (Unjudgeable, Unresolvable, UnknownType, UndefinedTypeCheck, RecursionError, OverflowError):
            return False


def compiled(schema: Json) -> Validator:
    """Keep it by the item's fingerprint: compiling costs some milliseconds, a check some microseconds."""
    if not isinstance(schema, dict):
        return Validator(None, "there is no schema, or it is not an object")
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        return Validator(None, f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")
    dialect = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    draft = _DRAFTS.get(dialect.rstrip("#")) if isinstance(dialect, str) else None
    if draft is None:
        return Validator(None, f"the dialect {str(dialect)[:120]!r} is not known")
    try:
        draft.check_schema(schema)
    except SchemaError as error:
        return Validator(None, f"it is no schema: {error.message[:200]}")
    except (RecursionError, OverflowError) as error:
        return Validator(None, f"it is no schema: {type(error).__name__}")
    return Validator(draft(schema, registry=Registry()), None)  # an empty registry: nothing is fetched


def result_valid(schema: Json, structured: Json) -> bool:
    """Whether a tool's structured result satisfies its `outputSchema`, once and without keeping anything."""
    return compiled(schema).valid(structured)


Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


def search(pattern: str, text: str) -> bool:
    """As ECMA-262 `search`, as far as RE2 goes: no look-around and no back-references, so no exponential time."""
    return _program(pattern).search(text) is not None


_programs: dict[str, Any] = {}


def _program(pattern: str) -> Any:
    program = _programs.get(pattern)
    if program is None:
        try:
            program = re2.compile(pattern, _options)
        except re2.error as error:
            raise Unjudgeable(f"pattern {pattern[:80]!r}") from error
        if len(_programs) >= 4_096:
            _programs.clear()
        _programs[pattern] = program
    return program


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not search(pattern, instance):
        yield ValidationError("does not match its pattern")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for name, value in instance.items():
            if search(pattern, name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [name for name in instance if name not in declared and not any(search(pattern, name) for pattern in patterns)]
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
    if len({msgspec.json.encode(_canonical(entry), order="deterministic") for entry in instance}) != len(instance):
        yield ValidationError("has an entry twice")


def _canonical(value: Any) -> Any:
    """1 and 1.0 are the same number to JSON Schema; true and 1 are not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _canonical(entry) for name, entry in value.items()}
    return value


def _counted(keyword: Keyword) -> Keyword:
    def counted(validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        left = _left.get()
        if left <= 0:
            raise Unjudgeable(f"more than {MAX_REFERENCES} references")
        _left.set(left - 1)
        yield from keyword(validator, reference, instance, schema) or ()

    return counted


def _bounded(draft: Any) -> Any:
    keywords = draft.VALIDATORS
    changed: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    changed |= {name: _counted(keywords[name]) for name in _REFERENCES if name in keywords}
    return extend(draft, changed)  # type: ignore[no-untyped-call]


_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems")
_DRAFTS: dict[str, Any] = {
    str(draft.META_SCHEMA.get("$id", draft.META_SCHEMA.get("id"))).rstrip("#"): _bounded(draft)
    for draft in (Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator)
}

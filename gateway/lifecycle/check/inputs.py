"""Whether a test's input is one that could be asked: whole ones by the contract's schema, parts member by member."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from gateway.model import Json, JsonObject

MAX_WRONG = 5  # told of one input
CONDITIONS = ("required", "oneOf", "anyOf", "allOf", "if", "then", "else", "minItems")  # what a part need not meet


@dataclass(slots=True)
class Inputs:
    """Remembers what it has seen: tests ask about the same things again and again."""

    schema: JsonObject
    _known: dict[tuple[tuple[str, ...], bytes], tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def of(schema: bytes | None) -> "Inputs":
        """No schema of inputs in the repository: anything may be asked."""
        return Inputs(msgspec.json.decode(schema, type=dict) if schema is not None else {})

    def wrong(self, path: tuple[str, ...], value: Json) -> tuple[str, ...]:
        """What is wrong with `value` as the input, or as the part of it at `path`."""
        key = (path, msgspec.json.encode(value, order="deterministic"))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = tuple(self._wrong(path, value))
        return known

    def _wrong(self, path: tuple[str, ...], value: Json) -> Iterator[str]:
        needed = self.schema.get("required")
        whole = not path and isinstance(value, dict) and isinstance(needed, list) and all(name in value for name in needed)
        schema = self.schema if whole else relaxed(self.schema)
        for name in reversed(path):
            value = {name: value}
        if not isinstance(value, dict):
            yield "an input that is no object"
            return
        errors = sorted(
            Draft202012Validator(schema, registry=Registry()).iter_errors(value), key=lambda each: list(map(str, each.path))
        )
        for error in errors[:MAX_WRONG]:
            yield _words(error)


def relaxed(schema: Json) -> Any:
    """The same schema for a part: what is there has its type, values and name; nothing has to be there."""
    if isinstance(schema, list):
        return [relaxed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept: JsonObject = {}
    for name, each in schema.items():
        if name == "properties" and isinstance(each, dict):
            kept[name] = {member: relaxed(said) for member, said in each.items()}
        elif name not in CONDITIONS:
            kept[name] = relaxed(each) if name in {"items", "additionalProperties"} else each
    return kept


def _words(error: ValidationError) -> str:
    inner = min(error.context or (), key=lambda each: len(each.absolute_path) * -1, default=None)
    if error.validator in {"oneOf", "anyOf"} and inner is not None:
        return f"an input that is not of its phase: {inner.message[:200]}"
    place = ".".join(["input", *(str(each) for each in error.absolute_path)])
    return f"{place}: {error.message[:200]}"

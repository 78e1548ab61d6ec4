"""Whether a value satisfies an item's own schema. What cannot be told, within bounds and without network, is not valid.

The schemas come from backends and the values from clients, so neither may cost time without bound: patterns run on RE2,
every step is paid from one budget, and nothing is ever fetched. What takes more than a moment is for another thread.
"""

from typing import Any

import msgspec
from jsonschema.exceptions import SchemaError, UndefinedTypeCheck, UnknownType
from jsonschema_specifications import REGISTRY as SPECIFICATIONS  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import CannotDetermineSpecification, Unresolvable
from referencing.jsonschema import UnknownDialect, specification_with

from gateway.model import Json
from gateway.policy.schema_keywords import LONG_TEXT, Budget, Unjudgeable, draft_of, spending

MAX_SCHEMA_BYTES = 256 * 1024
MAX_SCHEMA_PARTS = 10_000  # objects and lists: the check of a schema itself takes 0.4 ms for each
STEPS = 300_000  # of one check, 2 to 4 µs each: a list of 90,000 texts takes 200,000
PROMPT_STEPS = 2_000  # of one check on the event loop
PROMPT_PARTS = 64  # of a schema that is compiled on the event loop


class TakesLong(Exception):
    """This is not for the event loop: ask `Validator.valid` in a thread."""


# The library meets a hostile schema with nearly any: ValueError for an `$id` that is no address, TypeError for odd `items`.
_STUMBLES = (
    Unjudgeable,
    Unresolvable,
    CannotDetermineSpecification,
    UnknownDialect,
    UnknownType,
    UndefinedTypeCheck,
    RecursionError,
    ArithmeticError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)


class Validator:
    """One schema, compiled when it is first needed. It may be asked in any thread."""

    __slots__ = ("_compiled", "_parts", "_schema")

    def __init__(self, schema: Json) -> None:
        self._schema = schema
        self._parts = 0
        self._compiled: tuple[Any, str | None] | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing is valid under the schema, for the operator; None: it is usable."""
        return self._checks(MAX_SCHEMA_PARTS)[1]

    def valid(self, value: Json) -> bool:
        """Whether `value` satisfies the schema. Never raises; may take a second or two."""
        checks, _ = self._checks(MAX_SCHEMA_PARTS)
        return checks is not None and self._judged(checks, value, Budget(STEPS, self._parts))

    def prompt(self, value: Json) -> bool:
        """As `valid`, within some milliseconds. Raises `TakesLong`, and nothing else."""
        checks, _ = self._checks(PROMPT_PARTS)
        budget = Budget(PROMPT_STEPS, self._parts)
        valid = checks is not None and self._judged(checks, value, budget)
        if budget.steps < 0:
            raise TakesLong
        return valid

    def _judged(self, checks: Any, value: Json, budget: Budget) -> bool:
        spending.set(budget)
        try:
            return bool(checks.is_valid(_muted(value, budget)))
        except _STUMBLES:
            return False

    def _checks(self, parts: int) -> tuple[Any, str | None]:
        """What judges and None, or None and why nothing does. Raises `TakesLong` for more `parts` that are not compiled yet."""
        if self._compiled is None:
            try:
                encoded = msgspec.json.encode(self._schema)
            except (ValueError, ArithmeticError, RecursionError) as error:  # half a character, or a number too large
                self._compiled = None, f"it is no schema: {type(error).__name__}"
                return self._compiled
            self._parts = encoded.count(b"{") + encoded.count(b"[")
            if parts < self._parts <= MAX_SCHEMA_PARTS and len(encoded) <= MAX_SCHEMA_BYTES:
                raise TakesLong
            self._compiled = _compiled(self._schema, encoded, self._parts)
        return self._compiled


def compiled(schema: Json) -> Validator:
    """Keep it by the item's fingerprint: compiling costs some milliseconds, a check some microseconds."""
    return Validator(schema)


def _compiled(schema: Json, encoded: bytes, parts: int) -> tuple[Any, str | None]:
    if not isinstance(schema, dict):
        return None, "there is no schema, or it is not an object"
    if len(encoded) > MAX_SCHEMA_BYTES:
        return None, f"the schema is larger than {MAX_SCHEMA_BYTES} bytes"
    if parts > MAX_SCHEMA_PARTS:
        return None, f"the schema has more than {MAX_SCHEMA_PARTS} objects and lists"
    if b'"unevaluatedProperties":' in encoded and b'"patternProperties":' in encoded:
        return None, "unevaluatedProperties beside patternProperties is not judged"  # the library asks Python's `re` there
    draft = draft_of(schema)
    if draft is None:
        return None, f"the dialect {str(schema['$schema'])[:120]!r} is not known"
    try:
        draft.check_schema(schema)
        resource = specification_with(draft.ID_OF(draft.META_SCHEMA)).create_resource(schema)
        uri = resource.id() or ""
        # crawled once: each reference to an `$anchor` or an `$id` would do so anew; and nothing is fetched
        registry = SPECIFICATIONS.combine(Registry().with_resource(uri, resource)).crawl()
        return draft(schema, _resolver=registry.resolver(uri)), None
    except SchemaError as error:
        return None, f"it is no schema: {error.message[:200]}"
    except _STUMBLES as error:
        return None, f"it is no schema: {type(error).__name__}"


class _Text(str):
    """A long text, list or object whose `repr` is short: the library's messages hold the value, and nobody reads them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "…"


class _List(list[Any]):
    __slots__ = ()

    def __repr__(self) -> str:
        return "…"


class _Object(dict[str, Any]):
    __slots__ = ()

    def __repr__(self) -> str:
        return "…"


def _muted(value: Json, budget: Budget) -> Json:
    if isinstance(value, dict):
        budget.spend(len(value) // 8)
        return _Object({name: _muted(member, budget) for name, member in value.items()})
    if isinstance(value, list):
        budget.spend(len(value) // 8)
        return _List([_muted(entry, budget) for entry in value])
    return _Text(value) if isinstance(value, str) and len(value) > LONG_TEXT else value

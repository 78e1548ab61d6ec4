"""A policy's redactions, compiled once and carried out on everything that crosses the gateway, all forms alike.

Whoever carries one out learns what was done: the hits are for the record, without what they hit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.model import Json, JsonObject
from gateway.policy.duty import Redaction
from gateway.policy.redact.forms import ERROR, ITEM, LOG, PROGRESS, RESULT, Form, read
from gateway.policy.redact.plan import Plan, compiled
from gateway.policy.redact.steps import MAX_STEPS
from gateway.policy.redact.tree import Walk

Fits = Callable[[Json], bool]
"""Whether structured content satisfies the tool's output schema."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What one rule's duty did to one value, how often."""

    rule: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Redacted:
    """A value after redaction: the very same object as before where nothing was found."""

    value: JsonObject
    hits: tuple[Hit, ...] = ()
    withheld: int = 0  # parts that could not be checked and were replaced by a marker that says so
    fits: bool = True  # False: structured content no longer satisfies its schema and may not be handed over
    spent: bool = False  # some of it was withheld since to look at all of it takes more steps
    steps: int = field(default=0, compare=False)  # that it took


@dataclass(frozen=True, slots=True)
class Redactor:
    """Stateless and safe to share. Each method applies the duties of its own target and no others, and takes at most so many
    `steps` for one value.
    """

    plans: dict[str, Plan]

    def owes(self, target: Literal["arguments", "result", "item"]) -> bool:
        """Whether any duty has this target; if not, the value may pass unparsed."""
        return not self.plans[target].nothing

    def arguments(self, arguments: JsonObject, *, steps: int = MAX_STEPS) -> Redacted:
        plan = self.plans["arguments"]
        if plan.nothing:
            return Redacted(arguments)
        walk = Walk(plan, steps)
        new = walk.value(arguments, plan.start)
        return _outcome(walk, new if isinstance(new, dict) else {})

    def result(self, result: JsonObject, fits: Fits | None = None, *, steps: int = MAX_STEPS) -> Redacted:
        """A result of any method. `fits` comes from the tool's output schema, None where it has none.

        Structured content that changed and does not fit is tried again with placeholders of the same JSON type. A tool
        that promises structured content and answers in prose alone evades the pointers: its prose is withheld.
        """
        promised = fits is not None and result.get("isError") is not True
        done = self._answer(result, RESULT, steps, promised=promised)
        if fits is None or not _broken(result, done.value, fits):
            return done
        typed = self._answer(result, RESULT, steps, promised=promised, typed=True)
        if not _broken(result, typed.value, fits):
            return typed
        return Redacted(typed.value, typed.hits, typed.withheld, fits=False, spent=typed.spent)

    def error(self, error: JsonObject, *, steps: int = MAX_STEPS) -> Redacted:
        """A backend's JSON-RPC error: its members; a `code` in which a pattern matches becomes an internal error's."""
        return self._answer(error, ERROR, steps)

    def notice(self, params: JsonObject, kind: Literal["progress", "log"], *, steps: int = MAX_STEPS) -> Redacted:
        """A message on the way. Pointers reach into a log's `data`; its prose, and a progress text, meet the patterns."""
        plan = self.plans["result"]
        if plan.nothing:
            return Redacted(params)
        walk = Walk(plan, steps)
        return _outcome(walk, read(walk, params, PROGRESS if kind == "progress" else LOG))

    def item(self, definition: JsonObject, *, steps: int = MAX_STEPS) -> Redacted:
        """A definition as it is listed. What names it stays, and a tool keeps an input schema."""
        plan = self.plans["item"]
        if plan.nothing:
            return Redacted(definition)
        walk = Walk(plan, steps)
        new = read(walk, definition, ITEM)
        if "inputSchema" in definition and not isinstance(new.get("inputSchema"), dict):
            new = {**new, "inputSchema": {"type": "object"}}
        return _outcome(walk, new)

    def _answer(self, value: JsonObject, form: Form, steps: int, *, promised: bool = False, typed: bool = False) -> Redacted:
        plan = self.plans["result"]
        if plan.nothing:
            return Redacted(value)
        walk = Walk(plan, steps, typed=typed)
        new = read(walk, value, form)
        if walk.unread and (walk.pointer_hits or (promised and not walk.payloads)):
            walk = Walk(plan, steps, typed=typed, withhold_prose=True)
            new = read(walk, value, form)
        return _outcome(walk, new)


def compile_redactions(redactions: Sequence[Redaction], hash_key: bytes) -> Redactor:
    """The redactor for these duties. Raises `BadRedaction` for one that cannot be understood."""
    return Redactor({target: compiled([one for one in redactions if one.target == target], hash_key) for target in TARGETS})


TARGETS: Final = ("arguments", "result", "item")


def _outcome(walk: Walk, value: JsonObject) -> Redacted:
    hits: dict[tuple[str, str], int] = {}
    for name, count in zip(walk.plan.names, walk.tally.counts, strict=True):
        if count:
            hits[name] = hits.get(name, 0) + count
    told = tuple(Hit(rule, code, count) for (rule, code), count in hits.items())
    steps = walk.tally.steps
    return Redacted(value, told, walk.withheld, spent=steps.spent, steps=steps.taken)


def _broken(before: JsonObject, after: JsonObject, fits: Fits) -> bool:
    if "structuredContent" not in before or before.get("isError") is True:
        return False
    new = after.get("structuredContent")
    return new is not before["structuredContent"] and ("structuredContent" not in after or not fits(new))

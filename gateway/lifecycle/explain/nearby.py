"""What would have changed the answer: first from OPA's partial evaluation, one part of the question left open at a time, and
then tried: the question so changed is asked. What cannot be tried is said to be so."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice, product
from typing import Literal

from gateway.errors import Undecided
from gateway.lifecycle.access.asked import open_parts
from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import FALSE, RULED, TRUE, All, Always, Any, Formula, Test, both
from gateway.lifecycle.conditions.opened import Opened
from gateway.lifecycle.conditions.standing import standing
from gateway.lifecycle.conditions.words import words
from gateway.model import Json, JsonObject, Phase
from gateway.policy import decision
from gateway.policy.ruling import Permitted, ruling

MAX_WAYS = 6  # told; a reader has ten seconds
MAX_TRIED = 64

OPEN: Mapping[str, tuple[str, ...]] = {
    "scopes": ("input.subject.scopes",),
    "groups": ("input.subject.groups",),
    "arguments": ("input.arguments", "input.arguments_valid", "input.unknown_arguments"),
    "agent": ("input.agent",),
    "authentication": ("input.subject.authentication",),
    "claims": ("input.subject.claims",),
    "time": ("input.context.time_ns",),
    "approvals": ("input.context.approvals",),
}
OPEN_OF_RESULT: Mapping[str, tuple[str, ...]] = {
    **{part: names for part, names in OPEN.items() if part not in ("arguments", "approvals")},  # the call is done
    "result": ("input.result",),
}
TOGETHER = ("scopes", "groups", "arguments", "result")  # where no single part would do


@dataclass(frozen=True, slots=True)
class Change:
    """What would have to be otherwise. `tried`: OPA was asked and allows it then; None: it could not be tried."""

    parts: tuple[str, ...]
    words: str
    tried: bool | None

    def members(self) -> JsonObject:
        told: JsonObject = {"changes": list[Json](self.parts), "when": self.words}
        return told if self.tried is None else {**told, "asked": "allowed" if self.tried else "not allowed"}


async def changes(policy: Opened, given: JsonObject, *, blocked: bool, missing: Sequence[str] = ()) -> tuple[Change, ...]:
    """The ways to an allowed request, or a result that is handed over, that begin at this one, the simplest first. `missing`:
    parts that are not known at all.
    """
    found: list[Change] = []
    parts = dict(OPEN_OF_RESULT if phase(given) == "result" else OPEN)
    if "arguments" in parts and "input.extracted" in await open_parts(policy, given):
        parts["arguments"] = (*parts["arguments"], "input.extracted")
    always = tuple(name for part in missing for name in parts.get(part, (f"input.{part}",)))
    for part, unknowns in parts.items():
        if part not in missing:
            found += await _ways(policy, given, (part,), (*unknowns, *always), blocked=blocked)
    if not any(each.tried is not False for each in found):
        together = tuple(part for part in TOGETHER if part in parts and part not in missing)
        unknowns = tuple(name for part in together for name in parts[part])
        found += await _ways(policy, given, together, (*unknowns, *always), blocked=blocked)
    found.sort(key=lambda each: (each.tried is not True, len(each.words)))
    told = {each.words: each for each in reversed(found) if each.tried is not False}
    return tuple(each for each in found if told.get(each.words) is each)[:MAX_WAYS]


async def _ways(
    policy: Opened, given: JsonObject, parts: tuple[str, ...], unknowns: Sequence[str], *, blocked: bool
) -> list[Change]:
    condition = (await standing(policy, given, unknowns, blocked=blocked)).allowed
    if condition in (TRUE, FALSE):
        return []
    found: list[Change] = []
    for literals in islice(disjuncts(condition), MAX_TRIED):
        question, needed, sure = changed(given, literals)
        if not needed:
            continue
        tried = await allowed(policy, question) if sure else None
        found.append(Change(parts, words(both(needed)), tried))
    return _least(found)


def _least(found: Sequence[Change]) -> list[Change]:
    """Of several changes the shorter, where the longer one only says more."""
    kept: list[Change] = []
    for each in sorted(found, key=lambda one: len(one.words)):
        said = set(each.words.split(" and "))
        if not any(set(other.words.split(" and ")) <= said and other.tried is not False for other in kept):
            kept.append(each)
    return kept


async def allowed(policy: Opened, given: JsonObject) -> bool:
    """Whether OPA allows it. An answer that production would not take is no."""
    try:
        verdict = await policy.ask({"input": given})
        asked: Literal["request", "result"] = "result" if phase(given) == "result" else "request"
        said = decision.read(verdict.result, asked=1, phase=asked, revision=verdict.revision, decision_id="")
        return isinstance(ruling(said, phase=asked, scopes=_list(_member(given, "subject"), "scopes")), Permitted)
    except Undecided:
        return False


def phase(given: JsonObject) -> Phase:
    match _member(given.get("action"), "phase"):
        case "list":
            return "list"
        case "result":
            return "result"
        case _:
            return "request"


def disjuncts(formula: Formula) -> Iterator[tuple[Formula, ...]]:
    """The ways for it to hold, each a set of tests that hold together; lazily, since there may be very many."""
    match formula:
        case Always(holds):
            if holds:
                yield ()
        case Any(of):
            for each in of:
                yield from disjuncts(each)
        case All(of):
            for several in product(*(tuple(islice(disjuncts(each), MAX_TRIED)) for each in of)):
                yield tuple({repr(test): test for tests in several for test in tests}.values())
        case _:
            yield (formula,)


def changed(given: JsonObject, literals: Sequence[Formula]) -> tuple[JsonObject, list[Formula], bool]:
    """The question so changed that the tests hold, those that did not hold before, and whether all could be made to hold. What a
    rule says that is told by its name is found out by asking.
    """
    question = deepcopy(given)
    needed: list[Formula] = []
    named: list[Formula] = []
    sure = True
    for literal in literals:
        if isinstance(literal, Test) and literal.op == RULED:
            named.append(literal)
            continue
        before = deepcopy(question)
        if not _make_hold(question, literal):
            sure = False
            needed.append(literal)
        elif question != before:
            needed.append(literal)
    return question, needed if sure or not needed else [*needed, *named], sure


def _make_hold(changed: JsonObject, literal: Formula) -> bool:
    """Change the question so that the test holds; False: it is not known how."""
    if not isinstance(literal, Test):
        return False
    if literal.op == "internal.member_2":
        one, many = literal.terms
        if terms.constant(one) and (path := terms.path(many)) is not None:
            return _among(changed, path, [terms.value(one)], holds=literal.holds)
        if terms.constant(many) and (path := terms.path(one)) is not None and literal.holds:
            values = [terms.value(part) for part in terms.parts(many)]
            return _at(changed, path) in values or _put(changed, path, values[0])
    if literal.op == "eq" and literal.holds:
        for one, other in (literal.terms, literal.terms[::-1]):
            if terms.constant(other) and (path := terms.path(one)) is not None:
                return _put(changed, path, terms.value(other))
    return False


def _among(changed: JsonObject, path: tuple[str, ...], values: Sequence[Json], *, holds: bool) -> bool:
    held = _at(changed, path)
    if not isinstance(held, list):
        return False
    if holds:
        return _put(changed, path, [*held, *(value for value in values if value not in held)])
    return _put(changed, path, [each for each in held if each not in values])


def _at(whole: Json, path: Sequence[str]) -> Json:
    for name in path:
        whole = whole.get(name) if isinstance(whole, dict) else None
    return whole


def _put(changed: JsonObject, path: tuple[str, ...], value: Json) -> bool:
    if not path or path[0] in ("resources", "action"):
        return False
    place = changed
    for name in path[:-1]:
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            return False
        place = inner
    place[path[-1]] = value
    return True


def _member(given: Json, name: str) -> Json:
    return given.get(name) if isinstance(given, dict) else None


def _list(given: Json, name: str) -> list[str]:
    told = _member(given, name)
    return [each for each in told if isinstance(each, str)] if isinstance(told, list) else []

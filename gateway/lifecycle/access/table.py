"""Personas by catalog. Whether an item exists for somebody is asked as a list, which is exact; under which conditions it may be
called is what OPA leaves of the refusals when the call is unknown, and where grants or hiding hang on the time, of those. Every
answer is held against the decision itself: where the two disagree, the table says `unknown`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import Undecided
from gateway.lifecycle.access import kinds
from gateway.lifecycle.access.asked import open_parts, question
from gateway.lifecycle.access.kinds import APPROVAL, AT_ONCE, Exceptions, Kind
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import FALSE, RULED, TRUE, Formula, Test, both, leaves, negated
from gateway.lifecycle.conditions.named import unrefused
from gateway.lifecycle.conditions.opened import Opened
from gateway.lifecycle.conditions.rules import FACTS
from gateway.lifecycle.conditions.standing import Refusal, backend_of, existence, refusals, ways
from gateway.lifecycle.conditions.words import words
from gateway.model import JsonObject, Resource
from gateway.policy import decision, document
from gateway.policy.ruling import Permitted, Refused, Ruling, StepUp, ruling

Access = Literal["allowed", "when", "denied", "hidden", "unknown"]
ACCESSES: tuple[Access, ...] = ("allowed", "when", "denied", "hidden", "unknown")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one persona may do with one item. `rules`: who hides or refuses it, or sets the condition."""

    access: Access
    when: str = ""  # of `when`: the condition; of `unknown`: why
    rules: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()  # of `when`: digests of what is told by a rule's name only


@dataclass(frozen=True, slots=True)
class Table:
    revision: str
    personas: tuple[Persona, ...]
    items: tuple[Resource, ...]
    cells: Mapping[tuple[str, str], Cell]  # persona's name, item's id

    def cell(self, persona: str, item: str) -> Cell:
        return self.cells[persona, item]


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is asked, and whom to tell how far it is."""

    time_ns: int
    progress: Callable[[str], None] = lambda said: None


@dataclass(frozen=True, slots=True)
class _Work:
    """What is known so far, for all personas together."""

    policy: Opened
    time_ns: int
    kinds: Mapping[str, Kind]
    apart: Exceptions
    cells: dict[tuple[str, str, bool], "asyncio.Task[Cell]"] = field(default_factory=dict)


async def table(policy: Opened, personas: Sequence[Persona], items: Sequence[Resource], moment: Moment) -> Table:
    """Raises `Undecided` where OPA cannot be asked at all."""
    cells: dict[tuple[str, str], Cell] = {}
    room = asyncio.Semaphore(AT_ONCE)
    try:
        async with asyncio.TaskGroup() as group:
            known = await kinds.kinds(policy, items, moment.time_ns)
            moment.progress(kinds.text_of(known))
            work = _Work(policy, moment.time_ns, known, await kinds.exceptions(policy))

            async def one(persona: Persona) -> None:
                async with room:
                    cells.update(await _of(work, persona, items, group))
                moment.progress(f"{len(cells)} of {len(personas) * len(items)} answers")

            for persona in personas:
                group.create_task(one(persona))
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    ordered = {(persona.name, id): cells[persona.name, id] for persona in personas for id in (_id(item) for item in items)}
    return Table(policy.revision, tuple(personas), tuple(items), ordered)


def _id(item: Resource) -> str:
    return item.id or item.public_name


async def _of(work: _Work, persona: Persona, items: Sequence[Resource], group: asyncio.TaskGroup) -> dict[tuple[str, str], Cell]:
    cells: dict[tuple[str, str], Cell] = {}
    asked: list[tuple[str, tuple[str, ...], asyncio.Task[Cell]]] = []
    who = await kinds.asker(work.policy, persona, items[0], work.apart, work.time_ns)
    signatures: dict[str, str] = {}
    for chunk in document.chunks(items):
        given = question(persona, chunk, "list", work.time_ns)
        verdict = await work.policy.ask({"input": given})
        said = decision.read(verdict.result, asked=len(chunk), phase="list", revision="", decision_id="")
        for position, item in enumerate(chunk):
            id, kind = _id(item), work.kinds[_id(item)]
            hiding = tuple(sorted(rule for rule, positions in said.hidden_by.items() if position in positions))
            shown = position in said.visible
            if not shown and (FACTS in hiding or not kinds.timely(work.policy, item.backend or "")):
                cells[persona.name, id] = Cell("hidden", rules=hiding)
                continue
            if kind.text not in signatures:
                signatures[kind.text] = kinds.signature(kind, who)
            alike = (kind.text, signatures[kind.text], shown)
            if alike not in work.cells:
                request = question(persona, (item,), "request", work.time_ns)
                work.cells[alike] = group.create_task(callable_when(work.policy, request, shown=shown))
            asked.append((id, hiding, work.cells[alike]))
    for id, hiding, task in asked:
        cell = await task
        cells[persona.name, id] = Cell("hidden", rules=hiding) if cell.access == "hidden" else cell
    return cells


async def callable_when(policy: Opened, given: JsonObject, *, shown: bool = True) -> Cell:
    """Whether and when an item may be called. `shown`: it exists now; another may exist at other times."""
    backend = backend_of(given) or ""
    unknowns = await open_parts(policy, given)
    try:
        exists = await _exists(policy, given, unknowns, backend)
        left = await refusals(policy, given, unknowns, backend)
        approvals = await _approvals(policy, given, unknowns, backend)
    except Undecided as why:
        return Cell("unknown", str(why))
    if exists == FALSE and not shown:
        return Cell("hidden")
    if exists == (FALSE if shown else TRUE):
        return Cell("unknown", "the list of now says otherwise than OPA finds for any time")
    seen = await _ruled(policy, given)
    if isinstance(seen, str):
        return Cell("unknown", seen)
    condition = both((exists, *(negated(each.condition) for each in left)))
    if condition == FALSE:
        sure = tuple(dict.fromkeys(f"{each.rule} {each.code}".strip() for each in left if each.condition == TRUE))
        if shown and not isinstance(seen, Refused | StepUp):
            return Cell("unknown", "a call without arguments is allowed, and OPA finds it refused whatever they are")
        return Cell("denied", rules=sure or _rules(left))
    told = await unrefused(policy, given, exists, [(each.rule, each.condition) for each in left], "deny")
    said = [] if condition == TRUE else [words(told)]
    said += [f"approved ({rule})" if part == TRUE else f"approved ({rule}) where {words(part)}" for rule, part in approvals]
    if said:
        rules = tuple(dict.fromkeys((*_rules(left), *(rule for rule, _ in approvals))))
        return Cell("when", " and ".join(said), rules, _unsaid(told))
    if not isinstance(seen, Permitted):
        return Cell("unknown", "a call without arguments is refused, and OPA finds nothing that refuses it")
    return Cell("allowed")


async def _exists(policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str) -> Formula:
    """What is left of grants and hiding. Where they do not read the time, the list has told: it exists."""
    if not kinds.timely(policy, backend):
        return TRUE
    granted, hidden = await existence(policy, given, unknowns, backend)
    return both((granted, negated(hidden)))


def _unsaid(condition: Formula) -> tuple[str, ...]:
    named = (leaf for leaf in leaves(condition) if isinstance(leaf, Test) and leaf.op == RULED)
    return tuple(sorted({str(terms.value(leaf.terms[1])) for leaf in named}))


def _rules(left: Sequence[Refusal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{each.rule} {each.code}".strip() for each in left))


async def _approvals(policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str) -> list[tuple[str, Formula]]:
    if "oblige" not in kinds.verbs(policy, backend):
        return []
    said = await ways(policy, given, unknowns, backend, "oblige", APPROVAL)
    return [(rule, way.condition) for rule, way in said if way.member("said", "type") == APPROVAL and way.condition != FALSE]


async def _ruled(policy: Opened, given: JsonObject) -> Ruling | str:
    """What a call without arguments comes to; a text: it is undecided, and why."""
    try:
        verdict = await policy.ask({"input": given})
        said = decision.read(verdict.result, asked=1, phase="request", revision="", decision_id="")
        return ruling(said, phase="request", scopes=())
    except Undecided as why:
        return str(why)

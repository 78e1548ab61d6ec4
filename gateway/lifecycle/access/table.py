"""Personas by catalog. Whether an item exists for somebody is asked as a list, which is exact; under which conditions it may be
called is what OPA leaves of the refusals when the call is unknown. Items of which the same is left whoever asks are of one kind,
and personas who answer alike what is left of a kind are asked about once. Every answer is held against the decision itself:
where the two disagree, the table says `unknown`.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import Undecided
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import FALSE, TRUE, Formula, Opaque, Test, both, leaves, negated
from gateway.lifecycle.conditions.opened import Opened
from gateway.lifecycle.conditions.standing import OF_THE_CALL, Refusal, refusals, ways
from gateway.lifecycle.conditions.words import words
from gateway.model import ClientInfo, Json, JsonObject, Phase, Resource
from gateway.policy import decision, document
from gateway.policy.ruling import Permitted, Refused, Ruling, StepUp, ruling

Access = Literal["allowed", "when", "denied", "hidden", "unknown"]
ACCESSES: tuple[Access, ...] = ("allowed", "when", "denied", "hidden", "unknown")
METHODS = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read", "resource_template": "resources/read"}
ANYBODY = ("input.subject", "input.agent", "input.context", *OF_THE_CALL)
OPEN_ANYWAY = (("context", "time_ns"), ("context", "approvals"))
APPROVAL = "require_approval"
AT_ONCE = 4
_VARIABLE = re.compile(r"'(\$|__local|_)[^']*'")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one persona may do with one item. `rules`: who hides or refuses it, or sets the condition."""

    access: Access
    when: str = ""  # of `when`: the condition; of `unknown`: why
    rules: tuple[str, ...] = ()


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
class Kind:
    """Items that no rule tells apart. `tests`: what it hangs on who asks; None: that cannot be told, so each is asked about."""

    text: str
    tests: tuple[Test, ...] | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What is known so far, for all personas together."""

    policy: Opened
    moment: Moment
    kinds: Mapping[str, Kind]
    waivers: bool  # then it matters who exactly asks
    cells: dict[tuple[str, str], "asyncio.Task[Cell]"] = field(default_factory=dict)


async def table(policy: Opened, personas: Sequence[Persona], items: Sequence[Resource], moment: Moment) -> Table:
    """Raises `Undecided` where OPA cannot be asked at all."""
    waivers = bool(await policy.value("mcp/facts/waivers"))
    cells: dict[tuple[str, str], Cell] = {}
    room = asyncio.Semaphore(AT_ONCE)
    try:
        async with asyncio.TaskGroup() as group:
            work = _Work(policy, moment, await _kinds(policy, items, moment, apart=waivers), waivers)

            async def one(persona: Persona) -> None:
                async with room:
                    cells.update(await _of(work, persona, items, group))
                moment.progress(f"{len(cells)} of {len(personas) * len(items)} answers")

            for persona in personas:
                group.create_task(one(persona))
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return Table(policy.revision, tuple(personas), tuple(items), cells)


async def _of(work: _Work, persona: Persona, items: Sequence[Resource], group: asyncio.TaskGroup) -> dict[tuple[str, str], Cell]:
    cells: dict[tuple[str, str], Cell] = {}
    asked: dict[str, asyncio.Task[Cell]] = {}
    for chunk in document.chunks(items):
        given = question(persona, chunk, "list", work.moment.time_ns)
        verdict = await work.policy.ask({"input": given})
        said = decision.read(verdict.result, asked=len(chunk), phase="list", revision="", decision_id="")
        for position, item in enumerate(chunk):
            id = item.id or item.public_name
            if position not in said.visible:
                hiding = tuple(sorted(rule for rule, positions in said.hidden_by.items() if position in positions))
                cells[persona.name, id] = Cell("hidden", rules=hiding)
                continue
            request = question(persona, (item,), "request", work.moment.time_ns)
            alike = (work.kinds[id].text, _signature(work.kinds[id], persona, request, apart=work.waivers))
            if alike not in work.cells:
                work.cells[alike] = group.create_task(callable_when(work.policy, request))
            asked[id] = work.cells[alike]
    cells.update({(persona.name, id): await task for id, task in asked.items()})
    return cells


def _signature(kind: Kind, persona: Persona, given: JsonObject, *, apart: bool) -> str:
    """The same for personas between whom nothing that is left of this kind makes a difference."""
    if kind.tests is None or apart:
        return persona.name
    return repr([_answer(test, given) for test in kind.tests])


def _answer(test: Test, given: JsonObject) -> Json:
    """Whether the subject has that group or scope; of any other test, all that it may look at."""
    if test.op == "internal.member_2" and terms.constant(test.terms[0]) and (path := terms.path(test.terms[1])) is not None:
        held = _at(given, path)
        return terms.value(test.terms[0]) in held if isinstance(held, list) else repr(held)
    return [_at(given, path) for term in test.terms for path in terms.prefixes(term) if path not in OPEN_ANYWAY]


def _at(whole: Json, path: Sequence[str]) -> Json:
    for name in path:
        whole = whole.get(name) if isinstance(whole, dict) else None
    return whole


async def callable_when(policy: Opened, given: JsonObject) -> Cell:
    """Of a visible item: whether it may be called, and when."""
    backend = _backend(given)
    unknowns = await open_parts(policy, given)
    try:
        left = await refusals(policy, given, unknowns, backend)
        approvals = await _approvals(policy, given, unknowns, backend)
    except Undecided as why:
        return Cell("unknown", str(why))
    condition = both(negated(each.condition) for each in left)
    seen = await _ruled(policy, given)
    if isinstance(seen, str):
        return Cell("unknown", seen)
    if condition == FALSE:
        sure = tuple(dict.fromkeys(f"{each.rule} {each.code}".strip() for each in left if each.condition == TRUE))
        if not isinstance(seen, Refused | StepUp):
            return Cell("unknown", "a call without arguments is allowed, and OPA finds it refused whatever they are")
        return Cell("denied", rules=sure or _rules(left))
    said = [] if condition == TRUE else [words(condition)]
    said += [f"approved ({rule})" if part == TRUE else f"approved ({rule}) where {words(part)}" for rule, part in approvals]
    if said:
        return Cell("when", " and ".join(said), tuple(dict.fromkeys((*_rules(left), *(rule for rule, _ in approvals)))))
    if not isinstance(seen, Permitted):
        return Cell("unknown", "a call without arguments is refused, and OPA finds nothing that refuses it")
    return Cell("allowed")


def _rules(left: Sequence[Refusal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{each.rule} {each.code}".strip() for each in left))


async def _approvals(policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str) -> list[tuple[str, Formula]]:
    if not any(APPROVAL in package.says for package in policy.rules.about(backend, "oblige")):
        return []
    said = await ways(policy, given, unknowns, backend, "oblige")
    return [(rule, way.condition) for rule, way in said if way.member("said", "type") == APPROVAL and way.condition != FALSE]


async def _ruled(policy: Opened, given: JsonObject) -> Ruling | str:
    """What a call without arguments comes to; a text: it is undecided, and why."""
    try:
        verdict = await policy.ask({"input": given})
        said = decision.read(verdict.result, asked=1, phase="request", revision="", decision_id="")
        return ruling(said, phase="request", scopes=())
    except Undecided as why:
        return str(why)


async def _kinds(policy: Opened, items: Sequence[Resource], moment: Moment, *, apart: bool) -> dict[str, Kind]:
    """For each item by its id. `apart`: items of different backends are never of one kind."""
    found: dict[str, Kind] = {}
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: Resource) -> None:
        async with room:
            given = question(Persona(name="nobody"), (item,), "request", moment.time_ns)
            id = item.id or item.public_name
            found[id] = await _kind(policy, given, id, apart=apart)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))
    moment.progress(f"{len(items)} items of {len({kind.text for kind in found.values()})} kinds")
    return found


async def _kind(policy: Opened, given: JsonObject, id: str, *, apart: bool) -> Kind:
    backend = _backend(given)
    unknowns = [*ANYBODY, *(await open_parts(policy, given))]
    approvals = any(APPROVAL in package.says for package in policy.rules.about(backend, "oblige"))
    said, tests = [], []
    try:
        for verb in ("deny", "oblige") if approvals else ("deny",):
            for rule, way in await ways(policy, given, unknowns, backend, verb):
                left = list(leaves(way.condition))
                if any(isinstance(leaf, Opaque) for leaf in left):
                    return Kind(id, None)  # what it hangs on cannot be compared
                about = (way.member("said", "code"), way.member("said", "scopes")) if verb == "deny" else way.term("said")
                said.append(f"{verb} {rule} {about!r} {way.condition!r}")
                tests += [leaf for leaf in left if isinstance(leaf, Test)]
    except Undecided:
        return Kind(id, None)
    names: dict[str, str] = {}
    whole = "\n".join([backend if apart else "", *sorted(said)])
    text = _VARIABLE.sub(lambda match: names.setdefault(match[0], f"'${len(names)}'"), whole)
    return Kind(text, tuple({repr(test): test for test in tests}.values()))


async def open_parts(policy: Opened, given: JsonObject) -> tuple[str, ...]:
    """What is not known of a call: with what the gateway reads in its arguments, where the facts declare something to read."""
    resources = given["resources"]
    resource = resources[0] if isinstance(resources, list) and resources else None
    if not isinstance(resource, dict):
        return OF_THE_CALL
    known: Json = await policy.value("mcp/facts/items")
    for name in (resource.get("backend"), resource.get("type"), resource.get("name", resource.get("uri"))):
        known = known.get(name) if isinstance(known, dict) and isinstance(name, str) else None
    return (*OF_THE_CALL, "input.extracted") if isinstance(known, dict) and known.get("extract") else OF_THE_CALL


def question(persona: Persona, items: Sequence[Resource], phase: Phase, time_ns: int) -> JsonObject:
    """The input; a request is one without arguments."""
    request = phase == "request"
    made = document.document(
        document.Question(
            caller=persona.caller,
            action_name=METHODS[items[0].type] if request else "tools/list",
            phase=phase,
            resources=tuple(items),
            surface=persona.surface,
            protocol="2026-07-28",
            client=ClientInfo(),
            time_ns=time_ns,
            decision_id="",
            request_id="",
            trace_id=None,
            arguments={} if request else None,
            arguments_valid=True if request else None,
        )
    )
    given = made["input"]
    assert isinstance(given, dict)
    del given["exchange"]
    return given


def _backend(given: JsonObject) -> str:
    resources = given["resources"]
    first = resources[0] if isinstance(resources, list) else None
    return str(first.get("backend", "")) if isinstance(first, dict) else ""

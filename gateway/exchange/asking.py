"""Asks the policy and reads its answer. Every question of every exchange goes through here, and none goes unanswered:
what is not a usable answer raises `Undecided`, and is counted by its cause.
"""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gateway.errors import Undecided
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.reading import ArgumentFacts
from gateway.model import Decision, Json, JsonObject, Phase, Resource
from gateway.policy import document
from gateway.policy.contract import VERSION_1, told
from gateway.policy.document import Fragments, Question
from gateway.policy.obligations import plan_list

PER_BACKEND = frozenset({"status", "late"})  # causes that one backend's rule can have


@dataclass(frozen=True, slots=True)
class Seen:
    """What a list's decisions say, by position in the list that was asked about."""

    visible: frozenset[int]
    decisions: tuple[tuple[tuple[int, ...], Decision], ...]  # (positions asked, their decision)
    lost: tuple[str, ...]  # backends whose part stayed undecided


def question(  # noqa: PLR0913 — each member of the document is said by name
    x: Exchange,
    resources: Sequence[Resource],
    *,
    phase: Phase,
    action: str | None = None,
    arguments: JsonObject | None = None,
    read: ArgumentFacts | None = None,
    result: JsonObject | None = None,
    now_ns: int,
) -> Question:
    """The question of one phase of `x`; its decision id is minted here."""
    return Question(
        caller=x.caller,
        action_name=action or x.method.name,
        phase=phase,
        resources=tuple(resources),
        arguments=arguments,
        arguments_valid=read.valid if read is not None else None,
        unknown_arguments=read.unknown if read is not None else (),
        extracted=read.extracted if read is not None else None,
        result=result,
        surface=x.view.surface,
        protocol=x.message.version,
        client=x.message.client,
        time_ns=now_ns,
        decision_id=secrets.token_hex(16),
        request_id=x.id,
        trace_id=x.trace_id,
    )


async def ask(ports: Ports, draft: Draft, asked: Question, *, resources: Fragments | None = None) -> Decision:
    """The decision on one question; `resources` are its own, serialised earlier. Raises `Undecided`."""
    started = time.perf_counter()
    said: Json = None
    try:
        contract = ports.decider.contract
        verdict = await ports.decider.decide(document.serialised(asked, resources=resources, words=contract.words))
        said = verdict.result if contract is VERSION_1 else None
        decided = contract.read(
            verdict.result,
            asked=len(asked.resources),
            phase=asked.phase,
            revision=verdict.revision,
            decision_id=asked.decision_id,
        )
        if contract is not VERSION_1 and ports.questions is not None:
            said = told(decided)  # recordings are in the words of version 1, whoever decides
    except Undecided as undecided:
        ports.meter.undecided(cause=undecided.cause)
        draft.undecided(asked.decision_id, asked.phase, undecided.cause)
        raise
    finally:
        spent_s = time.perf_counter() - started
        draft.decision_s += spent_s
        ports.meter.decision(phase=asked.phase, duration_s=spent_s)
        if ports.questions is not None:
            draft.kept[asked.decision_id] = ports.questions.kept(asked, said)
    draft.decided(asked.phase, decided)
    return decided


async def ask_list(ports: Ports, draft: Draft, whole: Question, *, kept: tuple[Fragments, ...] | None = None) -> Seen:
    """Decide a whole list, in chunks, all of one policy revision. A backend whose rule fails is lost, the others are not.

    `kept`: the resources of each chunk, serialised earlier. Raises `Undecided` when nothing could be decided: a list that
    failed is an error, never an empty list.
    """
    if not whole.resources:
        return Seen(frozenset(), (), ())
    for _ in range(2):
        parts = list(document.chunks(range(len(whole.resources))))
        asked = (
            _ask_part(ports, draft, whole, tuple(part), kept[number] if kept is not None else None)
            for number, part in enumerate(parts)
        )
        seen = _joined(draft, await _together(asked))
        if len({decision.revision for _, decision in seen.decisions}) == 1:
            return seen
    draft.undecided(whole.decision_id, whole.phase, "revision")
    ports.meter.undecided(cause="revision")
    raise Undecided("revision", "the policy changed twice while one list was decided")


async def _ask_part(ports: Ports, draft: Draft, whole: Question, part: tuple[int, ...], kept: Fragments | None) -> Seen:
    try:
        decision = await _remembered(ports, draft, _about(whole, part), kept)
    except Undecided as undecided:
        if undecided.cause not in PER_BACKEND:
            raise
        return await _ask_by_backend(ports, draft, whole, part)
    return _seen(ports, draft, part, decision)


async def _ask_by_backend(ports: Ports, draft: Draft, whole: Question, part: tuple[int, ...]) -> Seen:
    """One backend's broken rule costs that backend's items only: ask again, backend by backend."""
    by_backend: dict[str, list[int]] = {}
    for position in part:
        by_backend.setdefault(whole.resources[position].backend or "", []).append(position)
    asked = (_ask_one(ports, draft, whole, backend, tuple(positions)) for backend, positions in by_backend.items())
    return _merged(await _together(asked))  # an OPA that hangs costs one more deadline, not one a backend


async def _ask_one(ports: Ports, draft: Draft, whole: Question, backend: str, positions: tuple[int, ...]) -> Seen:
    try:
        return _seen(ports, draft, positions, await _remembered(ports, draft, _about(whole, positions), None))
    except Undecided as undecided:
        if undecided.cause not in PER_BACKEND:
            raise
        return Seen(frozenset(), (), (backend,))


async def _remembered(ports: Ports, draft: Draft, asked: Question, kept: Fragments | None) -> Decision:
    """The decision on a list, from memory where the same document was decided by the same policy within 10 s."""
    revision = ports.decider.revision
    if revision is None:
        return await ask(ports, draft, asked, resources=kept)
    words = ports.decider.contract.words
    resources = kept or document.fragments(asked.resources, words)
    key = document.memory_key(asked, revision, resources=resources, words=words)
    known = ports.memory.find(key)
    if known is not None:
        draft.decided(asked.phase, known)
        return known
    try:
        decision = await ports.memory.shared(key, partial(_in_turn, ports, draft, asked, resources))
    except Undecided as undecided:
        if not draft.undecided_by:  # it was another exchange's question
            draft.undecided(asked.decision_id, asked.phase, undecided.cause)
        raise
    if decision.revision == revision:
        ports.memory.keep(key, decision)
    if (asked.phase, decision) not in draft.decisions:
        draft.decided(asked.phase, decision)
    return decision


async def _in_turn(ports: Ports, draft: Draft, asked: Question, resources: Fragments) -> Decision:
    """Lists are long questions: many at once would make each other late, and calls with them, so a few go at a time."""
    async with ports.list_turns:
        return await ask(ports, draft, asked, resources=resources)


def _about(whole: Question, part: tuple[int, ...]) -> Question:
    if len(part) == len(whole.resources):
        return whole
    return replace(whole, resources=tuple(whole.resources[each] for each in part), decision_id=secrets.token_hex(16))


def _seen(ports: Ports, draft: Draft, part: tuple[int, ...], decision: Decision) -> Seen:
    """What is visible, less what stands under a duty that is not understood: whoever asks, for a list or for a link."""
    visible = decision.visible
    if decision.obligations and (refused := plan_list(decision, asked=len(part)).refused):
        not_understood(ports, draft, decision)
        visible = visible - refused.keys()
    return Seen(frozenset(part[each] for each in visible), ((part, decision),), ())


def not_understood(ports: Ports, draft: Draft, decision: Decision) -> None:
    """Counts and records a decision of phase list in which a duty refuses its positions."""
    ports.meter.undecided(cause="unknown_duty")
    draft.undecided(decision.decision_id, "list", "unknown_duty")


async def _together(parts: Iterable[Coroutine[None, None, Seen]]) -> list[Seen]:
    """All parts at once. What ends one ends the others: nobody is left who would hear of them, and the record may be written."""
    try:
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(part, name="a part of a list") for part in parts]
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


def _merged(answers: Sequence[Seen]) -> Seen:
    return Seen(
        visible=frozenset().union(*(each.visible for each in answers)),
        decisions=tuple(pair for each in answers for pair in each.decisions),
        lost=tuple(dict.fromkeys(name for each in answers for name in each.lost)),
    )


def _joined(draft: Draft, answers: Sequence[Seen]) -> Seen:
    merged = _merged(answers)
    if not merged.decisions:
        *_, (_, _, cause) = draft.undecided_by
        raise Undecided(cause, "no backend's part of the list could be decided")
    return merged

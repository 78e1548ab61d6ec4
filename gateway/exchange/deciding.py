"""From a target to a permit: decide, plan the duties, redact the arguments, decide once more if that changed anything.

What was decided last is what is forwarded. A permit exists only for a request that the policy allows as it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from gateway.errors import Kind, Refusal, Undecided
from gateway.exchange import redacting
from gateway.exchange.asking import ask, question
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.reading import ArgumentFacts, argument_facts, completed
from gateway.exchange.standing import Ending
from gateway.exchange.target import Target, unknown
from gateway.identity.challenge import challenge
from gateway.model import Decision, JsonObject
from gateway.policy.document import Question
from gateway.policy.obligations import Duties
from gateway.policy.redact import BadRedaction, Redactor
from gateway.policy.ruling import Permitted, Refused, Ruling, StepUp, Unseen, ruling
from gateway.policy.wording import denied, withheld_text
from gateway.wire.params import check_param_headers


@dataclass(frozen=True, slots=True)
class Permit:
    """The policy's leave for exactly this request, and what it costs."""

    target: Target
    arguments: JsonObject
    duties: Duties
    redactor: Redactor  # of results and messages


async def permitted(ports: Ports, x: Exchange, draft: Draft, target: Target) -> Permit:
    """Raises `Refusal` (unknown, denied, step-up, undecided); nothing was forwarded then."""
    duties = await _duties(ports, x, draft, target, target.arguments)
    arguments = await _redacted(ports, draft, duties, target.arguments)
    if arguments is not target.arguments:
        duties = await _duties(ports, x, draft, target, arguments)
        if await _redacted(ports, draft, duties, arguments) is not arguments:
            raise _undecided(ports, draft, Undecided("unstable", "redaction changed the arguments a second time"))
    if not target.whole(arguments):
        raise Refusal(Kind.DENIED, "Refused by policy: it takes away the value that is to be completed.", cause="redacted")
    draft.arguments = arguments
    return Permit(target, arguments, duties, redactor(ports, draft, duties))


async def inspected(ports: Ports, x: Exchange, draft: Draft, permit: Permit, result: JsonObject) -> Redactor:
    """Ask again, with the result. The redactor for it, result duties included; raises `Refusal(RESULT_WITHHELD)`."""
    target = permit.target
    now_ns = ports.now_ns()

    def asked(read: ArgumentFacts) -> Question:
        resources, arguments = (target.resource,), permit.arguments
        return question(x, resources, phase="result", arguments=arguments, read=read, result=result, now_ns=now_ns)

    try:
        decision = await _decided(ports, draft, target, permit.arguments, asked)
        ruled = ruling(decision, phase="result", scopes=x.caller.subject.scopes)
        draft.duties = permit.duties.with_result(ruled.duties)
        if isinstance(ruled, Permitted):
            return ports.redactors.compiled(draft.duties.result_redactions)
    except BadRedaction as error:
        ports.meter.undecided(cause="unknown_duty")
        raise withheld("the policy could not judge it", "unknown_duty") from error
    except Undecided as undecided:
        raise withheld("the policy could not judge it", undecided.cause) from undecided
    denials = ruled.denials if isinstance(ruled, Refused | StepUp) else ()
    for denial in denials:
        ports.meter.denial(rule=denial.rule, code=denial.code)
    raise Refusal(Kind.RESULT_WITHHELD, withheld_text(denials), cause=denials[0].code if denials else "invisible")


def withheld(reason: str, cause: str) -> Refusal:
    """Says that the action was carried out, or agents would do it again."""
    return Refusal(Kind.RESULT_WITHHELD, f"{withheld_text()} Reason: {reason}.", cause=cause)


async def still_permitted(ports: Ports, x: Exchange, draft: Draft, permit: Permit) -> Ending | None:
    """Whether the policy in force now would allow what was forwarded, exactly as it was; None: it would.

    What it owes beyond the permit waits in `draft.tightened`; it takes nothing back that was owed before.
    """
    now = replace(x, started_ns=ports.now_ns())
    aside = Draft()  # the duties of the draft are those that are carried out; nor is it time that the exchange waits for
    try:
        later = await _duties(ports, now, aside, permit.target, permit.arguments)
        owed = (draft.tightened or permit.duties).with_result(_of_the_answer(later))
        redactor(ports, aside, owed)
    except Refusal as refusal:
        return "undecided" if refusal.kind is Kind.UNDECIDED else "revoked"
    finally:
        draft.decisions += aside.decisions
        draft.undecided_by += aside.undecided_by
        draft.kept |= aside.kept
    draft.tightened = owed
    return None


def as_owed_now(ports: Ports, draft: Draft, permit: Permit) -> Permit:
    """The permit, with what a change of the policy added to it since it was forwarded: carried out from here on."""
    if draft.tightened is None or draft.tightened is permit.duties:
        return permit
    draft.duties = draft.tightened
    return replace(permit, duties=draft.duties, redactor=redactor(ports, draft, draft.duties))


def ended_early(cause: Ending) -> Refusal:
    """What a caller is told whose request was ended while the backend worked on it."""
    reason = {
        "expired": "The credential that this was asked with has expired: authenticate again.",
        "credential_revoked": "The credential that this was asked with was taken back.",
        "revoked": "This is no longer allowed: the policy changed while it was under way.",
        "undecided": "The policy changed while this was under way, and gave no decision on it.",
        "internal": "The gateway could not go on with it.",
    }[cause]
    return Refusal(Kind.REVOKED, f"{reason} It was ended; the action may have been carried out.", cause=cause)


async def _duties(ports: Ports, x: Exchange, draft: Draft, target: Target, arguments: JsonObject) -> Duties:
    def asked(read: ArgumentFacts) -> Question:
        # also about what does not exist: the arguments' size and weight must not tell it from what is hidden
        return question(x, (target.resource,), phase="request", arguments=arguments, read=read, now_ns=x.started_ns)

    try:
        decision = await _decided(ports, draft, target, arguments, asked)
        ruled = ruling(decision, phase="request", scopes=x.caller.subject.scopes)
    except Undecided as undecided:
        raise _undecided(ports, draft, undecided) from undecided
    draft.duties = ruled.duties
    return _permitted_or_raise(ports, x, target, ruled)


def _of_the_answer(later: Duties) -> Duties:
    """What can still be done where the request was forwarded: its arguments are sent, and its rates are charged."""
    return Duties(
        result_redactions=later.result_redactions,
        inspect_result=later.inspect_result,
        audit_level=later.audit_level,
        carried=tuple(one for one in later.carried if one.type in {"redact", "inspect_result", "audit"}),
    )


async def _decided(
    ports: Ports, draft: Draft, target: Target, arguments: JsonObject, asked: Callable[[ArgumentFacts], Question]
) -> Decision:
    """The decision on what the arguments hold, by the very policy that said what to look for in them. Raises `Undecided`."""
    for _ in range(2):  # the second time only if another policy set came into force in between
        read = argument_facts(ports, target, arguments)
        told = asked(read)
        if read.incomplete:
            if told.phase == "request" and (unseen := await _unseen(ports, draft, told)) is not None:
                return unseen
            read = await completed(ports, target, read, arguments)
            told = asked(read)
        decision = await ask(ports, draft, told)
        if decision.revision == read.revision:
            return decision
    ports.meter.undecided(cause="revision")
    draft.undecided(told.decision_id, told.phase, "revision")
    raise Undecided("revision", "the policy changed twice while one request was decided")


async def _unseen(ports: Ports, draft: Draft, told: Question) -> Decision | None:
    """The decision, if the item is invisible: then the arguments are not read. None: it is visible, and nothing is decided.

    Whether an item exists may not depend on its arguments; and time must not tell what is hidden from what is not there, nor
    may somebody who sees nothing make the gateway read long texts.
    """
    aside = Draft()
    try:
        decision = await ask(ports, aside, told)
    except Undecided:
        draft.undecided_by += aside.undecided_by
        draft.kept |= aside.kept
        raise
    finally:
        draft.decision_s += aside.decision_s
    if 0 in decision.visible:
        return None
    draft.decided(told.phase, decision)
    draft.kept |= aside.kept
    return decision


def _permitted_or_raise(ports: Ports, x: Exchange, target: Target, ruled: Ruling) -> Duties:
    if isinstance(ruled, Unseen) or not target.known:
        raise unknown(target)
    if target.item is not None and target.item.header_map and x.message.era == "modern":
        # Ladder rung 13, only now: before this point the answer would have told of a hidden tool.
        check_param_headers(target.item.definition.get("inputSchema"), target.arguments, x.message.param_headers)
    match ruled:
        case Permitted():
            return ruled.duties
        case StepUp():
            _counted(ports, ruled)
            raise _step_up(x, ruled)
        case Refused():
            _counted(ports, ruled)
            raise Refusal(Kind.DENIED, denied(ruled.denials), cause=ruled.denials[0].code if ruled.denials else "not_allowed")
        case _:
            assert_never(ruled)


def _counted(ports: Ports, ruled: Refused | StepUp) -> None:
    for denial in ruled.denials:
        ports.meter.denial(rule=denial.rule, code=denial.code)


def _step_up(x: Exchange, ruled: StepUp) -> Refusal:
    """Names every scope that is missing at once (2026-07-28, basic/authorization: runtime insufficient scope).

    A legacy client asks for exactly the scopes of the challenge, so those that it has are named again, or it would lose them.
    """
    held = x.caller.subject.scopes if x.message.era == "legacy" else ()
    wanted = challenge(
        error="insufficient_scope",
        description="the policy allows this to a token with more scopes",
        scopes=dict.fromkeys((*held, *ruled.scopes)),
        resource_metadata=x.resource_metadata,
        scheme="DPoP" if x.caller.dpop_algorithms else "Bearer",
        dpop_algorithms=x.caller.dpop_algorithms,
    )
    return Refusal(
        Kind.INSUFFICIENT_SCOPE,
        denied(ruled.denials),
        data={"scopes": list(ruled.scopes)},
        headers={"WWW-Authenticate": wanted},
    )


async def _redacted(ports: Ports, draft: Draft, duties: Duties, arguments: JsonObject) -> JsonObject:
    if not duties.argument_redactions:
        return arguments
    try:
        redactor = ports.redactors.compiled(duties.argument_redactions)
    except BadRedaction as error:
        raise _undecided(ports, draft, Undecided("unknown_duty", str(error))) from error
    outcome = await redacting.arguments(ports.redacting_turns, redactor, arguments)
    draft.hits.extend(outcome.hits)
    if outcome.spent:  # what is left would be another call than the one that was meant
        raise Refusal(
            Kind.DENIED, "Refused by policy: the arguments hold too much to be checked. Send less at once.", cause="redacted"
        )
    return outcome.value


def redactor(ports: Ports, draft: Draft, duties: Duties) -> Redactor:
    """Compiled before anything is forwarded: a pattern found bad afterwards would be too late."""
    try:
        if duties.item_redactions:  # carried out in lists only, and as understandable here as there
            ports.redactors.compiled(duties.item_redactions)
        return ports.redactors.compiled(duties.result_redactions)
    except BadRedaction as error:
        raise _undecided(ports, draft, Undecided("unknown_duty", str(error))) from error


def _undecided(ports: Ports, draft: Draft, undecided: Undecided) -> Refusal:
    if not draft.undecided_by:  # found here; the others were counted where they were asked
        ports.meter.undecided(cause=undecided.cause)
        draft.undecided("", "request", undecided.cause)
    return Refusal(
        Kind.UNDECIDED,
        "The policy gave no decision, so nothing was done. Try again in a moment; tell the gateway's operator if it stays so.",
        cause=undecided.cause,
    )

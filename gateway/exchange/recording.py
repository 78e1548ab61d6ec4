"""What the audit log learns of an exchange: an intent before anything is forwarded, an outcome before anything is answered.

What was not forwarded has one line. Each function raises `Unrecorded`; the pipeline then lets nothing pass.
"""

import time
from collections.abc import Mapping

from gateway.audit_record import Asked, Duty, End, Fetch, Head, Intent, Level, Listing, Outcome, Ruling, Settled, Stream, Who
from gateway.audit_record import Exchange as Line
from gateway.errors import Kind, Refusal
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.model import Decision, ItemType, JsonObject, Phase
from gateway.policy.obligations import AUDIT_LEVELS, Carried, Duties, ListDuties

OUTCOMES: Mapping[Kind, Outcome] = {
    Kind.DENIED: "denied",
    Kind.INSUFFICIENT_SCOPE: "denied",
    Kind.LIMITED: "limited",
    Kind.BUSY: "limited",
    Kind.UNKNOWN_SESSION: "refused",
    Kind.UNDECIDED: "undecided",
    Kind.UNRECORDED: "unrecorded",
    Kind.BACKEND_FAILED: "backend_failed",
    Kind.BACKEND_ERROR: "backend_error",
    Kind.RESULT_WITHHELD: "withheld",
    Kind.REVOKED: "cancelled",
    Kind.INTERNAL: "internal",
}
UNKNOWN = frozenset({Kind.UNKNOWN_ITEM, Kind.UNKNOWN_RESOURCE})


async def intent(ports: Ports, x: Exchange, draft: Draft) -> None:
    """What is about to be forwarded, for whom, and why it may."""
    assert draft.target is not None
    record = Intent(
        head=_head(x),
        who=_who(x),
        item=draft.target.resource,
        backend=draft.backend,
        ruling=_ruling(draft, draft.decisions),
        arguments=draft.arguments,
    ).record()
    record = _quoted(ports, record)
    # Before it is written: a line stands also where its client goes away meanwhile, and then it wants its outcome.
    draft.intent_written, draft.settled_from = True, len(draft.decisions)
    try:
        await ports.audit.write(record)
    except Exception:  # whatever it was, the line does not stand
        draft.intent_written, draft.settled_from = False, 0
        raise


async def outcome(ports: Ports, x: Exchange, draft: Draft) -> None:
    """The answer of a forwarded exchange."""
    failed = draft.result is not None and draft.result.get("isError") is True
    await _settle(ports, x, draft, "tool_error" if failed else "ok", None)


async def listing(ports: Ports, x: Exchange, draft: Draft) -> None:
    """How much of a list was shown and hidden, and by which rule."""
    hidden = dict(draft.hidden or {})
    record = Listing(
        head=_head(x),
        who=_who(x),
        end=_end(x, draft, "ok", None),
        ruling=_ruling(draft, draft.decisions),
        shown=draft.shown or 0,
        hidden=draft.not_shown,
        hidden_by=hidden,
        missing=draft.missing,
    ).record()
    await _last(ports, x, draft, "ok", record)


async def fetch(ports: Ports, x: Exchange, backend: str, type: ItemType) -> None:
    """That a backend is about to be asked for a page of its list as this caller."""
    await ports.audit.write(Fetch(_who(x), backend, (type,), _head(x)).record())


async def answered(ports: Ports, x: Exchange, draft: Draft) -> None:
    """An exchange that the gateway answered itself."""
    await _settle(ports, x, draft, "ok", None)


async def refusal(ports: Ports, x: Exchange, draft: Draft, refused: Refusal) -> None:
    """An exchange that ended with a refusal, before or after it was forwarded."""
    await _settle(ports, x, draft, _outcome_of(draft, refused), refused)


async def broken_off(ports: Ports, x: Exchange, draft: Draft, ended: Outcome) -> None:
    """An exchange whose client went away, or that a defect ended."""
    await _settle(ports, x, draft, ended, None)


async def stream(ports: Ports, x: Exchange, cause: str, *, told: int, dropped: tuple[str, ...] = ()) -> None:
    """A stream of changes that ended; or, with `dropped`, resources that it tells no more of."""
    duration_ms = (time.perf_counter() - x.started_s) * 1e3
    await ports.audit.write(Stream(_head(x), _who(x), cause, duration_ms, told, dropped).record())


async def _settle(ports: Ports, x: Exchange, draft: Draft, ended: Outcome, refused: Refusal | None) -> None:
    end = _end(x, draft, ended, refused)
    if draft.intent_written:
        assert draft.target is not None
        record = Settled(
            head=_head(x),
            who=_who(x),
            item=draft.target.resource,
            backend=draft.backend,
            ruling=_ruling(draft, draft.decisions[draft.settled_from :]),
            end=end,
            result=draft.result,
            era_backend=draft.era_backend,
        ).record()
    else:
        record = Line(
            head=_head(x),
            who=_who(x),
            end=end,
            ruling=_ruling(draft, draft.decisions),
            item=draft.target.resource if draft.target else None,
            backend=draft.backend or None,
            arguments=draft.arguments,
        ).record()
    await _last(ports, x, draft, ended, record)


def _quoted(ports: Ports, record: JsonObject) -> JsonObject:
    """Where questions are recorded with stand-ins, what refusals quote must not stand beside them as it was."""
    return record if ports.questions is None else ports.questions.quoted(record)


async def _last(ports: Ports, x: Exchange, draft: Draft, ended: Outcome, record: JsonObject) -> None:
    """The last line of an exchange. It stands also where its client goes away meanwhile, and no other follows it then."""
    draft.closed = True
    try:
        await ports.audit.write(_quoted(ports, record))
    except Exception:  # whatever it was, the line does not stand
        draft.closed = False
        raise
    finally:
        if draft.closed:
            _closed(ports, x, draft, ended)


def _closed(ports: Ports, x: Exchange, draft: Draft, ended: Outcome) -> None:
    for duty in _duties(draft, _planned(draft)):
        ports.meter.obligation(type=duty.type)
    for rule, verb in _spoken(draft):
        ports.meter.fired(rule=rule, verb=verb)
    duration_s = time.perf_counter() - x.started_s
    ports.meter.exchange(
        method=x.method.name,
        backend=draft.backend,
        outcome=ended,
        duration_s=duration_s,
        own_s=max(0.0, duration_s - draft.decision_s - draft.backend_s),
    )


def _spoken(draft: Draft) -> set[tuple[str, str]]:
    """The rules that had something to say over the exchange, each once with each of its verbs."""
    spoken: set[tuple[str, str]] = set()
    for phase, decision in draft.decisions:
        refusing = "withhold" if phase == "result" else "deny"
        spoken.update((rule, "allow") for rule in decision.granted_by)
        spoken.update((rule, "hide") for rule in decision.hidden_by)
        spoken.update((each.rule, refusing) for each in decision.denials)
        spoken.update((each.rule, "oblige") for each in decision.obligations)
    return spoken


def _outcome_of(draft: Draft, refused: Refusal) -> Outcome:
    if draft.intent_written and refused.kind not in OUTCOMES:
        return "backend_error"
    if refused.kind in UNKNOWN:
        return "invisible" if draft.target is not None and draft.target.known else "unknown"
    return OUTCOMES.get(refused.kind, "refused")


def _head(x: Exchange) -> Head:
    return Head.of(x.message, exchange_id=x.id, surface=x.view.surface, trace_id=x.trace_id)


def _who(x: Exchange) -> Who:
    return Who(x.caller, x.message.client)


def _end(x: Exchange, draft: Draft, ended: Outcome, refused: Refusal | None) -> End:
    era = x.message.era
    return End(
        outcome=ended,
        duration_ms=(time.perf_counter() - x.started_s) * 1e3,
        cause=refused.cause if refused else None,
        status=refused.status(era) if refused and refused.status(era) != 200 else None,
        code=refused.code(era) if refused else None,
        decision_ms=draft.decision_s * 1e3,
        backend_ms=draft.backend_s * 1e3 if draft.intent_written else None,
        bytes_in=x.message.body_bytes,
        bytes_out=draft.bytes_out,
        notices=draft.notices,
        parts_withheld=draft.parts_withheld,
    )


def _ruling(draft: Draft, decisions: list[tuple[Phase, Decision]]) -> Ruling:
    kept = draft.kept
    asked = [Asked.of(decision, phase, kept=kept.get(decision.decision_id)) for phase, decision in decisions]
    known = {decision.decision_id for _, decision in decisions}
    asked += [
        Asked(each, phase, cause=cause, kept=kept.get(each) if each not in known else None)
        for each, phase, cause in draft.undecided_by
    ]
    planned = _planned(draft)
    duties, level = _duties(draft, planned), _level(planned)
    if not decisions:  # of most outcomes: all was decided before the intent
        return Ruling(asked=tuple(asked), duties=duties, level=level)
    each = [decision for _, decision in decisions]
    return Ruling(
        asked=tuple(asked),
        granted_by=tuple(dict.fromkeys(rule for decision in each for rule in decision.granted_by)),
        hidden_by=tuple(dict.fromkeys(rule for decision in each for rule in decision.hidden_by)),
        denials=tuple(denial for decision in each for denial in decision.denials),
        observed={rule: said for decision in each for rule, said in decision.observed.items()},
        waived=tuple(waived for decision in each for waived in decision.waived),
        duties=duties,
        level=level,
    )


def _planned(draft: Draft) -> list[Duties | ListDuties]:
    """What was owed: for the one item, or for each part of a list."""
    return [draft.duties, *draft.list_duties] if draft.duties else [*draft.list_duties]


def _duties(draft: Draft, planned: list[Duties | ListDuties]) -> tuple[Duty, ...]:
    """The obligations carried out; a redaction where it changed something, with the number of places."""
    if not planned:
        return ()
    hits: dict[tuple[str, str], int] = {}
    for hit in draft.hits:
        hits[hit.rule, hit.code] = hits.get((hit.rule, hit.code), 0) + hit.count
    carried = [one for each in planned for one in each.carried if one.type != "redact" or (one.rule, one.code) in hits]
    # What a first decision redacted from the arguments, the decision on what was left may owe no more.
    carried += [Carried(rule, "redact", code) for rule, code in hits]
    return tuple(Duty(one.rule, one.type, one.code, hits.get((one.rule, one.code))) for one in dict.fromkeys(carried))


def _level(planned: list[Duties | ListDuties]) -> Level:
    """The highest level that a duty asks for."""
    return max((each.audit_level for each in planned), key=AUDIT_LEVELS.index, default="metadata")

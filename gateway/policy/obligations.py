"""What a decision obliges the gateway to do for one position. A duty that is not understood to the letter refuses it.

| phase | duties carried out there |
|---|---|
| list | redact items, audit |
| request | all |
| result | redact results, audit |

A duty declared in another phase is ignored there. Whatever the phase, a refused position keeps only what concerns its record:
audit and redaction; there an unintelligible duty cannot refuse any more, so the record shrinks to its metadata instead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NoReturn, TypeVar

import msgspec

from gateway.errors import Undecided
from gateway.model import Decision, Denial, Json, JsonObject, Obligation, Phase
from gateway.policy.document import OFFERED
from gateway.policy.duty import CHECKS, FOREIGN, Redaction

AuditLevel = Literal["metadata", "arguments", "full"]
AUDIT_LEVELS: tuple[AuditLevel, ...] = ("metadata", "arguments", "full")  # ascending: the highest wins
REDACTED: tuple[Literal["arguments", "result", "item"], ...] = ("arguments", "result", "item")
ACTIONS: tuple[Literal["remove", "replace", "hash"], ...] = ("remove", "replace", "hash")
APPROVAL = "require_approval"  # understood in shape, so that it can be refused clearly; not offered yet
KNOWN_TYPES = frozenset({*OFFERED, APPROVAL})

T = TypeVar("T")

MAX_KEY = 512  # characters of a rate limit's key
MAX_COUNT = 1_000_000_000
MAX_PERIOD_S = 31 * 86_400
MAX_PATTERN = 4_096
MAX_VALUE_BYTES = 4_096
MAX_OURS = 1_000
MAX_OURS_CHARS = 320  # an address: 64 before the sign, 255 after it

CARRIED_OUT: dict[Phase, frozenset[str]] = {
    "list": frozenset({"redact", "audit"}),
    "request": KNOWN_TYPES,
    "result": frozenset({"redact", "audit"}),
}
TARGETS: dict[Phase, frozenset[str]] = {
    "list": frozenset({"item"}),
    "request": frozenset({"arguments", "result", "item"}),
    "result": frozenset({"result"}),
}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """To be charged once, together with the others of the same exchange."""

    key: str  # prefixed by the rule: two rules never share a counter
    limit: int
    period_s: int
    weight: int


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval that a rule demands."""

    rule: str
    code: str
    message: str
    details: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Carried:
    """A duty that is carried out, as the record names it."""

    rule: str
    type: str
    code: str


@dataclass(frozen=True, slots=True)
class Duties:
    """What is owed for one position."""

    argument_redactions: tuple[Redaction, ...] = ()
    result_redactions: tuple[Redaction, ...] = ()
    item_redactions: tuple[Redaction, ...] = ()
    charges: tuple[RateLimit, ...] = ()
    inspect_result: bool = False
    audit_level: AuditLevel = "metadata"
    approvals_required: tuple[Approval, ...] = ()
    carried: tuple[Carried, ...] = ()

    def with_result(self, later: "Duties") -> "Duties":
        """With those of a later decision about the same act (phase result, or one asked again)."""
        return _together((self, later))


@dataclass(frozen=True, slots=True)
class ListDuties:
    """What is owed for one list. `refused`: positions under a duty that was not understood, with the reason."""

    item_redactions: dict[int, tuple[Redaction, ...]]
    audit_level: AuditLevel
    refused: dict[int, str]
    carried: tuple[Carried, ...]


def plan(decision: Decision, *, phase: Phase, position: int, refused: bool = False) -> Duties:
    """The duties for one position. Raises `Undecided("unknown_duty")` unless the position is refused anyway."""
    if not decision.duties_key:  # not read from an answer, so not to be told from others
        return _plan(decision.obligations, phase, position, refused)
    return _planned(_Owed(decision.obligations, decision.duties_key), phase, position, refused)


@dataclass(frozen=True, slots=True)
class _Owed:
    """Obligations that are compared by their key, so that plans can be kept."""

    obligations: tuple[Obligation, ...] = field(compare=False)
    key: bytes


@lru_cache(maxsize=1024)
def _planned(owes: _Owed, phase: Phase, position: int, refused: bool) -> Duties:
    return _plan(owes.obligations, phase, position, refused)


def _plan(obligations: tuple[Obligation, ...], phase: Phase, position: int, refused: bool) -> Duties:
    owed: list[Duties] = []
    unrecordable = False
    for duty in _merged(obligations):
        if duty.positions is not None and position not in duty.positions:
            continue
        if refused and duty.type not in ("redact", "audit"):
            continue
        try:
            owed.append(_read(duty, phase))
        except Undecided:
            if not refused:
                raise
            unrecordable = True
    whole = _together(owed)
    return Duties(audit_level="metadata", carried=whole.carried) if unrecordable else whole


def plan_list(decision: Decision, *, asked: int) -> ListDuties:
    """The duties of a list, read once each however many positions they name."""
    if not decision.duties_key:
        return _plan_list(decision.obligations, asked)
    return _list_planned(_Owed(decision.obligations, decision.duties_key), asked)


@lru_cache(maxsize=256)
def _list_planned(owes: _Owed, asked: int) -> ListDuties:
    return _plan_list(owes.obligations, asked)


def _plan_list(obligations: tuple[Obligation, ...], asked: int) -> ListDuties:
    redactions: dict[int, list[Redaction]] = {}
    refused: dict[int, str] = {}
    read: list[Duties] = []
    for duty in _merged(obligations):
        positions = range(asked) if duty.positions is None else sorted(duty.positions)
        try:
            owed = _read(duty, "list")
        except Undecided as unknown:
            refused.update(dict.fromkeys(positions, unknown.detail))
            continue
        read.append(owed)
        if owed.item_redactions:
            for position in positions:
                redactions.setdefault(position, []).extend(owed.item_redactions)
    whole = _together(read)
    by_position = {position: tuple(several) for position, several in redactions.items()}
    return ListDuties(by_position, whole.audit_level, refused, whole.carried)


def approval_denials(duties: Duties) -> tuple[Denial, ...]:
    """Approvals that are demanded, as refusals: this gateway cannot ask for one yet."""
    return tuple(
        Denial(
            rule=approval.rule,
            code=approval.code,
            message=f"the policy demands an approval that this gateway cannot ask for yet: {approval.message}",
            details=approval.details,
        )
        for approval in duties.approvals_required
    )


def _merged(obligations: Iterable[Obligation]) -> list[Obligation]:
    """One duty each for the same rule, code, type and properties; its positions are those of all of them."""
    merged: dict[tuple[str, str, str, bytes], Obligation] = {}
    for duty in obligations:
        same = (duty.rule, duty.code, duty.type, msgspec.json.encode(duty.properties, order="deterministic"))
        earlier = merged.get(same)
        positions = duty.positions
        if earlier is not None:
            everywhere = earlier.positions is None or positions is None
            positions = None if everywhere else (earlier.positions or frozenset()) | (positions or frozenset())
        merged[same] = Obligation(duty.rule, duty.type, duty.code, duty.properties, positions)
    return list(merged.values())


def _read(duty: Obligation, phase: Phase) -> Duties:
    """What one duty amounts to in this phase: nothing, where the phase does not carry it out."""
    if duty.type not in KNOWN_TYPES:
        _unknown(duty, "is of a type that this gateway does not know")
    if duty.type not in CARRIED_OUT[phase]:
        return Duties()
    if duty.type == "redact":
        return _redact(duty, phase)
    carried = (Carried(duty.rule, duty.type, duty.code),)
    if duty.type == "rate_limit":
        return Duties(charges=(_rate_limit(duty),), carried=carried)
    if duty.type == APPROVAL:
        return Duties(approvals_required=(_approval(duty),), carried=carried)
    if duty.type == "audit":
        return Duties(audit_level=_audit_level(duty), carried=carried)
    _known(duty)
    return Duties(inspect_result=True, carried=carried)


def _redact(duty: Obligation, phase: Phase) -> Duties:
    target = _word(duty, "target", REDACTED)
    if target not in TARGETS[phase]:
        return Duties()
    redaction = (_redaction(duty),)
    carried = (Carried(duty.rule, duty.type, duty.code),)
    if target == "arguments":
        return Duties(argument_redactions=redaction, carried=carried)
    if target == "result":
        return Duties(result_redactions=redaction, carried=carried)
    return Duties(item_redactions=redaction, carried=carried)


def _redaction(duty: Obligation) -> Redaction:
    """Whether pointer and pattern themselves are good is for the redactor, which compiles them before anything is forwarded."""
    _known(duty, "target", "pointer", "pattern", "except", "action", "value", "binary", "check", "ours")
    said = duty.properties
    target, action, binary = _word(duty, "target", REDACTED), _word(duty, "action", ACTIONS), said.get("binary")
    pointer, pattern, spared = (_pattern(duty, name) for name in ("pointer", "pattern", "except"))
    if (pointer is None) == (pattern is None):
        _unknown(duty, "needs either a pointer or a pattern, and not both")
    if pointer and not pointer.startswith("/"):
        _unknown(duty, "has a pointer that does not begin with /")
    if pattern == "":
        _unknown(duty, "has an empty pattern")
    if spared is not None and pattern is None:
        _unknown(duty, "has an except without a pattern")
    if "value" in said and action != "replace":
        _unknown(duty, "has a value, which only replace takes")
    if len(msgspec.json.encode(said.get("value"))) > MAX_VALUE_BYTES:
        _unknown(duty, f"has a value of more than {MAX_VALUE_BYTES} bytes")
    if "binary" in said and binary != "keep":
        _unknown(duty, "has a binary that is not keep")
    kept: Literal["keep"] | None = "keep" if binary == "keep" else None
    plain = Redaction(duty.rule, duty.code, target, pointer, pattern, spared, action, said.get("value"), kept)
    return _checked(duty, plain) if "check" in said or "ours" in said else plain


def _checked(duty: Obligation, plain: Redaction) -> Redaction:
    """The redaction with what has to hold of its matches."""
    check = _word(duty, "check", CHECKS)
    if plain.pattern is None:
        _unknown(duty, "has a check without a pattern")
    if (check == FOREIGN) != ("ours" in duty.properties):
        _unknown(duty, f"has to say what is ours, exactly with the check {FOREIGN}")
    return replace(plain, check=check, ours=_ours(duty) if check == FOREIGN else None)


def _ours(duty: Obligation) -> tuple[str, ...]:
    said = duty.properties["ours"]
    if not isinstance(said, list) or len(said) > MAX_OURS:
        _unknown(duty, f"has an ours that is not a list of at most {MAX_OURS} domains and addresses")
    names = tuple(name for name in said if isinstance(name, str) and 0 < len(name) <= MAX_OURS_CHARS)
    if len(names) != len(said):
        _unknown(duty, f"has an ours that holds something else than texts of 1 to {MAX_OURS_CHARS} characters")
    return names


def _rate_limit(duty: Obligation) -> RateLimit:
    _known(duty, "key", "limit", "period_s", "weight")
    key = duty.properties.get("key")
    if not isinstance(key, str) or not key or len(key) > MAX_KEY:
        _unknown(duty, f"has a key that is not a text of 1 to {MAX_KEY} characters")
    return RateLimit(
        key=f"{duty.rule}:{key}",
        limit=_count(duty, "limit", MAX_COUNT),
        period_s=_count(duty, "period_s", MAX_PERIOD_S),
        weight=_count(duty, "weight", MAX_COUNT) if "weight" in duty.properties else 1,
    )


def _approval(duty: Obligation) -> Approval:
    _known(duty, "message", "details", "mode", "ttl_s", "approvers")
    said = duty.properties
    message, details, approvers = said.get("message"), said.get("details", {}), said.get("approvers", [])
    if not isinstance(message, str) or not message:
        _unknown(duty, "has no message")
    if not isinstance(details, dict):
        _unknown(duty, "has details that are not an object")
    if "mode" in said and said["mode"] not in ("form", "url"):
        _unknown(duty, "has a mode that is not form or url")
    if "ttl_s" in said:
        _count(duty, "ttl_s", MAX_PERIOD_S)
    if not isinstance(approvers, list) or not all(isinstance(name, str) and name for name in approvers):
        _unknown(duty, "has approvers that are not a list of names")
    return Approval(duty.rule, duty.code, message, details)


def _audit_level(duty: Obligation) -> AuditLevel:
    _known(duty, "level")
    return _word(duty, "level", AUDIT_LEVELS)


def _known(duty: Obligation, *names: str) -> None:
    for name in duty.properties:
        if name not in names:
            _unknown(duty, f"has a property {name[:80]!r} that this gateway does not know")


def _pattern(duty: Obligation, name: str) -> str | None:
    if name not in duty.properties:
        return None
    said: Json = duty.properties[name]
    if not isinstance(said, str) or len(said) > MAX_PATTERN:
        _unknown(duty, f"has a {name} that is not a text of at most {MAX_PATTERN} characters")
    return said


def _word(duty: Obligation, name: str, words: tuple[T, ...]) -> T:
    said = duty.properties.get(name)
    if said not in words:
        _unknown(duty, f"has a {name} that is not one of {', '.join(str(word) for word in words)}")
    return words[words.index(said)]


def _count(duty: Obligation, name: str, most: int) -> int:
    said = duty.properties.get(name)
    if type(said) is not int or not 1 <= said <= most:
        _unknown(duty, f"has a {name} that is not a whole number from 1 to {most}")
    return said


def _together(several: Sequence[Duties]) -> Duties:
    """All of them as one. Combined once, at the end: an answer may hold a thousand, and planning goes on in the event loop."""
    if len(several) == 1:
        return several[0]
    return Duties(
        argument_redactions=_once([one for each in several for one in each.argument_redactions]),
        result_redactions=_once([one for each in several for one in each.result_redactions]),
        item_redactions=_once([one for each in several for one in each.item_redactions]),
        charges=_once([one for each in several for one in each.charges]),
        inspect_result=any(each.inspect_result for each in several),
        audit_level=max((each.audit_level for each in several), key=AUDIT_LEVELS.index, default="metadata"),
        approvals_required=_once([one for each in several for one in each.approvals_required]),
        carried=_once([one for each in several for one in each.carried]),
    )


def _once(several: list[T]) -> tuple[T, ...]:
    """Without repetitions, the first of each. By their JSON: a redaction's value may be a list, which has no hash."""
    if len(several) < 2:
        return tuple(several)
    kept: dict[bytes, T] = {}
    for one in several:
        kept.setdefault(msgspec.json.encode(one, order="deterministic"), one)
    return tuple(kept.values())


def _unknown(duty: Obligation, why: str) -> NoReturn:
    raise Undecided("unknown_duty", f"{duty.type[:80]} {duty.code!r} of {duty.rule} {why}")

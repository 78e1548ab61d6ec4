"""Two standings of the same question, side by side: what changed, for which item, and which rules did it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from gateway.lifecycle.replay.standing import Finding, Standing, State
from gateway.lifecycle.replay.traffic import Question

Kind = Literal[
    "newly-denied", "newly-allowed", "newly-hidden", "newly-shown", "newly-undecided", "changed-denials", "changed-duties"
]
KINDS: tuple[Kind, ...] = (
    "newly-allowed",
    "newly-shown",
    "newly-denied",
    "newly-hidden",
    "newly-undecided",
    "changed-duties",
    "changed-denials",
)

SEEN: frozenset[State] = frozenset({"shown", "allowed", "denied", "unknown"})


@dataclass(frozen=True, slots=True)
class Difference:
    kind: Kind
    rules: tuple[str, ...]  # whose words changed it, with the code where they have one
    item: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """What cannot be told of one question, since these rules judge a value that the recording does not hold."""

    rules: tuple[str, ...]


def differences(question: Question, before: Standing, after: Standing) -> list[Difference | Unknown]:
    """All that changed, and whether there is more that nobody can tell from the recording."""
    unsure, vague = before.unsure | after.unsure, before.vague | after.vague
    before, after = _sure(before, vague), _sure(after, vague)
    found: list[Difference | Unknown] = []
    for position, item in enumerate(question.items):
        found.extend(_of_item(position, item, before, after))
    if before.states == after.states == ("denied",) and before.denials != after.denials:
        rules = _spoken(before.denials ^ after.denials)
        found.append(Difference("changed-denials", rules, question.items[0], _words(before), _words(after)))
    found.extend(_duties(question, before, after))
    if unsure and _untold(before, after):
        found.append(Unknown(tuple(sorted(unsure))))
    return found


def _sure(side: Standing, vague: frozenset[Finding]) -> Standing:
    """The standing less what rules said of stand-ins, also where it is known: nothing on the other side could match it."""
    if not vague:
        return side
    return replace(
        side,
        denials=frozenset(each for each in side.denials if each[:2] not in vague),
        duties=frozenset(each for each in side.duties if each[:2] not in vague),
    )


def _untold(before: Standing, after: Standing) -> bool:
    """Whether a call might be answered otherwise, or under other duties, than the certain differences say."""
    was, now = before.states[0], after.states[0]
    if "unknown" in (was, now):
        return was == now or "hidden" not in (was, now) or not (_seen(was, before) or _seen(now, after))
    return was == now == "allowed"


def _of_item(position: int, item: str, before: Standing, after: Standing) -> Iterator[Difference]:
    was, now = before.states[position], after.states[position]
    if was == now:
        return

    def told(kind: Kind, rules: tuple[str, ...]) -> Difference:
        return Difference(kind, rules, item, _state(was, before), _state(now, after))

    if now == "undecided" and was != "unknown":
        yield told("newly-undecided", ())
    if now == "hidden" and _seen(was, before):
        yield told("newly-hidden", _unseen(position, before, after))
    if was == "hidden" and _seen(now, after):
        yield told("newly-shown", _unseen(position, after, before))
    if was == "allowed" and now in ("denied", "hidden", "undecided"):
        yield told("newly-denied", _spoken(after.denials - before.denials) or _unseen(position, before, after))
    if now == "allowed" and was != "unknown":
        yield told("newly-allowed", _spoken(before.denials - after.denials) or _unseen(position, after, before))


def _seen(state: State, side: Standing) -> bool:
    """Of `unknown` no more is known than this; and where there was no answer, not even this."""
    return state in SEEN and not (state == "unknown" and side.why)


def _unseen(position: int, seen: Standing, hidden: Standing) -> tuple[str, ...]:
    """Why an item is seen on the one side and not on the other: who hides it there, or who grants it only here."""
    if not hidden.hidden or not seen.granted:
        return ()
    hiding = hidden.hidden[position] - seen.hidden[position]
    granting = seen.granted[position] - hidden.granted[position] if not hidden.granted[position] else frozenset[str]()
    return (*(f"{rule} (hide)" for rule in sorted(hiding)), *(f"{rule} (allow)" for rule in sorted(granting)))


def _duties(question: Question, before: Standing, after: Standing) -> Iterator[Difference]:
    """Duties count where something is handed over on both sides."""
    handed = any(
        was == now and was in ("shown", "allowed", "unknown") for was, now in zip(before.states, after.states, strict=True)
    )
    if not handed or before.duties == after.duties:
        return
    gone, new = before.duties - after.duties, after.duties - before.duties
    rules = _spoken(frozenset((rule, code) for rule, code, *_ in gone | new))
    item = question.items[0] if len(question.items) == 1 else f"{len(question.items)} items"
    yield Difference("changed-duties", rules, item, _owed(gone), _owed(new))


def _owed(duties: frozenset[tuple[str, str, str, str, tuple[int, ...]]]) -> str:
    return "; ".join(f"{type} {code} {properties}" for _, code, type, properties, _ in sorted(duties)) or "nothing"


def _spoken(findings: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{rule} {code}" for rule, code in sorted(findings))


def _state(state: State, side: Standing) -> str:
    return _words(side) if state == "denied" else f"undecided ({side.why})" if state == "undecided" else state


def _words(side: Standing) -> str:
    return f"denied ({', '.join(_spoken(side.denials))})" if side.denials else "denied"

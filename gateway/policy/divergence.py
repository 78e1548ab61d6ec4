"""Two decisions on the same question, side by side: what the second would have done otherwise, and by which rules.

The words are those of `policy replay`: what a shadow finds on live traffic, a replay finds in the record of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from gateway.model import Decision, Phase

Kind = Literal[
    "newly-allowed", "newly-shown", "newly-denied", "newly-hidden", "newly-undecided", "changed-duties", "changed-denials"
]
KINDS: tuple[Kind, ...] = (
    *("newly-allowed", "newly-shown", "newly-denied", "newly-hidden"),
    *("newly-undecided", "changed-duties", "changed-denials"),
)
State = Literal["hidden", "shown", "denied", "allowed"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """One way in which the candidate differs, and whose words make it: `org/reviewed (hide)`, `org/destructive destructive`."""

    kind: Kind
    rules: tuple[str, ...]
    positions: tuple[int, ...]  # of the items that it concerns


def divergences(live: Decision, candidate: Decision, *, asked: int, phase: Phase) -> tuple[Divergence, ...]:
    """All that differs between the answers to a question about `asked` items; those alike in kind and rules are one."""
    positions: dict[tuple[Kind, tuple[str, ...]], list[int]] = {}
    for position in range(asked):
        for kind, rules in _of_item(position, live, candidate, phase):
            positions.setdefault((kind, rules), []).append(position)
    found = [Divergence(kind, rules, tuple(concerned)) for (kind, rules), concerned in positions.items()]
    states = {(_state(position, live, phase), _state(position, candidate, phase)) for position in range(asked)}
    was, now = _denied(live), _denied(candidate)
    if states == {("denied", "denied")} and was != now:
        found.append(Divergence("changed-denials", _spoken(was ^ now), (0,)))
    owed, owing = _owed(live), _owed(candidate)
    if owed != owing and not states.isdisjoint({("shown", "shown"), ("allowed", "allowed")}):
        changed = frozenset((rule, code) for rule, code, *_ in owed ^ owing)
        found.append(Divergence("changed-duties", _spoken(changed), tuple(range(asked))))
    return tuple(found)


def _of_item(position: int, live: Decision, candidate: Decision, phase: Phase) -> Iterator[tuple[Kind, tuple[str, ...]]]:
    was, now = _state(position, live, phase), _state(position, candidate, phase)
    if was == now:
        return
    if now == "hidden":
        yield "newly-hidden", _unseen(position, live, candidate)
    if was == "hidden":
        yield "newly-shown", _unseen(position, candidate, live)
    if was == "allowed":
        yield "newly-denied", _spoken(_denied(candidate) - _denied(live)) or _unseen(position, live, candidate)
    if now == "allowed":
        yield "newly-allowed", _spoken(_denied(live) - _denied(candidate)) or _unseen(position, candidate, live)


def _state(position: int, decision: Decision, phase: Phase) -> State:
    if position not in decision.visible:
        return "hidden"
    if phase == "list":
        return "shown"
    return "allowed" if position in decision.allowed and not decision.denials else "denied"


def _unseen(position: int, seen: Decision, unseen: Decision) -> tuple[str, ...]:
    """Why an item is seen by the one and not by the other: who hides it there, or who grants it only here."""
    hiding = _naming(unseen.hidden_by, position) - _naming(seen.hidden_by, position)
    there = _naming(unseen.granted_by, position)
    granting = _naming(seen.granted_by, position) if not there else frozenset[str]()
    return (*(f"{rule} (hide)" for rule in sorted(hiding)), *(f"{rule} (allow)" for rule in sorted(granting)))


def _naming(by_rule: Mapping[str, tuple[int, ...]], position: int) -> frozenset[str]:
    return frozenset(rule for rule, positions in by_rule.items() if position in positions)


def _denied(decision: Decision) -> frozenset[tuple[str, str]]:
    return frozenset((denial.rule, denial.code) for denial in decision.denials)


def _owed(decision: Decision) -> frozenset[tuple[str, str, str, bytes, tuple[int, ...]]]:
    return frozenset(
        (
            each.rule,
            each.code,
            each.type,
            msgspec.json.encode(each.properties, order="deterministic"),
            tuple(sorted(each.positions or ())),
        )
        for each in decision.obligations
    )


def _spoken(findings: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{rule} {code}" for rule, code in sorted(findings))

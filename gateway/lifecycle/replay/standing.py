"""What one answer means for each item that was asked about, as the gateway would have applied it; and what it cannot mean.

A recording may hold stand-ins where secrets were. What a rule says of a stand-in is not what it said of the real value, so
it is set aside: taken from the recording where the rule is unchanged since, and otherwise not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from gateway.errors import Undecided
from gateway.lifecycle.replay.traffic import Question
from gateway.lifecycle.ruleset import Ruleset
from gateway.model import Decision, Json, Phase
from gateway.policy import decision
from gateway.policy.obligations import plan_list
from gateway.policy.rego import Path
from gateway.policy.ruling import Permitted, Unseen, ruling

State = Literal["hidden", "shown", "denied", "allowed", "undecided", "unknown"]
Finding = tuple[str, str]  # rule and code
Duty = tuple[str, str, str, str, tuple[int, ...]]  # rule, code, type, properties as text, positions (none: all)

UNNAMED = "unnamed_rule"  # what mcp.lib.finding calls a rule whose METADATA has no code
REFUSING: dict[Phase, tuple[str, ...]] = {"list": (), "request": ("deny",), "result": ("withhold",)}


@dataclass(frozen=True, slots=True)
class Standing:
    states: tuple[State, ...]  # by position
    granted: tuple[frozenset[str], ...] = ()
    hidden: tuple[frozenset[str], ...] = ()
    denials: frozenset[Finding] = frozenset()
    duties: frozenset[Duty] = frozenset()
    unsure: frozenset[str] = frozenset()  # rules whose refusals or duties hang on a stand-in
    vague: frozenset[Finding] = frozenset()  # what those rules may say, or not, because of it
    why: str = ""  # of `undecided`


@dataclass(frozen=True, slots=True)
class Reading:
    """How answers to one question are to be read: which rules heard a stand-in, and whose recorded words still count."""

    hearing: frozenset[str] = frozenset()  # rules that judge a stand-in
    rules: Ruleset = field(default_factory=Ruleset)
    taken: frozenset[str] = frozenset()  # of `hearing`: unchanged since the recording, so what they said then holds
    recorded: Decision | None = None

    @property
    def unsure(self) -> frozenset[str]:
        return self.hearing - self.taken


def hearing(question: Question, rules: Ruleset) -> frozenset[str]:
    """The rules of a set that judge this question by a value for which it holds a stand-in."""
    if not question.stand_ins or question.phase == "list":
        return frozenset()
    verbs = (*REFUSING[question.phase], "oblige")
    return frozenset(
        name
        for name, package in rules.packages.items()
        if _concerned(name, question)
        and any(each.verb in verbs and _meets(each.reads, question.stand_ins) for each in package.voices)
    )


def read(question: Question, answer: Json, *, revision: str = "") -> Decision | str:
    """The decision in an answer, or why it is none."""
    try:
        return decision.read(
            answer, asked=len(question.items), phase=question.phase, revision=revision, decision_id=question.decision_id
        )
    except Undecided as undecided:
        return str(undecided)


def standing(question: Question, said: Decision | str, how: Reading) -> Standing:
    """What `said`, an answer or why there was none, comes to."""
    asked = len(question.items)
    if isinstance(said, str):
        state: State = "unknown" if how.unsure else "undecided"
        return Standing((state,) * asked, unsure=how.unsure, why=said)
    heard = _without_stand_ins(question, said, how)
    try:
        states, duties = _states(question, heard)
    except Undecided as undecided:
        return Standing(("unknown" if how.unsure else "undecided",) * asked, unsure=how.unsure, why=str(undecided))
    if how.unsure and "allowed" in states and _may_refuse(question, how):
        states = ("unknown",)
    return Standing(
        states,
        granted=_by_position(heard.granted_by, asked),
        hidden=_by_position(heard.hidden_by, asked),
        denials=frozenset((each.rule, each.code) for each in heard.denials),
        duties=duties,
        unsure=how.unsure,
        vague=_vague(question, how),
    )


def _vague(question: Question, how: Reading) -> frozenset[Finding]:
    verbs = (*REFUSING[question.phase], "oblige")
    return frozenset(
        (rule, each.code or UNNAMED)
        for rule in how.unsure
        for each in how.rules.packages[rule].voices
        if each.verb in verbs and _meets(each.reads, question.stand_ins)
    )


def _states(question: Question, said: Decision) -> tuple[tuple[State, ...], frozenset[Duty]]:
    """Raises `Undecided` where the gateway would."""
    duties = frozenset(
        (each.rule, each.code, each.type, _text(each.properties), tuple(sorted(each.positions or ())))
        for each in said.obligations
    )
    if question.phase == "list":
        refused = plan_list(said, asked=len(question.items)).refused if said.obligations else {}
        shown = said.visible - refused.keys()
        return tuple("shown" if each in shown else "hidden" for each in range(len(question.items))), duties
    ruled = ruling(said, phase=question.phase, scopes=question.scopes)
    return ("allowed" if isinstance(ruled, Permitted) else "hidden" if isinstance(ruled, Unseen) else "denied",), duties


def _without_stand_ins(question: Question, said: Decision, how: Reading) -> Decision:
    """The decision less what was said of stand-ins, with what was said of the real values where that is known."""
    if not how.hearing:
        return said
    verbs = REFUSING[question.phase]
    then = how.recorded
    denials = [each for each in said.denials if not _hangs(each.rule, each.code, verbs, question, how)]
    duties = [each for each in said.obligations if not _hangs(each.rule, each.code, ("oblige",), question, how)]
    if then is not None:
        denials += [each for each in then.denials if each.rule in how.taken and each not in denials]
        duties += [each for each in then.obligations if each.rule in how.taken and each not in duties]
    allowed = said.visible if not denials else frozenset[int]()
    return replace(said, denials=tuple(denials), obligations=tuple(duties), allowed=allowed, duties_key=b"")


def _hangs(rule: str, code: str, verbs: tuple[str, ...], question: Question, how: Reading) -> bool:
    if rule not in how.hearing or code == "inspect_result":
        return False
    return _meets(how.rules.packages[rule].reads(code, verbs), question.stand_ins)


def _may_refuse(question: Question, how: Reading) -> bool:
    return any(
        each.verb in REFUSING[question.phase] and _meets(each.reads, question.stand_ins)
        for rule in how.unsure
        for each in how.rules.packages[rule].voices
    )


def _concerned(rule: str, question: Question) -> bool:
    parts = rule.split("/")
    return parts[0] == "org" or parts[1] in question.backends


def _meets(reads: tuple[Path, ...], stand_ins: tuple[Path, ...]) -> bool:
    """Whether one of the paths leads to, through or below a stand-in."""
    return any(all(a in (b, "*") or b == "*" for a, b in zip(path, mark, strict=False)) for path in reads for mark in stand_ins)


def _by_position(by_rule: Mapping[str, tuple[int, ...]], asked: int) -> tuple[frozenset[str], ...]:
    rules: list[set[str]] = [set() for _ in range(asked)]
    for rule, positions in by_rule.items():
        for position in positions:
            rules[position].add(rule)
    return tuple(frozenset(each) for each in rules)


def _text(properties: Mapping[str, Json]) -> str:
    return msgspec.json.encode(properties, order="deterministic").decode()

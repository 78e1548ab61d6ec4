"""Every question put to the candidate, and to the base or its recorded answer: many at a time, each counted once."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.lifecycle.replay.compare import Difference, Kind, Unknown
from gateway.lifecycle.replay.policy import Policy
from gateway.lifecycle.replay.sides import Sides, sides
from gateway.lifecycle.replay.traffic import Question, Traffic

AT_ONCE = 16  # questions under way, each on its own connection: OPA uses every core that it gets, and we another
EXAMPLES = 3  # kept of each kind and rule

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Example:
    question: Question
    difference: Difference


@dataclass(slots=True)
class Report:
    """What replaying came to. Every count is of recorded decisions, however often a question was asked."""

    candidate: str  # revision
    base: str  # revision, or "recorded"
    replayed: int = 0
    asked: int = 0  # different questions
    evaluated: int = 0  # that OPA was asked, in both sets together: the others differ only in what no rule reads
    differing: int = 0  # decisions with at least one difference
    kinds: Counter[Kind] = field(default_factory=Counter)
    by_rule: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    by_subject: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    examples: dict[tuple[Kind, str], list[Example]] = field(default_factory=lambda: defaultdict(list))
    unknown: int = 0  # decisions of which something cannot be told, for they hang on stand-ins
    unknown_by_rule: Counter[str] = field(default_factory=Counter)
    without_answer: int = 0  # decisions whose own answer is not in the recording, so that there is nothing to compare with
    duration_s: float = 0.0

    def count(self, question: Question, found: list[Difference | Unknown]) -> None:
        self.asked += 1
        self.replayed += question.times
        if any(isinstance(each, Difference) for each in found):
            self.differing += question.times
        told: set[object] = set()  # a list of five hundred is one decision
        for each in found:
            if isinstance(each, Unknown):
                self.unknown += question.times
                self.unknown_by_rule.update(dict.fromkeys(each.rules, question.times))
                continue
            self._add(self.kinds, each.kind, question, told)
            self._add(self.by_subject, (each.kind, question.subject), question, told)
            for rule in each.rules or ("(no rule)",):
                self._add(self.by_rule, (each.kind, rule), question, told)
                examples = self.examples[each.kind, rule]
                if len(examples) < EXAMPLES:
                    examples.append(Example(question, each))

    def _add(self, counter: Counter[K], key: K, question: Question, told: set[object]) -> None:
        if key not in told:
            told.add(key)
            counter[key] += question.times


async def replayed(
    traffic: Traffic, candidate: Policy, base: Policy | None, *, progress: Callable[[int], None] = lambda done: None
) -> Report:
    """Compare on all questions. `base` None: with the recorded answers. Raises `Unanswered`."""
    report = Report(candidate.revision, base.revision if base is not None else "recorded")
    began_s = time.perf_counter()
    waiting, both = iter(traffic.questions), sides(candidate, base)
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_work(waiting, both, report, progress))
    report.evaluated = candidate.evaluated + (base.evaluated if base is not None else 0)
    report.duration_s = time.perf_counter() - began_s
    return report


async def _work(waiting: Iterator[Question], both: Sides, report: Report, progress: Callable[[int], None]) -> None:
    for question in waiting:
        if both.base is None and question.answer is None and question.cause is None:
            report.without_answer += question.times
            continue
        report.count(question, await both.differences(question))
        progress(report.asked)

"""All checks of a repository, two at a time, each with its own time: one row for each, whatever becomes of the others."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from gateway.adapters.opa import snapshot
from gateway.adapters.opa.command import OpaLate, OpaUnusable
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.place import private_folder
from gateway.lifecycle.check import conventions, mutation, steps, tested
from gateway.lifecycle.check.focus import focus as about
from gateway.lifecycle.check.report import Outcome, Row, left_out, row
from gateway.lifecycle.check.steps import Bench
from gateway.lifecycle.repository import Repository

AT_ONCE = 2  # cores of a CI machine
MUTATION_S = 60.0  # for mutants that a rule's own tests let live

Step: TypeAlias = Callable[[Bench], Awaitable[Outcome]]
OnRow: TypeAlias = Callable[[Row], None]

STEPS: dict[str, Step] = {
    "types": steps.typed,  # others wait for it
    "regal": steps.linted,
    "coverage": steps.covered,
    "bundle": steps.bundled,
    "format": steps.formatted,
    "structure": steps.structured,
    "conventions": conventions.kept,
}
TESTS, INPUTS, MUTATION = "tests", "test inputs", "mutation"
SHOWN = ("format", "types", "structure", "conventions", "regal", TESTS, INPUTS, "coverage", MUTATION, "bundle")
NAMES = frozenset(SHOWN)
COMPILING = frozenset({"coverage", "bundle"})  # with the tests and the mutants: what OPA does not compile, they cannot ask
WHOLE = frozenset({"types", "structure"})  # told of everything also where one rule is meant: it is part of a set
UNTYPED = Outcome(told="the types do not hold", ran=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `rule`: only about this one, such as "org/reviewed"."""

    without: Collection[str] = ()
    mutation_s: float = MUTATION_S
    test_s: float = steps.TEST_S  # of one test
    patience_s: float = steps.PATIENCE_S  # of one run of a program
    rule: str | None = None


EVERYTHING = Plan()


async def examined(
    repository: Repository,
    opa: str,
    regal: str | None,
    *,
    plan: Plan = EVERYTHING,
    on_row: OnRow = lambda _: None,
) -> tuple[Row, ...]:
    """All rows in the order in which they are shown. Raises `OpaUnusable`, and `NoRepository` where there is no such rule."""
    with private_folder() as name:
        folder = Path(name)
        focus = about(repository, plan.rule) if plan.rule is not None else None
        try:
            copy = await asyncio.to_thread(snapshot.take, repository.source, folder)
        except PolicyRejected as error:
            return (row("structure", Outcome(tuple(steps.in_policies(each) for each in error.findings)), 0.0),)
        examination = _Examination(Bench(repository, opa, regal, copy, folder, focus, plan.test_s, plan.patience_s), on_row)
        unusable: BaseExceptionGroup[OpaUnusable] | None = None
        try:
            await examination.whole(plan)
        except* OpaUnusable as errors:  # what is raised in here would be a group again
            unusable = errors
        if unusable is not None:
            raise _first(unusable)
        return tuple(examination.rows[each] for each in SHOWN if each in examination.rows)


def _late(late: OpaLate) -> Outcome:
    return Outcome(told=str(late), ran=False)


def _first(group: BaseExceptionGroup[OpaUnusable]) -> OpaUnusable:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@dataclass(slots=True)
class _Examination:
    """The checks under way. What needs rules that compile waits for the types: the same finding twice helps nobody."""

    bench: Bench
    on_row: OnRow
    rows: dict[str, Row] = field(default_factory=dict)
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    types_known: asyncio.Event = field(default_factory=asyncio.Event)

    async def whole(self, plan: Plan) -> None:
        self.rows |= {each: left_out(each) for each in plan.without}
        if self.bench.focus is not None:
            self.rows.setdefault("bundle", left_out("bundle", "is of the whole set"))
        if "types" in self.rows:
            self.types_known.set()
        async with asyncio.TaskGroup() as group:
            for check, step in STEPS.items():
                if check not in self.rows:
                    group.create_task(self._stepped(check, step))
            if TESTS not in self.rows:
                group.create_task(self._tests())
        if MUTATION not in self.rows:
            await self._mutants(plan.mutation_s)

    async def _stepped(self, check: str, step: Step) -> None:
        if check in COMPILING and not await self._types_hold():
            self._told(check, UNTYPED, 0.0)
            return
        async with self.turn:
            started = time.monotonic()
            try:
                outcome = await step(self.bench)
            except OpaLate as late:
                outcome = _late(late)
            self._told(check, outcome, time.monotonic() - started)
        if check == "types":
            self.types_known.set()

    async def _tests(self) -> None:
        if not await self._types_hold():
            self._told(TESTS, UNTYPED, 0.0)
            self._told(INPUTS, UNTYPED, 0.0)
            return
        async with self.turn:
            started = time.monotonic()
            try:
                passed, asked = await tested.tests(self.bench)
            except OpaLate as late:
                passed = asked = _late(late)
            took_s = time.monotonic() - started
        self._told(TESTS, passed, took_s)
        self._told(INPUTS, asked, 0.0)

    async def _mutants(self, budget_s: float) -> None:
        """Last, and with both cores: what tests say of a mutant means something only where they pass without it."""
        started = time.monotonic()
        passed = self.rows[TESTS].state == "ok"
        unknown = Outcome(told="the tests do not pass, or were left out", ran=False)
        try:
            outcome = await mutation.mutated(self.bench, budget_s=budget_s) if passed else unknown
        except OpaLate as late:
            outcome = _late(late)
        self._told(MUTATION, outcome, time.monotonic() - started)

    async def _types_hold(self) -> bool:
        await self.types_known.wait()
        return self.rows["types"].fine

    def _told(self, check: str, outcome: Outcome, took_s: float) -> None:
        focus = self.bench.focus
        if focus is not None and check not in WHOLE:
            findings, notices = (
                tuple(each for each in said if focus.concerns(each)) for said in (outcome.findings, outcome.notices)
            )
            outcome = replace(outcome, findings=findings, notices=notices)
        self.rows[check] = row(check, outcome, took_s)
        self.on_row(self.rows[check])

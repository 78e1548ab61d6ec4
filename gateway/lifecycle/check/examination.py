"""All checks of a repository, two at a time, each with its own time: one row for each, whatever becomes of the others."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TypeAlias

from gateway.adapters.opa import snapshot
from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.place import private_folder
from gateway.lifecycle.check import conventions, mutation, steps, tested
from gateway.lifecycle.check.report import Outcome, Row, left_out, row
from gateway.lifecycle.check.steps import Bench
from gateway.lifecycle.repository import Repository

AT_ONCE = 2  # cores of a CI machine
MUTATION_S = 60.0  # for mutants that a rule's own tests let live

Step: TypeAlias = Callable[[Bench], Awaitable[Outcome]]
OnRow: TypeAlias = Callable[[Row], None]

STEPS: dict[str, Step] = {
    "coverage": steps.covered,  # the longest first
    "regal": steps.linted,
    "bundle": steps.bundled,
    "format": steps.formatted,
    "types": steps.typed,
    "structure": steps.structured,
    "conventions": conventions.kept,
}
TESTS, INPUTS, MUTATION = "tests", "test inputs", "mutation"
SHOWN = ("format", "types", "structure", "conventions", "regal", TESTS, INPUTS, "coverage", MUTATION, "bundle")
NAMES = frozenset(SHOWN)


async def examined(
    repository: Repository,
    opa: str,
    regal: str | None,
    *,
    without: Collection[str] = (),
    mutation_s: float = MUTATION_S,
    on_row: OnRow = lambda _: None,
) -> tuple[Row, ...]:
    """All rows in the order in which they are shown; `without` names checks that are left out. Raises `OpaUnusable`."""
    with private_folder() as name:
        folder = Path(name)
        try:
            copy = await asyncio.to_thread(snapshot.take, repository.source, folder)
        except PolicyRejected as error:
            return (row("structure", Outcome(tuple(steps.in_policies(each) for each in error.findings)), 0.0),)
        bench = Bench(repository, opa, regal, copy, folder)
        rows = {each: left_out(each) for each in without}
        turn = asyncio.Semaphore(AT_ONCE)

        def told(one: Row) -> None:
            rows[one.check] = one
            on_row(one)

        async def tests() -> None:
            async with turn:
                started = time.monotonic()
                passed, asked = await tested.tests(bench)
                took_s = time.monotonic() - started
            told(row(TESTS, passed, took_s))
            told(row(INPUTS, asked, 0.0))

        async def stepped(check: str, step: Step) -> None:
            async with turn:
                started = time.monotonic()
                outcome = await step(bench)
                told(row(check, outcome, time.monotonic() - started))

        async def mutants() -> None:
            """Last, and with both cores: what tests say of a mutant means something only where they pass without it."""
            started = time.monotonic()
            passed = rows[TESTS].state == "ok"
            unknown = Outcome(told="the tests do not pass, or were left out", ran=False)
            outcome = await mutation.mutated(bench, budget_s=mutation_s) if passed else unknown
            told(row(MUTATION, outcome, time.monotonic() - started))

        try:
            async with asyncio.TaskGroup() as group:
                if TESTS not in rows:
                    group.create_task(tests())
                for check, step in STEPS.items():
                    if check not in rows:
                        group.create_task(stepped(check, step))
            if MUTATION not in rows:
                await mutants()
        except* OpaUnusable as errors:
            raise errors.exceptions[0] from errors
        return tuple(rows[each] for each in SHOWN if each in rows)

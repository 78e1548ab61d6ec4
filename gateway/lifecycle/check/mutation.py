"""Whether the tests hold each condition of each rule: a mutant that passes them all shows one that nobody would miss.

All mutants of a rule are tested in one run of OPA: each is a package of its own (`…__m7`) with a copy of the rule's tests that
asks it instead. Only what survives that is put in the rule's place and meets all tests, one by one.
"""

import asyncio
import re
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.adapters.opa.command import OpaLate
from gateway.lifecycle.check.mutants import Mutant, mutants
from gateway.lifecycle.check.places import parsed
from gateway.lifecycle.check.report import Outcome
from gateway.lifecycle.check.steps import Bench, TestError
from gateway.lifecycle.repository import POLICIES, TESTS
from gateway.policy.structure import Finding

AT_ONCE = 2  # cores of a CI machine
SPARED = "canary"  # its rules are held by the canaries
MARK = "__m"
MARKED = re.compile(rf"{MARK}(\d+)(?:_test)?\b")
AROUND = re.compile(r"\bdata\.mcp\.(?:authz\b|org\[|servers\b(?!\.[a-z0-9]+\.[a-z]))")  # tests that ask for more than a rule


class _Sub(msgspec.Struct):
    fail: bool = False


class _Result(msgspec.Struct):
    package: str
    fail: bool = False
    error: TestError | None = None
    sub_results: dict[str, _Sub] | None = None

    @property
    def passed(self) -> bool:
        return not self.fail and self.error is None and not any(each.fail for each in (self.sub_results or {}).values())


_results = msgspec.json.Decoder(list[_Result])


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule file with its mutants, and the tests that ask its package and nothing else."""

    file: str  # below the policies
    package: str
    mutants: tuple[Mutant, ...]
    tests: tuple[str, ...]  # their sources


@dataclass(frozen=True, slots=True)
class _Left:
    """A mutant that the rule's own tests did not kill."""

    rule: _Rule
    mutant: Mutant


async def mutated(bench: Bench, *, budget_s: float) -> Outcome:
    """Every mutant of every rule that no test kills. Where the budget ends before, that is no success."""
    until = time.monotonic() + budget_s
    turn = asyncio.Semaphore(AT_ONCE)
    rules = await _rules(bench)

    async def own(number: int, rule: _Rule) -> list[_Left]:
        async with turn:
            return await _survivors(bench, rule, bench.folder / f"mutants{number}")

    async def all_tests(number: int, left: _Left) -> _Left | None:
        async with turn:
            if time.monotonic() >= until:
                untried.append(left)
                return None
            try:
                return left if await _passes_all(bench, left, bench.folder / f"mutant{number}") else None
            except OpaLate:  # that may be the machine's doing
                untried.append(left)
                return None

    untried: list[_Left] = []
    lists = await asyncio.gather(*(own(number, rule) for number, rule in enumerate(rules)))
    left = [each for one in lists for each in one]
    alive = await asyncio.gather(*(all_tests(number, each) for number, each in enumerate(left)))
    count = sum(len(rule.mutants) for rule in rules)
    findings = tuple(
        Finding(f"{POLICIES}/{each.rule.file}", each.mutant.row, f"no test notices {each.mutant.said}") for each in alive if each
    )
    if untried and not findings:
        told = f"{len(untried)} of {count} mutants were not tried in {budget_s:g} s: raise --mutation-budget"
        return Outcome(told=told, ran=False)
    return Outcome(findings, told=f"{count} mutants" + (f", {len(untried)} not tried" if untried else ""))


async def _rules(bench: Bench) -> list[_Rule]:
    tests = {path: path.read_text() for path in sorted((bench.repository.root / TESTS).rglob("*.rego"))}
    turn = asyncio.Semaphore(AT_ONCE)

    async def read(file: str) -> _Rule | None:
        async with turn:
            tree = await parsed(bench.opa, bench.copy.policies / file)
        if tree is None:
            return None
        package = file.removesuffix(".rego").replace("/", ".")
        named = re.compile(rf"\bdata\.{re.escape(package)}\b")
        asking = tuple(text for text in tests.values() if named.search(text) and not AROUND.search(text))
        return _Rule(file, package, mutants(bench.copy.texts[file], tree), asking)

    files = [each for each in bench.copy.files if each.endswith(".rego") and _is_rule(each)]
    if bench.focus is not None:
        files = [each for each in files if each == bench.focus.file]
    found = await asyncio.gather(*(read(file) for file in files))
    return [each for each in found if each is not None and each.mutants]


def _is_rule(file: str) -> bool:
    return file.startswith(("mcp/org/", "mcp/servers/")) and not file.startswith(f"mcp/servers/{SPARED}/")


async def _survivors(bench: Bench, rule: _Rule, folder: Path) -> list[_Left]:
    """The mutants that compile and that the rule's own tests let live.

    The unchanged rule is tested as one more of them: where it does not pass, its tests cannot be asked in this way.
    """
    if not rule.tests:
        return [_Left(rule, each) for each in rule.mutants]
    control = len(rule.mutants)
    await asyncio.to_thread(_write, folder, rule, [*(each.source for each in rule.mutants), bench.copy.texts[rule.file]])
    standing = set(range(len(rule.mutants)))
    while standing:
        try:
            done = await bench.tests_run("--max-errors", "100000", "--run", rf"{MARK}[0-9]+_test\.", POLICIES, TESTS, str(folder))
        except OpaLate:  # perhaps of one alone, which is tried by itself
            return [_Left(rule, rule.mutants[number]) for number in sorted(standing)]
        try:
            results = _results.decode(done.stdout)
        except (msgspec.DecodeError, UnicodeDecodeError):
            said = (done.stdout + done.stderr).decode(errors="replace")
            stillborn = {int(each) for each in re.findall(rf"{re.escape(folder.name)}/(\d+)[.\-]", said)} & standing
            if not stillborn:
                return [_Left(rule, rule.mutants[number]) for number in sorted(standing)]
            await asyncio.to_thread(_remove, folder, stillborn)
            standing -= stillborn
            continue
        dead = {_number(each.package) for each in results if not each.passed}
        if control in dead or not results:
            return [_Left(rule, each) for each in rule.mutants]
        return [_Left(rule, rule.mutants[number]) for number in sorted(standing - dead)]
    return []


def _write(folder: Path, rule: _Rule, sources: Sequence[bytes]) -> None:
    folder.mkdir()
    for number, source in enumerate(sources):
        _write_one(folder, number, rule, source)


def _remove(folder: Path, numbers: Collection[int]) -> None:
    for number in numbers:
        for path in folder.glob(f"{number}[.-]*"):
            path.unlink()


def _write_one(folder: Path, number: int, rule: _Rule, source: bytes) -> None:
    mark = f"{MARK}{number}"
    package = re.compile(rf"^package {re.escape(rule.package)}$".encode(), re.M)
    text = package.sub(f"package {rule.package}{mark}".encode(), source, count=1)
    (folder / f"{number}.rego").write_bytes(text)
    name = rule.package.rpartition(".")[2]
    for which, test in enumerate(rule.tests):
        own = re.sub(rf"^import data\.{re.escape(rule.package)}$", rf"import data.{rule.package} as {name}", test, flags=re.M)
        own = re.sub(rf"\bdata\.{re.escape(rule.package)}\b", f"data.{rule.package}{mark}", own)
        own = re.sub(r"^package (\S+?)(?:_test)?$", rf"package \g<1>_of{which}{mark}_test", own, count=1, flags=re.M)
        (folder / f"{number}-{which}.rego").write_text(own)


def _number(package: str) -> int:
    found = MARKED.search(package)
    return int(found[1]) if found else -1


async def _passes_all(bench: Bench, left: _Left, folder: Path) -> bool:
    """Whether every test passes with the mutant in its rule's place. One that does not compile is no mutant."""
    policies = folder / POLICIES
    await asyncio.to_thread(shutil.copytree, bench.copy.policies, policies)
    (policies / left.rule.file).write_bytes(left.mutant.source)
    others = [str(bench.repository.root / each) for each in bench.repository.rego if each != POLICIES]
    done = await bench.tests_run(POLICIES, *others, cwd=str(folder))
    await asyncio.to_thread(shutil.rmtree, folder)
    return done.status == 0

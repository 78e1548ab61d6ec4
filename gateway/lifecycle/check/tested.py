"""The tests pass, and what they ask could be asked: the inputs that they put in place of `input` are seen, and validated.

A test that asks about a subject with `grups` proves nothing, and OPA does not mind. So each `with input as X` of a test of the
policy set is run as `with input as _seen(X)`, where `_seen` prints X and hands it on; no line of the test moves.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from gateway.adapters.opa import compile
from gateway.adapters.opa.command import OpaLate
from gateway.lifecycle.check.inputs import Inputs
from gateway.lifecycle.check.places import Node, Place, of_package, parsed
from gateway.lifecycle.check.report import Outcome
from gateway.lifecycle.check.steps import Bench, TestError
from gateway.lifecycle.repository import POLICIES, SCHEMAS, TESTS
from gateway.model import Json
from gateway.policy.structure import Finding

SEEN = "_seen_by_policy_check"
MARK = "\x1einput "  # no policy prints this by chance
FUNCTION = f'\n{SEEN}(path, x) := x if print("\\u001einput", path, json.marshal(x))\n'
WITH = re.compile(r"\bwith\s+input\b")
UNTYPED = "malformed_input"  # `custom: {malformed_input: true}` above a test or its package: it asks what must not be asked


CANCELLED = "eval_cancel_error"  # what OPA says of a test that it ended for its time
SHARE = 24  # of the time of all tests: one that takes longer is told where all took too long


class _Row(msgspec.Struct):
    row: int = 0
    file: str = ""


class _Sub(msgspec.Struct):
    fail: bool = False


class _Test(msgspec.Struct):
    package: str
    name: str
    location: _Row = msgspec.field(default_factory=_Row)
    fail: bool = False
    skip: bool = False
    error: TestError | None = None
    duration: int = 0  # ns
    output: bytes = b""
    sub_results: dict[str, _Sub] | None = None

    @property
    def late(self) -> bool:
        return self.error is not None and self.error.code == CANCELLED

    def finding(self) -> Finding | None:
        if self.skip:
            return Finding(
                self.location.file, self.location.row, f"{self.name} is skipped: a test that does not run proves nothing"
            )
        if self.late:
            took = (
                f"{self.name} was ended after {self.duration / 1e9:.1f} s: a rule that it asks takes too long, or --test-timeout"
            )
            return Finding(self.location.file, self.location.row, f"{took} is too short")
        if self.error is not None:
            return Finding(self.location.file, self.location.row, f"{self.name} ends in an error: {self.error.message[:300]}")
        cases = [name for name, each in (self.sub_results or {}).items() if each.fail]
        if not self.fail and not cases:
            return None
        return Finding(self.location.file, self.location.row, f"{self.name} fails" + (f": {'; '.join(cases)}" if cases else ""))


_results = msgspec.json.Decoder(list[_Test])


async def tests(bench: Bench) -> tuple[Outcome, Outcome]:
    """How the tests went, and what is wrong with what they ask."""
    if bench.focus is not None and not bench.focus.tests:
        untested = Finding(f"{POLICIES}/{bench.focus.file}", 1, "no test asks this rule")
        return Outcome((untested,)), Outcome(told="there is no test", ran=False)
    folder = bench.folder / "tests"
    exempt = await _copied(bench, folder)
    roots = [str(bench.repository.root / each) for each in bench.repository.rego if each != TESTS]
    arguments = ("--schema", str(bench.repository.root / SCHEMAS), *bench.selection, *roots, TESTS)
    try:
        done = await bench.tests_run(*arguments, cwd=str(folder))
    except OpaLate as late:
        slow = await _slow(bench, arguments, folder)
        return Outcome(slow, told=str(late), ran=False), Outcome(told="the tests took too long", ran=False)
    try:
        results = _results.decode(done.stdout)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Outcome(_named(compile.findings(done), bench.repository.root)), Outcome(told="the tests do not run", ran=False)
    if not results:
        return Outcome((Finding(TESTS, 0, "there is no test"),)), Outcome(told="there is no test", ran=False)
    failed = tuple(found for each in results if (found := each.finding()) is not None)
    judged = [
        each
        for each in results
        if each.package.startswith("data.mcp.") and each.name not in exempt.get(each.location.file, frozenset())
    ]
    return Outcome(failed, told=f"{len(results)} tests"), _judged(judged, Inputs.of(bench.copy.schema("input.json")))


async def _slow(bench: Bench, arguments: Sequence[str], folder: Path) -> tuple[Finding, ...]:
    """Which tests are to blame where all of them together took too long: asked again with less time for each."""
    least_s = bench.tests_s / SHARE
    try:
        results = _results.decode((await bench.tests_run(*arguments, cwd=str(folder), test_s=least_s)).stdout)
    except (OpaLate, msgspec.DecodeError, UnicodeDecodeError):
        return ()
    said = f"takes more than {least_s:g} s, and all tests together more than {bench.tests_s:g} s"
    return tuple(Finding(each.location.file, each.location.row, f"{each.name} {said}") for each in results if each.late)


async def _copied(bench: Bench, folder: Path) -> dict[str, frozenset[str]]:
    """Copy the tests with their inputs made visible; the tests, by file, that ask on purpose what must not be asked."""
    shutil.copytree(bench.repository.root / TESTS, folder / TESTS)
    exempt: dict[str, frozenset[str]] = {}
    meant = bench.focus.tests if bench.focus is not None else None
    for path in sorted((folder / TESTS).rglob("*.rego")):
        if meant is not None and path.relative_to(folder).as_posix() not in meant:
            continue
        text = path.read_text()
        if WITH.search(text) and (tree := await parsed(bench.opa, path)) is not None:
            path.write_text(instrumented(text, tree))
            exempt[str(path.relative_to(folder))] = _exempt(tree)
    return exempt


def _judged(asking: Sequence[_Test], inputs: Inputs) -> Outcome:
    asked = 0
    found: list[Finding] = []
    for test in asking:
        for path, value in _asked(test.output):
            asked += 1
            said = inputs.wrong(path, value)
            found += [Finding(test.location.file, test.location.row, f"{test.name} asks with {wrong}") for wrong in said]
    return Outcome(tuple(dict.fromkeys(found)), told=f"{asked} inputs")


def instrumented(source: str, tree: Node) -> str:
    """`source` with every value that replaces `input`, or a part of it, passed through `_seen`."""
    edits: list[tuple[Place, str]] = []
    for target, value in _replaced(tree):
        place = Place.of(value)
        if place is not None:
            edits.append((place, target))
    lines = source.encode().split(b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    text = source.encode()
    for place, target in sorted(edits, key=lambda each: (each[0].row, each[0].column), reverse=True):
        begin = starts[place.row - 1] + place.column - 1
        end = begin + len(place.text)
        if text[begin:end] != place.text:
            continue
        call = f"{SEEN}({msgspec.json.encode(target).decode()}, ".encode()
        text = text[:begin] + call + text[begin:end] + b")" + text[end:]
    return text.decode() + FUNCTION


def _replaced(tree: Node) -> Iterator[tuple[str, Node]]:
    """Of each `with input.a.b as X`: "a/b" and X's syntax."""
    waiting: list[object] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            waiting.extend(node.values())
            for each in node.get("with") or ():
                target, value = each["target"], each["value"]
                terms = target["value"] if target["type"] == "ref" else [target]
                names = [term["value"] for term in terms]
                if names and names[0] == "input" and all(isinstance(name, str) for name in names):
                    yield "/".join(names[1:]), value


def _exempt(tree: Node) -> frozenset[str]:
    """Tests that say they ask what must not be asked."""
    rules = [rule for rule in tree.get("rules") or () if isinstance(rule, dict)]
    whole = _says(of_package(tree))
    return frozenset(rule["head"]["ref"][0]["value"] for rule in rules if whole or _says(rule.get("annotations") or ()))


def _says(annotations: Iterable[Node]) -> bool:
    return any((each.get("custom") or {}).get(UNTYPED) is True for each in annotations)


def _asked(output: bytes) -> Iterator[tuple[tuple[str, ...], Json]]:
    for line in output.decode(errors="replace").split("\n"):
        if line.startswith(MARK):
            path, _, text = line.removeprefix(MARK).partition(" ")
            yield tuple(each for each in path.split("/") if each), msgspec.json.decode(text)


def _named(found: tuple[Finding, ...], root: Path) -> tuple[Finding, ...]:
    return tuple(Finding(each.file.removeprefix(f"{root}/"), each.line, each.message) for each in found)

"""The checks that OPA, Regal and the gateway itself make, each a run of its own whose findings name files of the repository."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import yaml

from gateway.adapters.opa import canary, compile, inspect
from gateway.adapters.opa.command import Completed, run
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.snapshot import Snapshot
from gateway.adapters.opa.spoken import spoken
from gateway.errors import Undecided
from gateway.lifecycle.asking import running
from gateway.lifecycle.check.focus import Focus
from gateway.lifecycle.check.report import Outcome
from gateway.lifecycle.repository import POLICIES, SCHEMAS, Repository
from gateway.policy.structure import Finding
from gateway.shipped import SHIPPED

PATIENCE_S = 120.0  # of one run: a thousand tests take some ten seconds
TEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What every check works on."""

    repository: Repository
    opa: str
    regal: str | None
    copy: Snapshot
    folder: Path  # private, for whatever a check writes
    focus: Focus | None = None  # the only rule that is asked about
    test_s: float = TEST_S  # the most that one test may take
    patience_s: float = PATIENCE_S  # the most that one run of a program may take, unless a test may take longer

    @property
    def tests_s(self) -> float:
        """The most that a run of tests may take: two that are ended before say more of themselves than a run that is."""
        return max(self.patience_s, 2 * self.test_s)

    @property
    def selection(self) -> tuple[str, ...]:
        """Which tests are run: all, or those of the only rule."""
        return ("--run", self.focus.run) if self.focus is not None else ()

    async def opa_run(self, *arguments: str) -> Completed:
        return await run(self.opa, arguments, cwd=str(self.repository.root), within_s=self.patience_s)

    async def tests_run(self, *arguments: str, cwd: str | None = None, test_s: float | None = None) -> Completed:
        """`opa test`, each test within its time. Raises `OpaLate`."""
        given = ("test", "--timeout", f"{test_s or self.test_s:g}s", "--format", "json", *arguments)
        return await run(self.opa, given, cwd=cwd or str(self.repository.root), within_s=self.tests_s)


class TestError(msgspec.Struct):
    """How `opa test` tells of a test that did not come to an end."""

    code: str = ""
    message: str = ""


async def formatted(bench: Bench) -> Outcome:
    """Every file is as `opa fmt` writes it."""
    done = await bench.opa_run("fmt", "--fail", "--list", *bench.repository.rego)
    if done.status == 0:
        return Outcome()
    files = done.stdout.decode(errors="backslashreplace").split("\n")
    found = [await _first_difference(bench, file) for file in files if file.endswith(".rego")]
    if found:
        return Outcome(tuple(found))
    broken = compile.findings(done)
    return Outcome(told=f"{broken[0].file} does not parse", ran=False) if _unparsed(broken) else Outcome(broken)


def _unparsed(found: tuple[Finding, ...]) -> bool:
    """Of which the types tell, once."""
    return all("rego_parse_error" in each.message for each in found)


async def _first_difference(bench: Bench, file: str) -> Finding:
    wanted = (await bench.opa_run("fmt", file)).stdout.split(b"\n")
    written = (bench.repository.root / file).read_bytes().split(b"\n")
    same = next(
        (number for number, pair in enumerate(zip(written, wanted, strict=False)) if pair[0] != pair[1]), len(written) - 1
    )
    return Finding(file, same + 1, "is not as `opa fmt` writes it: run `opa fmt --write` on it")


async def typed(bench: Bench) -> Outcome:
    """Strict types by the schemas, for rules under the capabilities too; tests may use more than rules."""
    rules = [in_policies(found) for found in await compile.check(bench.opa, bench.copy)]
    done = await bench.opa_run("check", "--strict", "--format", "json", "--schema", SCHEMAS, *bench.repository.rego)
    tests = () if done.status == 0 else compile.findings(done)
    return Outcome(tuple(dict.fromkeys([*rules, *tests])))


async def structured(bench: Bench) -> Outcome:
    """What OPA would ignore, or grant by, and the facts: just what the gateway refuses when it loads the set."""
    try:
        contract = spoken(bench.copy)
    except PolicyRejected as error:
        return Outcome(tuple(in_policies(found) for found in error.findings))
    found = await inspect.findings(bench.opa, bench.copy, contract)
    return Outcome(tuple(in_policies(each) for each in found if not each.message.startswith("does not parse")))


class _Place(msgspec.Struct):
    file: str = ""
    row: int = 0


class _Violation(msgspec.Struct):
    title: str
    description: str
    category: str
    location: _Place = msgspec.field(default_factory=_Place)


class _Linted(msgspec.Struct):
    violations: list[_Violation] | None = None


async def linted(bench: Bench) -> Outcome:
    """Regal with the repository's settings and our own rules."""
    if bench.regal is None:
        return Outcome(told="no regal: install it, name it in $REGAL, or say --without regal", ran=False)
    linter = bench.repository.linter
    arguments = ["lint", "--format", "json", "--config-file", str(_configured(bench))]
    if (linter / "rules").is_dir():
        arguments += ["--rules", str(linter / "rules")]
    root = str(bench.repository.root)
    done = await run(bench.regal, [*arguments, *bench.repository.rego], cwd=root, within_s=bench.patience_s)
    try:
        report = msgspec.json.decode(done.stdout, type=_Linted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Outcome(told=f"regal said: {_words(done)}", ran=False)
    found = [
        Finding(
            each.location.file.removeprefix(f"{root}/"), each.location.row, f"{each.description} ({each.category}/{each.title})"
        )
        for each in report.violations or ()
    ]
    return Outcome(tuple(found)) if found or done.status == 0 else Outcome(told=f"regal said: {_words(done)}", ran=False)


def _configured(bench: Bench) -> Path:
    """The linter's settings. The shipped ones name the capabilities by a path in the source tree, where nobody else is."""
    own = bench.repository.linter / "config.yaml"
    if bench.repository.linter != SHIPPED.linter:
        return own
    settings = yaml.safe_load(own.read_text())
    settings["capabilities"] = {"from": {"file": str(bench.repository.capabilities)}}
    settings["project"] = {"roots": list(bench.repository.rego)}
    written = bench.folder / "regal.yaml"
    written.write_text(yaml.safe_dump(settings))
    return written


async def bundled(bench: Bench) -> Outcome:
    """The bundle builds, and its canaries hold in a real OPA that is asked as in production."""
    with tempfile.TemporaryDirectory(dir=bench.folder, prefix="b") as name:
        folder = Path(name)
        try:
            contract = spoken(bench.copy)
            bundle = await compile.build(bench.opa, bench.copy, folder)
        except PolicyRejected as error:
            return Outcome(tuple(in_policies(found) for found in error.findings))
        try:
            text = bench.copy.canaries.read_bytes()
        except OSError:
            wanted = "there are no canaries: inputs with known answers, one allowed and one denied"
            return Outcome((Finding(f"{POLICIES}/{canary.FILE}", 0, wanted),))
        canaries = canary.read(text, f"{POLICIES}/{canary.FILE}")
        if isinstance(canaries, Finding):
            return Outcome((canaries,))
        async with running(bench.opa, bundle, folder, revision=bench.copy.revision, contract=contract) as policy:
            try:
                wrong = await canary.wrong(
                    policy.ask,
                    canaries,
                    file=f"{POLICIES}/{canary.FILE}",
                    revision=policy.revision,
                    version=policy.contract.version,
                )
            except Undecided as error:
                return Outcome(told=f"OPA does not answer: {error}", ran=False)
        return Outcome(wrong, told=f"revision {bench.copy.revision}, {len(canaries)} canaries")


class _Part(msgspec.Struct):
    start: _Place
    end: _Place


class _Covered(msgspec.Struct):
    not_covered: list[_Part] | None = None


class _Coverage(msgspec.Struct):
    files: dict[str, _Covered]


async def covered(bench: Bench) -> Outcome:
    """Every line of every rule is reached by a test."""
    done = await bench.tests_run("--coverage", *bench.selection, *bench.repository.rego)
    try:
        report = msgspec.json.decode(done.stdout, type=_Coverage)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Outcome(told="the tests do not pass", ran=False)
    return Outcome(
        tuple(
            Finding(file, row, "no test reaches this line")
            for file, each in sorted(report.files.items())
            for row in sorted({part.start.row for part in each.not_covered or ()})
        )
    )


def in_policies(found: Finding) -> Finding:
    """The same, with its file named from the repository's root."""
    if not found.file:
        return replace(found, file=POLICIES)
    if found.file in {inspect.FACTS_SCHEMA}:
        return replace(found, file=f"{SCHEMAS}/{found.file}")
    return found if Path(found.file).is_absolute() else replace(found, file=f"{POLICIES}/{found.file}")


def _words(done: Completed) -> str:
    text = (done.stderr or done.stdout).decode(errors="backslashreplace").strip()
    return text[-300:] or f"nothing, with status {done.status}"

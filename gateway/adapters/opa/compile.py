"""What OPA itself says about a snapshot: strict check with types and capabilities, parsed modules, the bundle."""

import re
from pathlib import Path
from typing import Any

import msgspec

from gateway.adapters.opa.command import Completed, run
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.snapshot import Snapshot

MAX_FINDINGS = 50
MAX_NAMES = 20  # of those that would be right where a wrong one stands
HEADING = re.compile(r"\berrors? occurred[^:]*:\s*$")  # says how many follow
PLAIN = re.compile(r"(?P<file>[^\s:]+\.(?:rego|json|ya?ml)):(?P<line>\d+)?:?\s*(?P<message>.*)", re.S)


class _Location(msgspec.Struct):
    file: str = ""
    row: int = 0


class _Error(msgspec.Struct):
    message: str
    code: str = ""
    location: _Location = msgspec.field(default_factory=_Location)
    details: Any = None  # of a type error the names that would be right there; of others anything


class _Report(msgspec.Struct):
    errors: list[_Error] = msgspec.field(default_factory=list)


async def check(binary: str, snapshot: Snapshot) -> tuple[Finding, ...]:
    """What `opa check --strict` with our schemas and capabilities finds."""
    arguments = ["check", "--strict", "--format", "json", "--max-errors", str(MAX_FINDINGS), "--bundle", "."]
    arguments += ["--schema", str(snapshot.schemas)]
    if snapshot.capabilities is not None:
        arguments += ["--capabilities", str(snapshot.capabilities)]
    done = await run(binary, arguments, cwd=str(snapshot.policies))
    return () if done.status == 0 else findings(done)


async def build(binary: str, snapshot: Snapshot, into: Path) -> Path:
    """The bundle of a snapshot, which carries its revision. Raises `PolicyRejected`."""
    bundle = into / "bundle.tar.gz"
    arguments = ["build", "--bundle", ".", "--revision", snapshot.revision, "--output", str(bundle)]
    if snapshot.capabilities is not None:
        arguments += ["--capabilities", str(snapshot.capabilities)]
    done = await run(binary, arguments, cwd=str(snapshot.policies))
    if done.status != 0:
        raise PolicyRejected(findings(done))
    return bundle


def findings(done: Completed) -> tuple[Finding, ...]:
    """What a run of `opa` that failed said, in whichever way it said it."""
    for text in (done.stderr, done.stdout):
        try:
            report = msgspec.json.decode(text, type=_Report)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if report.errors:
            return tuple(_finding(error) for error in report.errors)
    return tuple(_plain(each) for each in _sentences(_text(done))[:MAX_FINDINGS]) or (
        Finding("", 0, f"OPA refused the policies with status {done.status} and said nothing"),
    )


def _finding(error: _Error) -> Finding:
    message = f"{error.code}: {error.message}" if error.code else error.message
    right = error.details.get("oneOf") if isinstance(error.details, dict) else None
    if isinstance(right, list) and right:
        message += f" (there are: {', '.join(str(name) for name in right[:MAX_NAMES])}{', …' if len(right) > MAX_NAMES else ''})"
    if error.location.file:
        return Finding(error.location.file.removeprefix("./"), error.location.row, message)
    return _plain(message)


def _sentences(text: str) -> list[str]:
    """OPA's prose, one error each: an indented line is the source that the error before it is about."""
    told: list[str] = []
    for line in text.splitlines():
        if not line.strip() or HEADING.search(line) or not line.strip(" \t^"):
            continue
        if line[0].isspace() and told:
            told[-1] += f": {' '.join(line.split())}"
        else:
            told.append(line)
    return told


def _plain(text: str) -> Finding:
    """A line of OPA's prose, in which a file and a line may stand somewhere."""
    found = PLAIN.search(text)
    if found is None:
        return Finding("", 0, text.strip())
    return Finding(found["file"].removeprefix("./"), int(found["line"] or 0), found["message"].strip() or text.strip())


def _text(done: Completed) -> str:
    return (done.stderr or done.stdout).decode("utf-8", "backslashreplace")

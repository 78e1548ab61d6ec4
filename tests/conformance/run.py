"""Runs the official conformance suite directly and through the gateway, and compares them check by check.

`python -m tests.conformance.run` exits 1 on any check that succeeds directly and is failed, skipped or absent through the
gateway, unless exceptions.yaml says why; and on an exception that is no longer needed. A pass count alone would say
little: some scenarios pass when the tool that they ask for does not exist.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.conformance.stack import stack
from tools.conformance.install import Suite, installed

EXCEPTIONS = Path(__file__).with_name("exceptions.yaml")
LEGS = {  # the revision the suite speaks, and the era in which the gateway asks the server
    "2025-11-25 to legacy": ("2025-11-25", "legacy"),
    "2026-07-28 to modern": ("2026-07-28", "modern"),
    "2025-11-25 to modern": ("2025-11-25", "modern"),
    "2026-07-28 to legacy": ("2026-07-28", "legacy"),
    "2025-06-18 to legacy": ("2025-06-18", "legacy"),
    "2025-06-18 to modern": ("2025-06-18", "modern"),
}
LEG_S = 600.0
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")  # the suite names its folders by scenario and time


@dataclass(frozen=True)
class Check:
    scenario: str
    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.scenario}:{self.id} ({self.name})"


@dataclass
class Outcome:
    """How often each check succeeded, and what was said where it did not."""

    succeeded: Counter[Check] = field(default_factory=Counter)
    problems: dict[Check, str] = field(default_factory=dict)
    scenarios: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def passing(self, scenarios: list[str]) -> int:
        return sum(1 for name in scenarios if name in self.scenarios and "FAILURE" not in self.scenarios[name])


@dataclass(frozen=True)
class Loss:
    check: Check
    said: str


def run(suite: Suite, url: str, revision: str, folder: Path) -> Outcome:
    """One run of every server scenario of a revision, required and not."""
    chosen = (
        ["--requirements", revision]
        if _requirements(suite, revision).exists()
        else ["--suite", "all", "--spec-version", revision]
    )
    command = [suite.node, suite.script, "server", "--url", url, *chosen, "-o", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LEG_S, check=False)
    outcome = Outcome()
    for report in sorted(folder.glob("server-*/checks.json")):
        scenario = STAMP.sub("", report.parent.name.removeprefix("server-"))
        for told in json.loads(report.read_text()):
            check = Check(scenario, told["id"], told["name"])
            outcome.scenarios[scenario].append(told["status"])
            if told["status"] == "SUCCESS":
                outcome.succeeded[check] += 1
            else:
                outcome.problems[check] = f"{told['status'].lower()}: {told.get('errorMessage') or told.get('details')}"
    if not outcome.scenarios:
        raise SystemExit(f"the suite reported nothing for {url}:\n{(done.stderr or done.stdout)[-2000:]}")
    return outcome


def _requirements(suite: Suite, revision: str) -> Path:
    return Path(suite.script).parents[1] / "requirements" / f"{revision}.yaml"


def required(suite: Suite, revision: str, run_there: list[str]) -> list[str]:
    """The server scenarios that the revision's frozen set scores; older revisions have none, so all that apply to them."""
    held = _requirements(suite, revision)
    return [str(name) for name in yaml.safe_load(held.read_text())["server"]] if held.exists() else run_there


def losses(direct: Outcome, through: Outcome) -> list[Loss]:
    """The checks that succeed less often through the gateway, with what the suite said."""
    return [
        Loss(check, through.problems.get(check, "absent"))
        for check, times in direct.succeeded.items()
        if through.succeeded[check] < times
    ]


def exceptions(leg: str) -> set[str]:
    """What may be lost in a leg: whole scenarios, or single checks as scenario:check."""
    listed = yaml.safe_load(EXCEPTIONS.read_text())
    unknown = {each for group in listed for each in group["legs"]} - LEGS.keys()
    if unknown:
        raise SystemExit(f"{EXCEPTIONS.name} names no leg: {', '.join(sorted(unknown))}")
    return {entry for group in listed if leg in group["legs"] and group["reason"] for entry in group["lost"]}


def unexcused(lost: list[Loss], known: set[str]) -> tuple[list[Loss], list[str]]:
    """The losses that no exception covers, and the exceptions that cover nothing any more."""
    covering = {loss: {loss.check.scenario, f"{loss.check.scenario}:{loss.check.id}"} & known for loss in lost}
    needed: set[str] = set().union(*covering.values())
    return [loss for loss, by in covering.items() if not by], sorted(known - needed)


def table(direct: Outcome, through: Outcome) -> None:
    print(f"  {'scenario':48} {'direct':>9} {'gateway':>9}")
    for scenario, statuses in direct.scenarios.items():
        there, here = statuses.count("SUCCESS"), through.scenarios.get(scenario, []).count("SUCCESS")
        note = "" if here == there else "  more" if here > there else "  LESS"
        if note or "FAILURE" in statuses:
            print(f"  {scenario:48} {there:>9} {here:>9}{note}")


def leg(name: str, suite: Suite, urls: tuple[str, str], folder: Path) -> bool:
    """Runs and prints one leg; True if nothing is lost that may not be, and no exception is stale."""
    revision = LEGS[name][0]
    direct, through = (run(suite, url, revision, folder / where) for url, where in zip(urls, ("direct", "gateway"), strict=True))
    scored = required(suite, revision, list(direct.scenarios))
    lost = losses(direct, through)
    bad, stale = unexcused(lost, exceptions(name))
    print(f"\n{name}")
    table(direct, through)
    for loss in lost:
        print(f"  {'LOST' if loss in bad else 'known loss'}: {loss.check}: {loss.said[:600]}")
    for entry in stale:
        print(f"  STALE exception: {entry} is not lost any more")
    counts = f"{direct.passing(scored)} directly, {through.passing(scored)} through the gateway"
    checks = f"{direct.succeeded.total()} and {through.succeeded.total()} checks"
    print(f"  required scenarios passing, of {len(scored)}: {counts}; {checks}; lost {len(bad)}, excused {len(lost) - len(bad)}")
    return not bad and not stale


def main() -> None:
    parser = argparse.ArgumentParser(description="The official conformance suite, directly and through the gateway.")
    parser.add_argument("--leg", action="append", choices=tuple(LEGS), help="only this leg (may be repeated)")
    parser.add_argument("--keep", type=Path, help="keep the suite's reports and the logs in this new folder")
    options = parser.parse_args()
    suite = installed()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary) / "run"
        folder.mkdir(parents=True)
        with stack(folder) as running:
            good = [
                leg(name, suite, (running.server_url, running.through(LEGS[name][1])), folder / name.replace(" ", "-"))
                for name in options.leg or LEGS
            ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()

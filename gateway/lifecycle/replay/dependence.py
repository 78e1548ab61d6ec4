"""What the answer to a question can depend on, as the text of the rules has it: never less than what OPA would read.

Where the entrypoint is the shipped one, it is known which verbs it asks in which phase. A rule ends at the first of its
guards that fails (`input.resources[0].name == "restart"`), so what stands behind that guard is not read for other items.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from gateway.lifecycle.replay.traffic import Question
from gateway.lifecycle.ruleset import ANY, Clause, RulePackage, Ruleset
from gateway.model import Json, JsonObject, Phase
from gateway.policy.rego import Guard, Path

ASKED: Mapping[Phase, frozenset[str]] = {
    "list": frozenset({ANY, "allow", "hide", "oblige"}),
    "request": frozenset({ANY, "allow", "hide", "deny", "withhold", "oblige"}),  # `withhold` for whether it is there
    "result": frozenset({ANY, "allow", "hide", "withhold", "oblige"}),
}
"""The verbs that the shipped entrypoint evaluates."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """Of one policy set."""

    rules: Ruleset
    _reaches: dict[tuple[Phase, frozenset[str]], "_Reach"] = field(default_factory=dict, repr=False)

    def key(self, question: Question, document: JsonObject) -> bytes:
        """Alike for two questions only if no rule that is asked about them could tell them apart."""
        about = (question.phase, question.backends)
        reach = self._reaches.get(about)
        if reach is None:
            reach = self._reaches[about] = self._reach(question)
        told = [[path, _at(document, path)] for path in reach.paths(document)]
        types = [type(document.get(name)).__name__ for name in ("arguments", "result")]
        return hashlib.sha256(msgspec.json.encode([types, told], order="deterministic")).digest()

    def concerned(self, backends: frozenset[str]) -> tuple[RulePackage, ...]:
        """The packages that are asked about these backends' items."""
        if not self.rules.shipped:
            return tuple(self.rules.packages.values())
        return tuple(
            package
            for name, package in self.rules.packages.items()
            if name.startswith("org") or not backends.isdisjoint(name.split("/")[1:2] or backends)
        )

    def alike(self, other: "Dependence", phase: Phase, backends: frozenset[str]) -> bool:
        """Whether all that is asked in this phase about these backends' items is the same in both sets, and so the answer."""
        if not self.rules.shipped or self.rules.ground != other.rules.ground:
            return False
        return self._spoken(phase, backends) == other._spoken(phase, backends)

    def _spoken(self, phase: Phase, backends: frozenset[str]) -> frozenset[tuple[str, str, str]]:
        return frozenset(
            (each.name, verb, digest)
            for each in self.concerned(backends)
            for verb, digest in each.spoken.items()
            if verb in ASKED[phase]
        )

    def _reach(self, question: Question) -> "_Reach":
        packages = self.concerned(question.backends)
        always = set(self.rules.hears)
        if not self.rules.shipped:
            always.update(path for package in packages for path in package.hears)
            return _Reach(frozenset(always), ())
        verbs = ASKED[question.phase]
        return _Reach(
            frozenset(always), tuple(clause for package in packages for clause in package.clauses if clause.verb in verbs)
        )


class _Reach:
    """What some clauses read of a document, worked out once for each way in which their guards come out."""

    def __init__(self, always: frozenset[Path], clauses: tuple[Clause, ...]) -> None:
        self._always = always
        self._clauses = clauses
        self._guards = tuple(dict.fromkeys(step.guard for each in clauses for step in each.steps if step.guard is not None))
        self._known: dict[tuple[bool, ...], tuple[Path, ...]] = {}

    def paths(self, document: JsonObject) -> tuple[Path, ...]:
        held = tuple([guard.holds(document) for guard in self._guards])
        known = self._known.get(held)
        if known is None:
            known = self._known[held] = self._read(dict(zip(self._guards, held, strict=True)))
        return known

    def _read(self, holds: Mapping[Guard, bool]) -> tuple[Path, ...]:
        paths = set(self._always)
        for clause in self._clauses:
            for step in clause.steps:
                paths.update(step.hears)
                if step.guard is not None and not holds[step.guard]:
                    break
        return tuple(sorted(path for path in paths if not any(path[:depth] in paths for depth in range(len(path)))))


def _at(document: Json, path: Path) -> list[Json]:
    """What is at the path, as one element; none where there is nothing. Above a list or a plain value, that is all of it."""
    for name in path:
        if not isinstance(document, dict):
            return [document]
        if name not in document:
            return []
        document = document[name]
    return [document]

"""A policy set that is asked many questions at once, with the rules that it is made of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.adapters.opa import compile, snapshot
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.place import private_folder
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.spoken import spoken
from gateway.errors import Undecided
from gateway.lifecycle.asking import Asked, running
from gateway.lifecycle.replay.declared import extractions
from gateway.lifecycle.replay.dependence import Dependence
from gateway.lifecycle.replay.traffic import Question
from gateway.lifecycle.ruleset import Ruleset, ruleset
from gateway.model import JsonObject
from gateway.policy import rego
from gateway.policy.contract import SERVED, VERSION_1, Contracts
from gateway.policy.extract import Extractions
from gateway.ports import Verdict

TRIES = 3
PASSING = frozenset({"late", "unreachable"})  # not the policy's doing


class Unanswered(Exception):
    """OPA did not answer in time, again and again: nothing can be said of the policy."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A question that differs from an earlier one only in what no rule of the set reads has the earlier one's answer."""

    asked: Asked
    rules: Ruleset
    dependence: Dependence = field(repr=False)
    extractions: Extractions = field(repr=False)
    _answers: dict[bytes, Verdict | Undecided] = field(default_factory=dict, repr=False)

    @property
    def evaluated(self) -> int:
        """Questions that OPA was asked."""
        return len(self._answers)

    async def judged(self, question: Question, document: JsonObject) -> Verdict | Undecided:
        """The answer to a recorded question, whose `input` is `document`. Raises `Unanswered`."""
        key = self.dependence.key(question, document)
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = await self.answer(question.document)
        return known

    @property
    def revision(self) -> str:
        return self.asked.revision

    async def answer(self, document: bytes) -> Verdict | Undecided:
        """The answer, or the reason that the policy gives none. Raises `Unanswered`."""
        for _ in range(TRIES):
            try:
                return await self.asked.judged(document)
            except Undecided as undecided:
                failure = undecided
                if undecided.cause not in PASSING:
                    return undecided
        raise Unanswered(f"OPA did not answer: {failure}")


def _reading_all(rules: Ruleset) -> Ruleset:
    """Of a set that is asked in other words than recordings have: what it reads of them cannot be told, so it is all."""
    everything: tuple[rego.Path, ...] = ((),)
    packages = {
        name: replace(each, voices=tuple(replace(voice, reads=everything) for voice in each.voices), hears=everything)
        for name, each in rules.packages.items()
    }
    return replace(rules, packages=packages, hears=everything, shipped=False)


@asynccontextmanager
async def policy(binary: str, source: Source, contracts: Contracts = SERVED) -> AsyncIterator[Policy]:
    """The policy set in `source`, running. Raises `PolicyRejected` where it does not compile, and `OpaUnusable`."""
    with private_folder() as name:
        folder = Path(name)
        copy = await asyncio.to_thread(snapshot.take, source, folder)
        if not any(name.startswith(snapshot.FACTS) for name in copy.texts):
            lacking = "has no facts (mcp/facts), and without them nothing is decided: name those that lie apart with --facts"
            raise PolicyRejected((Finding(str(source.folder), 0, lacking),))
        contract = spoken(copy, contracts)
        bundle = await compile.build(binary, copy, folder)
        rules, declared = await ruleset(binary, copy), await asyncio.to_thread(extractions, copy, contract)
        if contract is not VERSION_1:
            rules = _reading_all(rules)
        async with running(binary, bundle, folder, revision=copy.revision, contract=contract) as asked:
            yield Policy(asked, rules, Dependence(rules), declared)

"""The commands put their questions to a policy set of another version of the contract in that version's words.

The second version is the tests' own; what they are told and show is in the words of version 1.
"""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.errors import Undecided
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.access.table import Cell, Moment, table
from gateway.lifecycle.asking import asked
from gateway.lifecycle.conditions.opened import opened
from gateway.lifecycle.explain.answer import explained
from gateway.lifecycle.replay.policy import policy
from gateway.lifecycle.replay.run import replayed
from gateway.lifecycle.replay.traffic import traffic
from gateway.model import Json
from gateway.policy import document
from gateway.policy.contract import VERSION_1
from tests.adapters.opa.test_versions import ASKED, source, speaking, within
from tests.adapters.opa.two_versions import BOTH, VERSION_2
from tests.lifecycle.traffic import decision
from tests.policy.test_document import TOOL
from tools.binaries import find

WHY = "conditions are told of policy sets of version 1, and this is one of version 2"


@pytest.fixture(scope="session")
def opa() -> str:
    return find("opa")


def test_a_set_of_another_version_is_asked_in_its_words_and_heard_in_those_of_version_1(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with asked(opa, source(speaking(tmp_path, 2)), contracts=BOTH) as policy:
            refused = {}
            for number, question in ASKED.items():
                for words in (document.WORDS, VERSION_2.words):
                    verdict = await policy.judged(document.serialised(question, words=words))
                    said = VERSION_1.read(verdict.result, asked=1, phase="request", revision=verdict.revision, decision_id="")
                    refused[number, words is document.WORDS] = [each.code for each in said.denials]
        assert refused == {
            (number, first): codes for number, codes in ((1, []), (3, ["no"]), (9, ["no"])) for first in (True, False)
        }

    within(20, main())


def test_what_is_no_question_of_version_1_cannot_be_put_to_it(opa: str, tmp_path: Path) -> None:
    async def main() -> list[str]:
        causes = []
        async with asked(opa, source(speaking(tmp_path, 2)), contracts=BOTH) as policy:
            for text in ('{"input": {"version": 1}}', '{"input": 1}', "[]", "{}"):
                try:
                    await policy.judged(text.encode())
                except Undecided as undecided:
                    causes.append(undecided.cause)
        return causes

    assert asyncio.run(main()) == ["misshapen"] * 4


def test_an_answer_is_explained_and_its_conditions_are_not_guessed(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(opa, source(speaking(tmp_path, 2)), BOTH) as policy:
            told = []
            for question in ASKED.values():
                given: Json = json.loads(document.serialised(question))["input"]
                assert isinstance(given, dict)
                answer = await explained(policy, given)
                told.append((answer.outcome, answer.changes, answer.as_long_as, answer.notes))
        unknown = ((), None, (f"what would have changed it is unknown: {WHY}",))
        assert told == [("allowed", (), f"unknown: {WHY}", ()), ("denied", *unknown), ("denied", *unknown)]

    within(20, main())


def test_access_is_told_as_far_as_answers_tell_it(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(opa, source(speaking(tmp_path, 2)), BOTH) as policy:
            found = await table(policy, [Persona(name="ann")], [TOOL], Moment(0))
        assert found.cells == {("ann", TOOL.id): Cell("unknown", WHY)}

    within(20, main())


@pytest.mark.parametrize("against_base", [True, False])
def test_traffic_of_one_version_is_replayed_against_a_candidate_of_another(opa: str, tmp_path: Path, against_base: bool) -> None:
    async def main() -> None:
        documents = [json.loads(document.serialised(each)) for each in ASKED.values()]
        async with (
            policy(opa, source(speaking(tmp_path, 1)), BOTH) as base,
            policy(opa, source(speaking(tmp_path, 2)), BOTH) as candidate,
        ):
            kept = [await decision(base, each["input"], number) for number, each in enumerate(documents)]
            found = traffic({"decisions": [each]} for each in kept)
            report = await replayed(found, candidate, base if against_base else None)
            back = await replayed(found, base, candidate)
        assert {kind: count for kind, count in report.kinds.items() if count} == {"newly-denied": 1}
        assert {kind: count for kind, count in back.kinds.items() if count} == {"newly-allowed": 1}

    within(30, main())

"""Contract versions side by side, on the real OPA: each policy set is asked, and its answer read, in the version it says.

There is one version for users. The second is the tests' own (`two_versions`), handed in as a parameter.
"""

import asyncio
import json
import shutil
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.adapters.metrics import Metrics, Words
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.comparing import Plan
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.opa.shadow import Budget, Shadow, Shadowed
from gateway.adapters.opa.snapshot import Source
from gateway.exchange import asking
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Ports
from gateway.exchange.questions import QuestionRecorder
from gateway.model import Decision, Json
from gateway.policy.contract import SERVED, Contracts
from gateway.policy.document import Question, serialised
from gateway.ports import Decider
from tests.adapters.opa import two_versions
from tests.adapters.opa.two_versions import BOTH, VERSION_2
from tests.policy.test_document import CALL, TOOL

NEW_RULES = """\
package mcp.authz

decision := {
	"version": 2,
	"visible": _visible,
	"allowed": _visible,
	"granted_by": {},
	"hidden_by": {},
	"refusals": _refusals,
	"observed": {},
	"waived": [],
	"obligations": [],
} if {
	data.mcp.facts.version == 2
	input.version == 2
	input.asked == count(input.resources)
}

_visible := [position | some position, resource in input.resources; resource.backend == "github"; resource.shown_as]

_refusals := [{"rule": "org/x", "code": "no", "message": "no"} |
	input.parameters.number > 1
	input.caller.id == "alice@example.com"
]
"""
OLD_RULES = """\
package mcp.authz

decision := {
	"version": 1,
	"visible": _visible,
	"allowed": _visible,
	"granted_by": {},
	"hidden_by": {},
	"denials": _denials,
	"observed": {},
	"waived": [],
	"obligations": [],
} if {
	data.mcp.facts.version == 1
	input.version == 1
}

_visible := [position | some position, resource in input.resources; resource.backend == "github"; resource.public_name]

_denials := [{"rule": "org/x", "code": "no", "message": "no"} |
	input.arguments.number > 5
	input.subject.id == "alice@example.com"
]
"""
RULES = {1: OLD_RULES, 2: NEW_RULES}
ASKED = {number: replace(CALL, arguments={"number": number}) for number in (1, 3, 9)}


@dataclass
class Book:
    records: list[Mapping[str, Json]] = field(default_factory=list)

    async def write(self, record: Mapping[str, Json]) -> None:
        self.records.append(record)


def within(seconds: float, test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await test

    asyncio.run(bounded())


def speaking(root: Path, version: int) -> Path:
    """A small policy set that says this version, its schemas beside it."""
    folder, schemas = root / f"v{version}" / "policies", root / f"v{version}" / "schemas"
    asked = [
        {"name": name, "input": told, "expect": {"visible": seen, "allowed": seen}} for name, told, seen in _canaries(version)
    ]
    for path, text in {
        folder / "mcp/authz/decision.rego": RULES[version],
        folder / "mcp/facts/data.yaml": f"version: {version}\n",
        folder / "mcp/canaries/data.json": json.dumps(asked),
        schemas / "facts.json": json.dumps(
            {"type": "object", "properties": {"version": {"const": version}}, "additionalProperties": False}
        ),
        schemas / "input.json": "true",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _canaries(version: int) -> list[tuple[str, Json, list[int]]]:
    contract = BOTH[version]
    known = json.loads(serialised(ASKED[1], words=contract.words))["input"]
    other = replace(CALL, resources=(replace(TOOL, backend="other"),))
    return [("known", known, [0]), ("unknown", json.loads(serialised(other, words=contract.words))["input"], [])]


def source(policies: Path) -> Source:
    return Source(policies, policies.with_name("schemas"))


def live(opa: str, policies: Path, contracts: Contracts = BOTH) -> PolicySetDecider:
    return PolicySetDecider(source(policies), opa, Limits(), lambda event: None, contracts=contracts)


async def ask(decider: Decider, question: Question) -> Decision:
    """As an exchange does."""
    contract = decider.contract
    verdict = await decider.decide(serialised(question, words=contract.words))
    return contract.read(verdict.result, asked=1, phase=question.phase, revision=verdict.revision, decision_id="")


async def codes(decider: Decider) -> dict[int, list[str]]:
    return {number: [each.code for each in (await ask(decider, asked)).denials] for number, asked in ASKED.items()}


def test_a_set_of_each_version_is_asked_and_heard_in_its_own(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        for version, refused in ((1, {1: [], 3: [], 9: ["no"]}), (2, {1: [], 3: ["no"], 9: ["no"]})):
            decider = live(opa, speaking(tmp_path, version))
            await decider.start()
            try:
                assert (decider.contract.version, await codes(decider)) == (version, refused)
            finally:
                await decider.close()

    within(20, main())


def test_a_live_set_is_replaced_by_one_of_another_version_and_back(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        old, new, folder = speaking(tmp_path, 1), speaking(tmp_path, 2), tmp_path / "live" / "policies"
        versions = []
        shutil.copytree(old.parent, folder.parent)
        decider = live(opa, folder)
        await decider.load()
        try:
            for root in (new, old):
                shutil.rmtree(folder.parent)
                shutil.copytree(root.parent, folder.parent)
                await decider.load()
                versions.append((decider.contract.version, await codes(decider)))
        finally:
            await decider.close()
        assert versions == [(2, {1: [], 3: ["no"], 9: ["no"]}), (1, {1: [], 3: [], 9: ["no"]})]

    within(20, main())


@pytest.mark.parametrize(("version", "candidate"), [(1, 2), (2, 1)])
def test_a_candidate_of_another_version_is_compared_on_the_same_traffic(
    opa: str, tmp_path: Path, version: int, candidate: int
) -> None:
    async def main() -> None:
        decider, book = live(opa, speaking(tmp_path, version)), Book()
        folder = speaking(tmp_path, candidate)
        plan = Plan(opa, str(folder), str(folder.with_name("schemas")), None, deadline_s=5.0)
        shadow = Shadow(plan, Budget(), book, lambda event: None, program=two_versions.__name__)
        await decider.start()
        shadow.start()
        try:
            while not shadow.state.ready:  # noqa: ASYNC110  # it is ready in another process
                await asyncio.sleep(0.01)
            await codes(Shadowed(decider, shadow))
            while sum(shadow.outcomes.values()) < len(ASKED) or not book.records:  # noqa: ASYNC110  # likewise
                await asyncio.sleep(0.01)
        finally:
            await shadow.close()
            await decider.close()
        kind = "newly-denied" if candidate == 2 else "newly-allowed"
        assert dict(shadow.outcomes) == {"same": 2, "different": 1}
        assert [(each["differences"], each["method"], each["subject"]["id"]) for each in book.records[:1]] == [  # type: ignore[index, call-overload]
            (
                [{"kind": kind, "rules": ["org/x no"], "items": ["github__create_issue"], "count": 1}],
                "tools/call",
                "alice@example.com",
            )
        ]

    within(30, main())


def test_a_recording_is_in_the_words_of_version_1_whoever_decides(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        kept = {}
        for version in (1, 2):
            decider, draft = live(opa, speaking(tmp_path, version)), Draft()
            await decider.start()
            parts = {"decider": decider, "meter": Metrics(Words((), ())), "questions": QuestionRecorder(b"k" * 32)}
            try:
                await asking.ask(cast(Ports, SimpleNamespace(**parts)), draft, ASKED[9])
            finally:
                await decider.close()
            kept[version] = draft.kept[ASKED[9].decision_id]
        told = kept[2]["answer"]
        assert isinstance(told, dict)
        assert [each["code"] for each in told.pop("denials")] == ["no"]  # type: ignore[index, union-attr, call-overload]
        old = kept[1]["answer"]
        assert isinstance(old, dict)
        assert kept[2] == {**kept[1], "answer": {name: said for name, said in old.items() if name != "denials"}}

    within(20, main())


async def refused(opa: str, policies: Path, contracts: Contracts) -> list[str]:
    decider = live(opa, policies, contracts)
    try:
        with pytest.raises(PolicyRejected) as raised:
            await decider.load()
        return [f"{each.file}: {each.message}" for each in raised.value.findings]
    finally:
        await decider.close()


def test_a_version_that_is_not_served_is_refused_when_loaded_with_what_to_do(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        assert await refused(opa, speaking(tmp_path, 2), SERVED) == [
            "mcp/facts/data.yaml: version 2 of the contract is not served by this gateway, which serves 1: write the rules and "
            "facts for one of these, or use a gateway that serves it (docs/input.md)"
        ]

    within(10, main())


def test_schemas_of_another_version_than_the_facts_are_refused_with_what_to_do(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        new, old = speaking(tmp_path, 2), speaking(tmp_path, 1)
        shutil.copy(old.with_name("schemas") / "facts.json", new.with_name("schemas") / "facts.json")
        assert await refused(opa, new, BOTH) == [
            "mcp/facts/data.yaml: says version 2 of the contract, and the schemas beside it describe version 1: "
            "name the folder of schemas that belongs to this policy set"
        ]

    within(10, main())


def test_what_an_existence_may_not_hang_on_is_told_in_the_words_of_its_version(opa: str, tmp_path: Path) -> None:
    async def main() -> None:
        folder = speaking(tmp_path, 2)
        rule = folder / "mcp/servers/github/access.rego"
        rule.parent.mkdir(parents=True)
        rule.write_text("package mcp.servers.github.access\n\nallow contains 0 if input.parameters.number == 1\n")
        found = await refused(opa, folder, BOTH)
        assert [each for each in found if "reaches input.parameters" in each] != []

    within(10, main())


def test_the_second_version_is_a_question_again_too() -> None:
    for asked in ASKED.values():
        document = json.loads(serialised(asked, words=VERSION_2.words))["input"]
        assert VERSION_2.question(document) == replace(asked, caller=replace(asked.caller, token=None))

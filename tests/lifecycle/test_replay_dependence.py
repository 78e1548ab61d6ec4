"""What OPA is not asked again: an answer that is taken from another question, or from the other set, is the one it would give."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.adapters.opa import snapshot
from gateway.errors import Undecided
from gateway.lifecycle.replay.policy import Policy, policy
from gateway.lifecycle.replay.run import replayed
from gateway.lifecycle.replay.traffic import Question, traffic
from gateway.lifecycle.ruleset import ruleset
from gateway.model import Json
from gateway.ports import Verdict
from tests.lifecycle.repositories import replaced
from tests.lifecycle.traffic import decision, source
from tests.policies.demo import asked, pinned, resource
from tools.binaries import find

TOOLS = [("crm", "search_customers"), ("crm", "update_customer"), ("deploy", "restart"), ("deploy", "services")]

ODD = """# METADATA
# schemas:
#   - input: schema.input
package mcp.servers.crm.odd

import data.mcp.lib.finding

# METADATA
# title: judged before the guard, and an error where it is no text
# custom: {code: before}
deny contains finding.refusal(rego.metadata.rule()) if {
	regex.match(`x`, input.arguments.before)
	input.resources[0].name != "update_customer"
}

# METADATA
# title: judged behind it
# custom: {code: behind}
deny contains finding.refusal(rego.metadata.rule()) if {
	some value in [input.arguments.behind]
	input.resources[0].name != "search_customers"
	regex.match(`x`, value)
}

# METADATA
# title: a guard of several names, and one that is none
# custom: {code: several}
oblige contains finding.duty(rego.metadata.rule(), "audit", {"level": input.arguments.level}) if {
	input.resources[0].name in {"update_customer", "search_customers"}
	not input.action.phase == "list"
	_chosen(input.subject.id)
}

# METADATA
# title: what is evaluated for whether it is there may fail, too
# custom: {code: withheld}
withhold contains finding.refusal(rego.metadata.rule()) if {
	input.resources[0].name == "update_customer"
	regex.match(`x`, input.arguments.withheld)
}

_chosen("ada@example.com")

_chosen(id) if endswith(id, input.arguments.suffix)
"""


@pytest.fixture(scope="module")
def opa() -> str:
    return find("opa")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = pinned(tmp_path_factory.mktemp("odd"))
    (folder / "mcp/servers/crm/odd.rego").write_text(ODD)
    return folder


def question(document: dict[str, Any]) -> Question:
    [found] = traffic([{"decisions": [{"decision_id": "d", "document": document, "cause": "late"}]}]).questions
    return found


def of(subject: str, tool: tuple[str, str], arguments: dict[str, Json], phase: str = "request") -> dict[str, Any]:
    more: dict[str, Any] = {} if phase == "list" else {"arguments": arguments}
    document = asked(
        ["analysts", "engineers"], [resource("tool", *tool)], phase, **more, **{"result": {}} if phase == "result" else {}
    )
    return document | {"subject": document["subject"] | {"id": subject}}


NAMES = st.sampled_from(["before", "behind", "level", "withheld", "suffix", "email"])
VALUES: st.SearchStrategy[Json] = st.sampled_from(["x", "y", 1, None, "example.com", "full"])
SUBJECTS = st.sampled_from(["ada@example.com", "bob@example.com"])
PHASES = st.sampled_from(["request", "request", "result", "list"])


@st.composite
def neighbours(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Two questions that differ in one argument, or in who asks."""
    tool, phase, subject = draw(st.sampled_from(TOOLS)), draw(PHASES), draw(SUBJECTS)
    arguments = draw(st.dictionaries(NAMES, VALUES, max_size=2))
    other = {**arguments, draw(NAMES): draw(VALUES)}
    return [of(subject, tool, arguments, phase), of(draw(SUBJECTS), tool, other, phase)]


def test_an_answer_taken_from_another_question_is_the_one_that_opa_gives(opa: str, odd: Path) -> None:
    loop = asyncio.new_event_loop()
    entered = policy(opa, source(odd))
    now: Policy = loop.run_until_complete(entered.__aenter__())

    async def both(document: dict[str, Any]) -> tuple[object, object]:
        taken = await now.judged(question(document), document)
        given = await now.answer(msgspec.json.encode({"input": document}))
        return _said(taken), _said(given)

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(neighbours())
    def alike(documents: list[dict[str, Any]]) -> None:
        for document in documents:
            taken, given = loop.run_until_complete(both(document))
            assert taken == given

    try:
        alike()
    finally:
        loop.run_until_complete(entered.__aexit__(None, None, None))
        loop.close()


def _said(answer: Verdict | Undecided) -> object:
    return (answer.cause, str(answer)) if isinstance(answer, Undecided) else answer.result


def test_what_stands_behind_a_guard_that_fails_is_not_heard(opa: str, odd: Path) -> None:
    async def main() -> dict[str, int]:
        async with policy(opa, source(odd)) as now:

            def keys(*documents: dict[str, Any]) -> int:
                return len({now.dependence.key(question(each), each) for each in documents})

            search, update, services, restart = TOOLS[0], TOOLS[1], TOOLS[3], TOOLS[2]
            return {
                "behind": keys(of("ada", search, {"withheld": "x"}), of("ada", search, {"withheld": "y"})),
                "before": keys(of("ada", update, {"before": "x"}), of("ada", update, {"before": 1})),
                "held": keys(of("ada", update, {"withheld": "x"}), of("ada", update, {"withheld": "y"})),
                "other backend": keys(of("ada", services, {"before": "x"}), of("bob", services, {"before": 1})),
                "rationed": keys(of("ada", restart, {}), of("bob", restart, {})),
                "rationed in a list": keys(of("ada", restart, {}, "list"), of("bob", restart, {}, "list")),
                "a negation is no guard": keys(of("ada", search, {}, "list"), of("bob", search, {}, "list")),
            }

    alone, told_apart = 1, 2
    assert asyncio.run(main()) == {
        "behind": alone,
        "before": told_apart,
        "held": told_apart,
        "other backend": alone,
        "rationed": told_apart,
        "rationed in a list": alone,
        "a negation is no guard": told_apart,
    }


def test_what_both_sets_say_in_the_same_words_is_asked_of_one(opa: str, tmp_path: Path) -> None:
    old, new, altered = (pinned(tmp_path / name) for name in ("old", "new", "altered"))
    replaced(new / "mcp/servers/crm/changes.rego", '{"account_managers", "crm_admins"}', '{"crm_admins"}')
    facts = altered / "mcp/facts/data.yaml"
    facts.write_text(facts.read_text() + "# changed\n")
    search, services = ("crm", "search_customers"), ("deploy", "services")
    documents = [of("ada", search, {}), of("ada", services, {}), of("ada", search, {}, "list")]

    async def main() -> list[int]:
        async with policy(opa, source(old)) as base:
            found = traffic([{"decisions": [await decision(base, each, number)]} for number, each in enumerate(documents)])
            for each in found.questions:
                assert each.revision == base.revision
            evaluated = []
            for folder in (old, new, altered):
                async with policy(opa, source(folder)) as candidate, policy(opa, source(old)) as again:
                    asked_anew = traffic({"decisions": [one | {"revision": "then"}]} for one in _decisions(found.questions))
                    report = await replayed(asked_anew, candidate, again)
                    assert not report.kinds
                    evaluated.append(report.evaluated)
            return evaluated

    same, one_backend_refuses_otherwise, nothing_shared = 3, 4, 6
    assert asyncio.run(main()) == [same, one_backend_refuses_otherwise, nothing_shared]


TWO = """package mcp.servers.crm.two

import data.mcp.lib.finding
import data.mcp.lib.item

allow contains 0 if _known

hide contains 0 if item.reviewed(input.resources[0])

# METADATA
# title: no
# custom: {code: no}
deny contains finding.refusal(rego.metadata.rule()) if input.arguments.x == 1

_known if input.resources[0].name == "x"
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("arguments.x == 1", "arguments.x == 2", {"deny"}),
        ('name == "x"', 'name == "y"', {"allow"}),
        ("title: no", "title: never", {"allow", "hide", "deny"}),
        ("import data.mcp.lib.item", "import data.mcp.lib.subject as item", {"allow", "hide", "deny"}),
        ("if _known", "if\n\t_known\n", set()),
    ],
)
def test_a_verb_is_the_same_only_with_all_that_it_follows_from(
    opa: str, old: str, new: str, changed: set[str], tmp_path: Path
) -> None:
    assert TWO.count(old) == 1

    async def spoken(text: str, name: str) -> Mapping[str, str]:
        folder = pinned(tmp_path / name)
        (folder / "mcp/servers/crm/two.rego").write_text(text)
        found = await ruleset(opa, snapshot.take(source(folder), tmp_path / f"{name}_copy"))
        return found.packages["servers/crm/two"].spoken

    async def main() -> set[str]:
        before, after = await spoken(TWO, "before"), await spoken(TWO.replace(old, new), "after")
        return {verb for verb in before if before[verb] != after[verb]}

    assert asyncio.run(main()) == changed


def _decisions(questions: list[Question]) -> list[dict[str, Any]]:
    return [
        {"decision_id": each.decision_id, "document": msgspec.json.decode(each.document)["input"], "answer": each.answer}
        for each in questions
    ]

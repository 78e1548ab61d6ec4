"""Two policy sets, compared this way round and the other: what is told the one way is told the other, the other way round."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.lifecycle.replay.compare import Difference, Unknown, differences
from gateway.lifecycle.replay.policy import Policy, policy
from gateway.lifecycle.replay.run import Report, replayed
from gateway.lifecycle.replay.standing import Standing
from gateway.lifecycle.replay.traffic import Traffic, traffic
from tests.lifecycle.traffic import decision, source
from tests.policies.demo import asked, pinned, resource
from tools.binaries import find

MARKS = ["/arguments/email"]
CHANGES, ACCESS = "mcp/servers/crm/changes.rego", "mcp/servers/crm/access.rego"
TITLE = ("# title: Who sees what of the customer database", "# title: who sees what")
ALTERED: dict[str, tuple[tuple[str, str, str], ...]] = {
    "the title of a rule that judges no stand-in": ((ACCESS, *TITLE),),
    "what is judged of a stand-in": ((CHANGES, r"`^[^@\s]+@[^@\s]+\.[^@\s]+$`", r"`^[^@\s]+@example\.com$`"),),
    "who may change": ((CHANGES, '{"account_managers", "crm_admins"}', '{"crm_admins"}'),),
    "who sees": ((ACCESS, '"engineers": {"tool": {"search_customers"}},', ""),),
}
MIRRORED = {"newly-denied": "newly-allowed", "newly-hidden": "newly-shown"}
MIRRORED |= {after: before for before, after in MIRRORED.items()}


def altered(folder: Path, name: str) -> Path:
    candidate = pinned(folder)
    for file, old, new in ALTERED[name]:
        text = (candidate / file).read_text()
        assert text.count(old) == 1
        (candidate / file).write_text(text.replace(old, new))
    return candidate


def documents() -> list[dict[str, Any]]:
    update, search = [resource("tool", "crm", "update_customer")], [resource("tool", "crm", "search_customers")]
    groups = [["analysts"], ["account_managers"], ["crm_admins"], ["engineers"]]
    changes = [
        asked(each, update, "request", arguments={"customer_id": 7, "email": email})
        for each in groups
        for email in ("qzx@wvutsrq.kjh", "nonsense")
    ]
    return [*changes, *(asked(each, search, "request", arguments={"query": "x"}) for each in groups)]


async def recorded(under: Policy, *, known: bool = True) -> Traffic:
    decisions = [await decision(under, each, number, MARKS) for number, each in enumerate(documents())]
    return traffic({"decisions": [one if known else one | {"revision": "another"}]} for one in decisions)


def mirrored(report: Report) -> Counter[str]:
    return Counter({MIRRORED.get(kind, kind): count for kind, count in report.kinds.items()})


def told(report: Report) -> tuple[int, int, Counter[str]]:
    return report.differing, report.unknown, report.unknown_by_rule


@pytest.mark.parametrize("name", ALTERED)
def test_what_swapped_sets_are_told_to_differ_in_is_the_same_the_other_way_round(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        old, new = pinned(tmp_path / "old"), altered(tmp_path / "new", name)
        async with policy(find("opa"), source(old)) as first, policy(find("opa"), source(new)) as second:
            for audit in (await recorded(first), await recorded(second), await recorded(first, known=False)):
                there, back = await replayed(audit, second, first), await replayed(audit, first, second)
                assert (mirrored(there), told(there)) == (Counter(back.kinds), told(back))

    asyncio.run(main())


def test_a_rule_that_is_the_same_in_both_sets_keeps_what_it_said_of_the_real_value(tmp_path: Path) -> None:
    async def main() -> None:
        old, new = pinned(tmp_path / "old"), altered(tmp_path / "new", "the title of a rule that judges no stand-in")
        async with policy(find("opa"), source(old)) as base, policy(find("opa"), source(new)) as candidate:
            for audit in (await recorded(base), await recorded(candidate)):
                report = await replayed(audit, candidate, base)
                assert (dict(report.kinds), told(report)) == ({}, (0, 0, Counter()))

    asyncio.run(main())


UNKNOWN = Standing(("unknown",), unsure=frozenset({"org/x"}))
UNANSWERED = Standing(("unknown",), unsure=frozenset({"org/x"}), why="conflict")
UNDECIDED = Standing(("undecided",), why="conflict")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (UNKNOWN, Standing(("allowed",))),
        (UNKNOWN, Standing(("denied",))),
        (UNKNOWN, UNDECIDED),
        (UNKNOWN, UNANSWERED),
        (UNANSWERED, Standing(("hidden",))),
        (UNANSWERED, Standing(("allowed",))),
    ],
)
def test_what_is_unknown_on_one_side_differs_from_nothing_and_cannot_be_told(one: Standing, other: Standing) -> None:
    (question,) = traffic([{"decisions": [{"document": documents()[0], "cause": "late"}]}]).questions
    assert differences(question, one, other) == [Unknown(("org/x",))]
    assert differences(question, other, one) == [Unknown(("org/x",))]


def test_that_an_item_is_there_is_known_also_where_its_refusal_is_not() -> None:
    (question,) = traffic([{"decisions": [{"document": documents()[0], "cause": "late"}]}]).questions
    hidden = Standing(("hidden",))
    item = question.items[0]
    assert differences(question, hidden, UNKNOWN) == [Difference("newly-shown", (), item, "hidden", "unknown")]
    assert differences(question, UNKNOWN, hidden) == [Difference("newly-hidden", (), item, "unknown", "hidden")]

"""Recorded traffic against a changed policy set: all that changes is told, nothing else is, and no stand-in is judged."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.lifecycle.recorded import Reading, records
from gateway.lifecycle.replay.declared import put
from gateway.lifecycle.replay.policy import Policy, policy
from gateway.lifecycle.replay.run import Report, replayed
from gateway.lifecycle.replay.traffic import Traffic, traffic
from gateway.lifecycle.ruleset import OF_EXCEPTIONS, OF_FRAME
from gateway.model import JsonObject
from gateway.policy.extract.declared import declarations
from tests.lifecycle.traffic import decision, source, written
from tests.policies.demo import asked, everything, pinned, resource
from tools.binaries import find

UPDATE = [resource("tool", "crm", "update_customer")]
SEARCH = [resource("tool", "crm", "search_customers")]
EXPORT = [resource("tool", "crm", "export_customers")]
MAIL = {"customer_id": 7, "email": "ada@example.com"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pinned(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def opa() -> str:
    return find("opa")


def changed(folder: Path, file: str, old: str, new: str) -> Path:
    candidate = pinned(folder)
    text = (candidate / file).read_text()
    assert text.count(old) == 1
    (candidate / file).write_text(text.replace(old, new))
    return candidate


def call(groups: list[str], items: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    return asked(groups, items, "request", arguments=arguments)


async def recorded(opa: str, live: Path, documents: Sequence[dict[str, Any]], stand_ins: Sequence[str] = ()) -> Traffic:
    async with policy(opa, source(live)) as now:
        decisions = [await decision(now, document, number, stand_ins) for number, document in enumerate(documents)]
    return traffic({"decisions": [one]} for one in decisions)


async def compared(opa: str, found: Traffic, candidate: Path, base: Path | None = None) -> Report:
    async with policy(opa, source(candidate)) as new:
        if base is None:
            return await replayed(found, new, None)
        async with policy(opa, source(base)) as old:
            return await replayed(found, new, old)


def replay(opa: str, live: Path, candidate: Path, documents: Sequence[dict[str, Any]], **how: Any) -> Report:
    async def main() -> Report:
        found = await recorded(opa, live, documents, how.get("stand_ins", ()))
        return await compared(opa, found, candidate, how.get("base"))

    return asyncio.run(main())


def kinds(report: Report) -> dict[str, int]:
    return {kind: count for kind, count in report.kinds.items() if count}


def test_a_lifted_refusal_is_newly_allowed_by_its_rule(opa: str, live: Path, tmp_path: Path) -> None:
    candidate = changed(tmp_path, "mcp/servers/crm/changes.rego", '"account_managers", "crm_admins"', '"analysts", "crm_admins"')
    asked_then = [call(["analysts"], UPDATE, **MAIL), call(["account_managers"], UPDATE, **MAIL), call(["analysts"], SEARCH)]
    report = replay(opa, live, candidate, asked_then)
    assert (report.replayed, report.asked, report.differing) == (3, 3, 2)
    assert dict(report.by_rule) == {
        ("newly-allowed", "servers/crm/changes account_managers_only"): 1,
        ("newly-denied", "servers/crm/changes account_managers_only"): 1,
    }
    assert kinds(report) == {"newly-allowed": 1, "newly-denied": 1}
    assert dict(report.by_subject) == {(kind, "https://id.example.com alice@example.com"): 1 for kind in kinds(report)}
    example = report.examples["newly-denied", "servers/crm/changes account_managers_only"][0]
    assert (example.question.decision_id, example.difference.before, example.difference.after) == (
        "d1",
        "allowed",
        "denied (servers/crm/changes account_managers_only)",
    )


def test_a_list_tells_what_is_newly_hidden_and_shown(opa: str, live: Path, tmp_path: Path) -> None:
    old = '"crm_admins": {"tool": {"search_customers", "customer", "update_customer", "delete_customer"}}'
    candidate = changed(tmp_path, "mcp/servers/crm/access.rego", old, '"crm_admins": {"tool": {"export_customers", "customer"}}')
    report = replay(opa, live, candidate, [asked(["crm_admins"], everything())])
    assert kinds(report) == {"newly-hidden": 1, "newly-shown": 1}
    items = {each.difference.item for examples in report.examples.values() for each in examples}
    hidden, shown = {"crm__search_customers", "crm__update_customer", "crm__delete_customer"}, {"crm__export_customers"}
    assert items == hidden | shown
    assert {rule for _, rule in report.by_rule} == {"servers/crm/access (allow)"}


def test_a_call_that_becomes_invisible_is_newly_hidden_and_newly_denied(opa: str, live: Path, tmp_path: Path) -> None:
    candidate = changed(tmp_path, "mcp/servers/crm/access.rego", '"engineers": {"tool": {"search_customers"}},', "")
    report = replay(opa, live, candidate, [call(["engineers"], SEARCH, query="x")])
    assert kinds(report) == {"newly-denied": 1, "newly-hidden": 1}


def test_a_changed_duty_is_told_with_its_rule(opa: str, live: Path, tmp_path: Path) -> None:
    candidate = changed(tmp_path, "mcp/servers/crm/contacts.rego", r"`[A-Za-z0-9._%+-]+@example\.com`", r"`.+@example\.org`")
    report = replay(opa, live, candidate, [call(["analysts"], SEARCH, query="x")])
    assert dict(report.by_rule) == {("changed-duties", "servers/crm/contacts foreign_address"): 1}


def test_a_facts_change_is_replayed_like_a_rules_change(opa: str, live: Path, tmp_path: Path) -> None:
    blocks = [{"what": "backend", "backend": "crm", "until_ns": 2_000_000_000_000_000_000, "reason": "broken in"}]
    report = replay(opa, live, pinned(tmp_path, blocks=blocks), [call(["analysts"], SEARCH, query="x")])
    assert dict(report.by_rule)[("newly-hidden", "facts/blocks (hide)")] == 1


def test_equal_questions_are_asked_once_and_all_counted(opa: str, live: Path, tmp_path: Path) -> None:
    candidate = changed(tmp_path, "mcp/servers/crm/access.rego", '"engineers": {"tool": {"search_customers"}},', "")
    one = call(["engineers"], SEARCH, query="x")
    later = {**one, "context": {**one["context"], "time_ns": one["context"]["time_ns"] + 20_000_000_000}}
    report = replay(opa, live, candidate, [one, one, {**one, "exchange": {"decision_id": "other"}}, later])
    assert (report.replayed, report.asked, report.kinds["newly-denied"]) == (4, 2, 4)


# --- what a stand-in stood for is not guessed --------------------------------------------------------------------------


def test_a_changed_rule_that_judges_a_stand_in_is_not_told_either_way(opa: str, live: Path, tmp_path: Path) -> None:
    candidate = changed(tmp_path, "mcp/servers/crm/changes.rego", r"`^[^@\s]+@[^@\s]+\.[^@\s]+$`", r"`^[^@\s]+@example\.com$`")
    document = call(["account_managers"], UPDATE, customer_id=7, email="qzx@wvutsrq.kjh")
    with_base = replay(opa, live, candidate, [document], stand_ins=["/arguments/email"], base=live)
    assert (kinds(with_base), with_base.unknown) == ({}, 1)
    assert dict(with_base.unknown_by_rule) == {"servers/crm/changes": 1}
    without = replay(opa, live, candidate, [document], stand_ins=["/arguments/email"])
    assert (kinds(without), without.unknown) == ({}, 1)
    assert dict(without.unknown_by_rule) == {"servers/crm/changes": 1}  # the export rule takes another argument


def test_a_refusal_that_hangs_on_no_stand_in_is_certain(opa: str, live: Path, tmp_path: Path) -> None:
    candidate = changed(tmp_path, "mcp/servers/crm/changes.rego", '{"account_managers", "crm_admins"}', '{"crm_admins"}')
    document = call(["account_managers"], UPDATE, customer_id=7, email="qzx@wvutsrq.kjh")
    report = replay(opa, live, candidate, [document], stand_ins=["/arguments/email"], base=live)
    assert dict(report.by_rule) == {("newly-denied", "servers/crm/changes account_managers_only"): 1}
    assert report.unknown == 0


def test_an_unchanged_rule_keeps_what_it_said_of_the_real_value(opa: str, live: Path, tmp_path: Path) -> None:
    candidate = changed(tmp_path, "mcp/servers/crm/access.rego", '"engineers": {"tool": {"search_customers"}},', "")

    async def main() -> Report:
        async with policy(opa, source(live)) as now:  # the real value was refused, and its stand-in would not be
            one = await decision(now, call(["account_managers"], UPDATE, customer_id=7, email="nonsense"))
        one["document"]["arguments"]["email"] = "qzx@wvutsrq.kjh"
        return await compared(opa, traffic([{"decisions": [one | {"stand_ins": ["/arguments/email"]}]}]), candidate, live)

    report = asyncio.run(main())
    assert (kinds(report), report.unknown, report.replayed) == ({}, 0, 1)


# --- what a set reads out of arguments ---------------------------------------------------------------------------------


def reading(folder: Path, *, roots: Sequence[str] = ()) -> Path:
    """Policies under which a search names a file, that has to be inside `roots`; none: nothing is declared."""
    made = pinned(folder)
    path = made / "mcp/facts/data.yaml"
    told = yaml.safe_load(path.read_text())
    if roots:
        told["items"]["crm"]["tool"]["search_customers"]["extract"] = {"query": {"kind": "path", "roots": [*roots]}}
    path.write_text(yaml.safe_dump(told))
    (made / "mcp/servers/crm/inside.rego").write_text(INSIDE)
    return made


INSIDE = """package mcp.servers.crm.inside

import data.mcp.lib.extracted
import data.mcp.lib.finding

# METADATA
# title: only files inside
# custom: {code: outside}
deny contains finding.refusal(rego.metadata.rule()) if {
	some path in extracted.paths
	not path.inside
}
"""


ANSWERED: JsonObject = {"decision_id": "d", "phase": "request", "stand_ins": ["/arguments/query"], "answer": {}}


def searched(path: str, inside: bool | None) -> dict[str, Any]:
    found = {"extracted": {"paths": [{"argument": "query", "at": "/query", "path": path, "absolute": True, "inside": inside}]}}
    return call(["analysts"], SEARCH, query=path) | (found if inside is not None else {})


def test_a_set_hears_what_its_own_facts_declare(opa: str, tmp_path: Path) -> None:
    wide, narrow = reading(tmp_path / "wide", roots=["/srv"]), reading(tmp_path / "narrow", roots=["/srv/a"])
    documents = [searched("/srv/a/x", True), searched("/srv/b/x", True)]
    refused = {("newly-denied", "servers/crm/inside outside"): 1}
    assert dict(replay(opa, wide, narrow, documents).by_rule) == refused
    assert dict(replay(opa, wide, narrow, documents, base=wide).by_rule) == refused
    undeclared = reading(tmp_path / "undeclared")
    assert kinds(replay(opa, wide, undeclared, [searched("/etc/passwd", False)])) == {"newly-allowed": 1}
    newly = replay(opa, undeclared, wide, [searched("/etc/passwd", None), searched("/srv/a/x", None)])
    assert dict(newly.by_rule) == refused


@pytest.mark.parametrize(("under", "declares"), [("5f1ae4a3b7c90d12", True), ("v1.5f1ae4a3b7c90d12", True), ("v1.5f1ae4", False)])
def test_what_the_recorded_set_declared_is_known_whatever_it_was_labelled(under: str, declares: bool) -> None:
    extract: JsonObject = {"query": {"kind": "path", "roots": ["/srv"]}}
    facts: JsonObject = {"items": {"crm": {"tool": {"search_customers": {"extract": extract}}}}}
    told = declarations(facts, "5f1ae4a3b7c90d12")
    (question,) = traffic([{"decisions": [{**ANSWERED, "revision": under, "document": searched("/qrx/x", True)}]}]).questions
    document = msgspec.json.decode(question.document)["input"]
    again = put(question, document, told, {"5f1ae4a3b7c90d12": told})
    assert (again.document["extracted"] == document["extracted"], again.question == question) == (declares, declares)


def test_what_cannot_be_read_again_for_stand_ins_is_not_told(opa: str, tmp_path: Path) -> None:
    wide, narrow = reading(tmp_path / "wide", roots=["/srv"]), reading(tmp_path / "narrow", roots=["/srv/a"])
    document, marks = searched("/qrx/b/x", True), ["/arguments/query", "/extracted/paths/*/path"]
    otherwise = replay(opa, wide, narrow, [document], stand_ins=marks, base=wide)
    assert (kinds(otherwise), otherwise.unknown) == ({}, 1)
    assert dict(otherwise.unknown_by_rule) == {"servers/crm/inside": 1, "org/extraction": 1}
    same = replay(opa, wide, wide, [document], stand_ins=marks, base=wide)
    assert (kinds(same), same.unknown) == ({}, 0)


# --- nothing changed: nothing told -------------------------------------------------------------------------------------

GROUPS = st.lists(st.sampled_from(["analysts", "account_managers", "crm_admins", "engineers", "reviewers", "sre"]), max_size=3)
VALUES = st.one_of(
    st.text(max_size=12), st.integers(), st.booleans(), st.none(), st.just("ada@example.com"), st.just("4111 1111")
)
ARGUMENTS = st.dictionaries(st.sampled_from(["email", "query", "region", "service", "environment", "x"]), VALUES, max_size=4)
ITEMS = st.sampled_from(everything())
CALLS = st.builds(lambda groups, item, arguments: call(groups, [item], **arguments), GROUPS, ITEMS, ARGUMENTS)
LISTS = st.builds(asked, GROUPS, st.lists(ITEMS, min_size=1, max_size=12))
RESULTS = st.builds(
    lambda groups, item, arguments, result: asked(groups, [item], "result", arguments=arguments, result=result),
    GROUPS,
    ITEMS,
    ARGUMENTS,
    ARGUMENTS,
)


def test_replay_of_an_unchanged_policy_reports_nothing(opa: str, live: Path) -> None:
    loop = asyncio.new_event_loop()
    entered = policy(opa, source(live))
    now: Policy = loop.run_until_complete(entered.__aenter__())

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.one_of(CALLS, LISTS, RESULTS), min_size=1, max_size=8), st.booleans(), st.booleans())
    def unchanged(documents: list[dict[str, Any]], with_base: bool, stand_ins: bool) -> None:
        async def main() -> Report:
            marks = ["/arguments/email", "/result/x"] if stand_ins else []
            decisions = [await decision(now, document, number, marks) for number, document in enumerate(documents)]
            return await replayed(traffic({"decisions": [one]} for one in decisions), now, now if with_base else None)

        report = loop.run_until_complete(main())
        assert (kinds(report), report.unknown, report.replayed) == ({}, 0, len(documents))

    try:
        unchanged()
    finally:
        loop.run_until_complete(entered.__aexit__(None, None, None))
        loop.close()


# --- the audit as it is ------------------------------------------------------------------------------------------------


def test_what_was_not_kept_is_counted_by_its_reason() -> None:
    lost: JsonObject = {"decision_id": "a", "phase": "request"}
    large: JsonObject = {**lost, "decision_id": "b", "document": {"omitted": {"bytes": 1, "sha256": "0"}}}
    other: JsonObject = {**lost, "decision_id": "c", "document": {"version": 2}}
    broken: JsonObject = {**lost, "decision_id": "d", "document": {"version": 1}}
    found = traffic([{"decisions": [lost, large]}, {"decisions": [other, broken]}, {"type": "start"}])
    reasons = {"not recorded": 1, "over the size limit": 1, "of another contract version": 1, "unreadable": 1}
    assert (found.decisions, dict(found.missing), found.questions) == (4, reasons, [])


def test_a_list_answered_from_memory_counts_at_the_question_it_was_answered_by() -> None:
    whole: JsonObject = {"decision_id": "a", "phase": "list", "document": asked([], SEARCH), "answer": {}}
    named: JsonObject = {"decision_id": "a", "phase": "list", "revision": "r"}
    found = traffic([{"decisions": [named]}, {"decisions": [whole]}, {"decisions": [named]}])
    assert [each.times for each in found.questions] == [3]
    assert (found.decisions, dict(found.missing)) == (3, {})


def test_a_line_that_cannot_be_read_is_counted_and_half_a_last_one_is_not(tmp_path: Path) -> None:
    folder = written(tmp_path / "audit", [{"decision_id": "a"}], more=["no json", '{"type": "stop"}'])
    with next(folder.iterdir()).open("a") as file:
        file.write('{"type": "exch')
    read = Reading()
    assert [each["type"] for each in records(folder, read)] == ["exchange", "stop"]
    assert (read.files, read.lines, read.bad_lines) == (1, 3, 1)


# --- what OPA is not asked again ---------------------------------------------------------------------------------------


def test_questions_that_differ_only_in_what_no_rule_reads_are_answered_once_and_alike(opa: str, live: Path) -> None:
    async def main() -> tuple[int, int]:
        async with policy(opa, source(live)) as now:
            documents = [call(["analysts"], SEARCH, query="x"), call(["analysts"], SEARCH, query="y", page=2)]
            other = call(["analysts"], SEARCH, query="x")
            documents.append(other | {"subject": other["subject"] | {"id": "bob@example.com"}})
            documents.append(call(["engineers"], SEARCH, query="x"))
            found = traffic([{"decisions": [await decision(now, each, number)]} for number, each in enumerate(documents)])
            report = await replayed(found, now, None)
            assert kinds(report) == {}
            return report.asked, report.evaluated

    asked_then, evaluated = asyncio.run(main())
    assert (asked_then, evaluated < asked_then) == (4, True)


def test_with_a_block_it_matters_who_asks(opa: str, tmp_path: Path) -> None:
    blocks = [{"what": "subject", "issuer": "https://id.example.com", "subject": "bob@example.com", "reason": "left"}]
    blocked = pinned(tmp_path, blocks=blocks)
    first = call(["analysts"], SEARCH, query="x")
    second = first | {"subject": first["subject"] | {"id": "bob@example.com"}}
    report = replay(opa, blocked, blocked, [first, second])
    assert (kinds(report), report.evaluated) == ({}, 2)


def test_the_shipped_entrypoint_reads_no_more_than_replay_knows_of(opa: str, tmp_path: Path) -> None:
    altered = pinned(tmp_path)
    entry = altered / "mcp/authz/shape.rego"
    entry.write_text(entry.read_text() + "\n# not the shipped one\n")

    async def main() -> set[tuple[str, ...]]:
        async with policy(opa, source(altered)) as now:
            return set(now.rules.hears)

    by_type_alone = {("arguments",), ("result",), ("subject",), ("context", "time_ns")}
    assert asyncio.run(main()) == {*OF_FRAME, *OF_EXCEPTIONS, *by_type_alone}

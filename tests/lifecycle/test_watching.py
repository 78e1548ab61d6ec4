"""`policy shadow report` and `policy observe`: what the audit says of what is not in force, for a reader and for a machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.adapters.audit.files import file_name
from gateway.cli import app
from gateway.lifecycle import observe, shadow
from gateway.lifecycle.recorded import Reading

NOON_NS = 1_790_000_000_000_000_000
ADA = {"type": "user", "issuer": "https://id.example.com", "id": "ada", "authentication": "jwt", "groups": [], "scopes": []}
BEN = {**ADA, "id": "ben"}
REFUSAL = {"rule": "org/destructive", "code": "destructive", "message": "not you"}


def differing(kind: str, rules: Sequence[str], *, subject: Any = ADA, candidate: str = "new", item: str = "crm__act") -> Any:
    difference = {"kind": kind, "rules": [*rules], "items": [item], "count": 1}
    return {
        "type": "shadow",
        "method": "tools/call",
        "phase": "request",
        "surface": "default",
        "exchange_id": "x",
        "decision_id": f"d-{kind}",
        "revision": "live",
        "candidate": candidate,
        "time_ns": NOON_NS,
        "subject": subject,
        "differences": [difference],
    }


def period(candidate: str, *, same: int, different: int) -> Any:
    compared = {"same": same, "different": different, "failed": 2, "dropped": 1}
    return {"type": "shadow_period", "candidate": candidate, "compared": compared, "unwritten": 0, "time_ns": NOON_NS}


def exchange(type: str, observed: Any, *, subject: Any = ADA, **members: Any) -> Any:
    decisions = [{"decision_id": f"d-{type}", "phase": "request", "revision": "live"}]
    item = {"type": "tool", "id": "crm__delete", "public_name": "crm__delete"}
    said = {"observed": observed} if observed else {}
    return {
        "type": type,
        "method": "tools/call",
        "time_ns": NOON_NS,
        "subject": subject,
        "decisions": decisions,
        "item": item,
        **said,
        **members,
    }


def audit(folder: Path, *records: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / file_name("audit", begun_ns=NOON_NS, writer="0" * 32, sequence=1)).write_text(
        "".join(json.dumps(each) + "\n" for each in records)
    )
    return folder


def asked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["policy", *arguments])
    return result.exit_code, result.output


SHADOWED = (
    differing("newly-allowed", ["org/reviewed (hide)"], candidate="old"),
    differing("newly-denied", ["org/destructive destructive"]),
    differing("newly-denied", ["org/destructive destructive"], subject=BEN, item="crm__delete"),
    differing("newly-shown", []),
    period("new", same=96, different=3),
)


def test_the_report_tells_of_the_newest_candidate_by_rule_with_examples(tmp_path: Path) -> None:
    status, shown = asked("shadow", "report", "--audit", str(audit(tmp_path / "audit", *SHADOWED)))
    assert status == 0, shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["newly-denied", "org/destructive", "destructive", "2"] in rows
    assert ["newly-shown", "(nobody", "grants", "or", "refuses", "it)", "1"] in rows
    assert "candidate new, compared with live: 99 decisions, 3 different" in shown
    assert "1 were not compared for lack of room, 2 since the candidate did not answer in time" in shown
    assert "    ben (https://id.example.com), tools/call crm__delete\n" in shown and "decision d-newly-denied\n" in shown
    assert "newly-allowed" not in shown  # that was another candidate


def test_the_report_counts_by_subject_and_item_and_for_a_machine(tmp_path: Path) -> None:
    folder = str(audit(tmp_path / "audit", *SHADOWED))
    _, shown = asked("shadow", "report", "--audit", folder, "--by", "subject")
    assert ["newly-denied", "ben", "(https://id.example.com)", "1"] in [line.split() for line in shown.splitlines()]
    status, told = asked("shadow", "report", "--audit", folder, "--json")
    said = json.loads(told)
    assert (status, said["kinds"]["newly-denied"], said["kinds"]["newly-shown"]) == (0, 2, 1)
    assert said["by_item"][0] == {"kind": "newly-denied", "item": "crm__act", "decisions": 1}
    assert said["compared"] == {"same": 96, "different": 3, "failed": 2, "dropped": 1}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--fail-on", "newly-allowed"], 0),
        (["--fail-on", "newly-allowed,newly-denied"], 1),
        (["--candidate", "old", "--fail-on", "newly-allowed"], 1),
        (["--candidate", "older"], 2),
        (["--fail-on", "worse"], 2),
    ],
)
def test_the_exit_code_is_the_answer(tmp_path: Path, arguments: list[str], status: int) -> None:
    folder = str(audit(tmp_path / "audit", *SHADOWED))
    assert asked("shadow", "report", "--audit", folder, *arguments)[0] == status


def test_where_there_is_no_audit_it_is_said(tmp_path: Path) -> None:
    for command in (["shadow", "report"], ["observe"]):
        status, said = asked(*command, "--audit", str(tmp_path))
        assert status == 2 and "there is no file of the audit" in said


OBSERVED = (
    exchange("intent", {"org/destructive": {"deny": [REFUSAL]}}),
    exchange("outcome", None, outcome="ok"),
    exchange("exchange", {"org/destructive": {"deny": [REFUSAL]}}, subject=BEN, outcome="denied"),
    exchange("listing", {"org/new": {"hide": [0, 3]}}, outcome="ok"),
    exchange("outcome", {"org/results": {"withhold": [{**REFUSAL, "code": "secret"}]}}, outcome="ok"),
    exchange("intent", {"org/kept": {"oblige": [{"rule": "org/kept", "type": "audit", "code": "all", "properties": {}}]}}),
    exchange("intent", {"omitted": {"bytes": 7, "sha256": "0" * 64}}),
)


def test_observe_tells_what_each_rule_would_have_done_and_how_it_is_switched_on(tmp_path: Path) -> None:
    status, shown = asked("observe", "--audit", str(audit(tmp_path / "audit", *OBSERVED)))
    assert status == 0, shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["org/destructive", "would", "refuse", "destructive", "2", "1", "2"] in rows  # in two, in one nothing else refused
    assert ["org/new", "would", "hide", "1", "1", "1"] in rows
    assert ["org/results", "would", "withhold", "secret", "1", "1", "1"] in rows
    assert ["org/kept", "would", "owe", "all", "1", "1", "1"] in rows
    assert "  rules: {org/destructive: {enforcement: enforce}}" in shown
    assert "1 exchanges whose observations were too large" in shown
    assert '"not you":\n    ada (https://id.example.com), tools/call crm__delete\n' in shown


def test_observe_tells_of_one_rule_and_for_a_machine(tmp_path: Path) -> None:
    folder = str(audit(tmp_path / "audit", *OBSERVED))
    status, told = asked("observe", "--audit", folder, "org/destructive", "--json")
    (finding,) = json.loads(told)["findings"]
    assert status == 0
    assert (finding["rule"], finding["verb"], finding["exchanges"], finding["new"]) == ("org/destructive", "deny", 2, 1)
    assert [each["exchanges"] for each in finding["subjects"]] == [1, 1]
    assert finding["example"]["decision_id"] == "d-intent"


def test_a_rule_that_would_have_done_nothing_is_told_as_such(tmp_path: Path) -> None:
    status, shown = asked("observe", "--audit", str(audit(tmp_path / "audit", *OBSERVED)), "org/silent")
    assert status == 0
    assert shown.splitlines()[:3] == [
        "org/silent would have done nothing in 5 exchanges",
        "if there is such a rule, and it does not observe yet, that needs",
        "  rules: {org/silent: {enforcement: observe}}",
    ]


VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(["", "newly-denied", "deny", "omitted", "d1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "rules", "items", "deny", "hide", "oblige", "code", "id", "issuer"]), inner)
    ),
    max_leaves=12,
)
MEMBERS = ("subject", "differences", "compared", "observed", "decisions", "item", "candidate", "time_ns", "unwritten", "cause")
RECORDS = st.builds(
    lambda type, members: {**members, "type": type},
    st.sampled_from(["shadow", "shadow_period", "intent", "listing"]),
    st.dictionaries(st.sampled_from(MEMBERS), VALUES),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(RECORDS, max_size=3))
def test_records_of_any_shape_end_no_report(records: list[Any]) -> None:
    candidate = shadow.newest_candidate(records)
    for found in (candidate, "d1"):
        told = shadow.report(records, found)
        assert json.dumps(shadow.as_json(told, Reading()))
        shadow.show(told, Reading(), "rule")
    watched = observe.report(records)
    assert json.dumps(observe.as_json(watched, Reading()))
    observe.show(watched, Reading(), None)

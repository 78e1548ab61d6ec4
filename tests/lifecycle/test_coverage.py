"""What the audit tells of rules: who spoke, who never did, and whose refusals nobody would have missed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.lifecycle.coverage import Spoken, coverage
from gateway.lifecycle.replay.policy import policy
from tests.lifecycle.traffic import source, written
from tests.policies.demo import pinned
from tools.binaries import find

ASKED = [{"decision_id": "d", "phase": "request"}]
A = {"rule": "org/destructive", "code": "destructive_tool", "message": "no"}
B = {"rule": "servers/crm/changes", "code": "account_managers_only", "message": "no"}
REFUSED_BY_BOTH: dict[str, Any] = {
    "type": "exchange",
    "time_ns": 30,
    "decisions": ASKED,
    "granted_by": ["servers/crm/access"],
    "denials": [A, B],
}
REFUSED_BY_ONE = {"type": "exchange", "time_ns": 40, "decisions": ASKED, "granted_by": ["servers/crm/access"], "denials": [B]}
LISTED = {
    "type": "listing",
    "time_ns": 10,
    "decisions": ASKED,
    "items": {"shown": 0, "hidden": 2, "hidden_by": {"org/reviewed": 2}},
}
WITHHELD = {"type": "outcome", "time_ns": 50, "decisions": ASKED, "denials": [{**A, "rule": "servers/deploy/private_keys"}]}
OWED = {
    "type": "intent",
    "time_ns": 20,
    "decisions": ASKED,
    "duties": [{"rule": "org/audit", "type": "audit", "code": "metadata"}],
}
OBSERVED = {
    "type": "exchange",
    "time_ns": 60,
    "decisions": ASKED,
    "waived": [B],
    "observed": {"org/destructive": {"deny": [A]}, "org/reviewed": {"hide": [0]}},
}
ALL: list[Any] = [LISTED, OWED, REFUSED_BY_BOTH, REFUSED_BY_ONE, WITHHELD, OBSERVED, {"type": "start"}]


def figures(records: list[Any]) -> dict[Spoken, tuple[int, int, int, int, int]]:
    told = coverage(records)
    return {spoken: (t.fired, t.alone, t.observed, t.waived, t.last_ns) for spoken, t in told.tallies.items()}


def test_each_rule_is_counted_by_verb_and_code_with_when_it_spoke_last() -> None:
    assert figures(ALL) == {
        Spoken("servers/crm/access", "allow"): (2, 0, 0, 0, 40),
        Spoken("org/reviewed", "hide"): (1, 0, 1, 0, 60),
        Spoken("org/audit", "oblige", "metadata"): (1, 0, 0, 0, 20),
        Spoken("org/destructive", "deny", "destructive_tool"): (1, 0, 1, 0, 60),
        Spoken("servers/crm/changes", "deny", "account_managers_only"): (2, 1, 0, 1, 60),
        Spoken("servers/deploy/private_keys", "withhold", "destructive_tool"): (1, 1, 0, 0, 50),
    }
    assert (coverage(ALL).records, coverage(ALL).first_ns, coverage(ALL).last_ns) == (6, 10, 60)


def test_a_refusal_that_never_came_alone_is_told_with_what_stood_beside_it() -> None:
    (spoken, tally), *others = coverage([*ALL, REFUSED_BY_BOTH]).never_alone()
    assert (spoken, dict(tally.beside), others) == (
        Spoken("org/destructive", "deny", "destructive_tool"),
        {Spoken("servers/crm/changes", "deny", "account_managers_only"): 2},
        [],
    )


def test_a_duty_that_was_owed_counts_where_answers_are_recorded() -> None:
    owed = {"rule": "org/credentials", "type": "redact", "code": "password", "properties": {}}
    told = figures([{"type": "intent", "time_ns": 1, "decisions": [{**ASKED[0], "answer": {"obligations": [owed]}}]}])
    assert told == {Spoken("org/credentials", "oblige", "password"): (1, 0, 0, 0, 1)}


def test_the_command_tells_which_rules_of_a_set_never_fired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA", find("opa"))
    audit = written(tmp_path / "audit", [], more=[json.dumps(each) for each in ALL])
    policies = pinned(tmp_path)
    command = ["policy", "coverage", "--audit", str(audit), "--policies", str(policies)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    silent = {(each["rule"], each["verb"], each.get("code")) for each in told["never_fired"]}

    async def voices() -> set[tuple[str, str, str | None]]:
        async with policy(find("opa"), source(policies)) as now:
            return {(name, each.verb, each.code or None) for name, one in now.rules.packages.items() for each in one.voices}

    spoken = {(each["rule"], each["verb"], each.get("code")) for each in told["rules"]}
    assert silent == {each for each in asyncio.run(voices()) if not each[0].startswith("servers/canary/")} - spoken
    assert {each["rule"] for each in told["not_in_the_set"]} == {"servers/deploy/private_keys"}
    where = {each["rule"]: (each["file"], each["line"]) for each in told["never_fired"]}
    assert where["servers/crm/deletion"] == ("mcp/servers/crm/deletion.rego", 8)
    assert "Never fired" in shown.output
    assert "Never mattered" in shown.output


def test_without_policies_the_command_needs_no_opa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA", str(tmp_path / "none"))
    audit = written(tmp_path / "audit", [], more=[json.dumps(each) for each in ALL])
    shown = CliRunner().invoke(app, ["policy", "coverage", "--audit", str(audit)])
    assert shown.exit_code == 0, shown.output
    assert "6 records with a decision, 1970-01-01 00:00:00" in shown.output


@pytest.mark.parametrize("far_ns", [10**18 * 999, 10**400])
def test_a_record_of_no_time_that_there_is_and_one_that_forges_lines_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far_ns: int
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    forged = {**A, "rule": "::error file=x::y", "code": "no\n::error::z"}
    record = {**REFUSED_BY_ONE, "time_ns": far_ns, "denials": [B, forged]}
    audit = written(tmp_path / "audit", [], more=[json.dumps(record)])
    done = CliRunner().invoke(app, ["policy", "coverage", "--audit", str(audit)])
    assert (done.exit_code, done.exception) == (0, None)
    assert f"1 records with a decision, {far_ns} to {far_ns}" in done.output
    assert not [line for line in done.output.splitlines() if line.lstrip().startswith("::")]


def test_a_rule_that_only_observed_is_told_apart_and_no_name_or_place_is_broken_in_a_hundred_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPA", find("opa"))
    monkeypatch.setenv("COLUMNS", "100")
    audit = written(tmp_path / "audit", [], more=[json.dumps(OBSERVED)])
    monkeypatch.chdir(pinned(tmp_path).parent)
    command = ["policy", "coverage", "--audit", str(audit), "--policies", "policies", "--json"]
    told = json.loads(CliRunner().invoke(app, command).output)
    observed = {(each["rule"], each["verb"]) for each in told["without_effect"]}
    assert observed == {("org/destructive", "deny"), ("org/reviewed", "hide"), ("servers/crm/changes", "deny")}
    assert not observed & {(each["rule"], each["verb"]) for each in told["never_fired"] if each.get("code") != "not_an_address"}
    assert not [each for each in told["never_fired"] if each["rule"].startswith("servers/canary/")]
    shown = CliRunner().invoke(app, command[:-1]).output.splitlines()
    assert [line for line in shown if len(line.rstrip()) > 100] == []
    at = shown.index("org/destructive      deny  destructive_tool  observed 1")
    assert shown[at + 1].startswith("  policies/mcp/org/destructive.rego:20  ")
    for each in told["never_fired"]:
        assert any(line.startswith(f"  policies/{each['file']}:{each['line']}") for line in shown)

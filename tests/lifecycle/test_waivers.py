"""`policy waivers`: what is in force, what has expired, and what of it anybody used, from facts and a written audit."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.lifecycle.waivers import Use, Waiver, Waivers, uses, waivers
from gateway.model import JsonObject
from tests.lifecycle.repositories import copied, replaced

DAY_NS = 86_400 * 10**9
NOW_NS = time.time_ns()
ISSUER = "https://id.example.com"


def fact(subject: str, until_ns: int, *, rule: str = "org/destructive", backend: str = "crm") -> dict[str, Any]:
    return {"rule": rule, "issuer": ISSUER, "subject": subject, "backends": [backend], "until_ns": until_ns}


def line(
    exchange: str, subject: str, time_ns: int, *, type: str = "intent", rule: str = "org/destructive", **more: Any
) -> dict[str, Any]:
    return {
        "type": type,
        "exchange_id": exchange,
        "subject": {"issuer": ISSUER, "id": subject},
        "backend": "crm",
        "time_ns": time_ns,
        "waived": [{"rule": rule, "code": "destructive"}],
        **more,
    }


def waiver(subject: str, until_ns: int, state: Any, used: int = 0, last_ns: int | None = None) -> Waiver:
    return Waiver("org/destructive", ISSUER, subject, ("crm",), until_ns, "", state, used, last_ns)


def test_each_waiver_is_told_with_its_uses_and_a_use_of_none_apart() -> None:
    facts: JsonObject = {"waivers": [fact("ada", 500), fact("bob", 300), fact("eve", 90), fact("ada", 80)]}
    records = [
        line("1", "ada", 60),
        line("1", "ada", 61, type="outcome"),
        line("2", "ada", 85),
        line("3", "bob", 99),
        line("4", "bob", 98),
        line("5", "mia", 50),
        line("6", "bob", 50, backend="deploy"),
        line("7", "eve", 95),
    ]
    assert waivers(facts, records, now_ns=100) == Waivers(
        (
            waiver("bob", 300, "in force", 2, 99),
            waiver("ada", 500, "in force", 2, 85),
            waiver("eve", 90, "expired"),
            waiver("ada", 80, "expired"),
        ),
        (
            Use("org/destructive", ISSUER, "mia", "crm", 50),
            Use("org/destructive", ISSUER, "bob", "deploy", 50),
            Use("org/destructive", ISSUER, "eve", "crm", 95),
        ),
    )


APPROVAL: dict[str, Any] = {
    "issuer": ISSUER,
    "subject": "ada",
    "backend": "crm",
    "tool": "wipe",
    "until_ns": 500,
    "by": "bob",
    "reason": "asked for",
}
RULE = "org/destructive_needs_approval"


def approved(exchange: str, subject: str, time_ns: int, tool: str = "wipe") -> dict[str, Any]:
    duties = [{"rule": RULE, "type": "audit", "code": "approved_in_facts"}, {"rule": "org/audit", "type": "audit", "code": "x"}]
    item = {"type": "tool", "public_name": "x", "name": tool}
    return line(exchange, subject, time_ns, waived=[], duties=duties, item=item)


def test_calls_that_the_facts_approve_are_told_like_waivers_for_one_tool() -> None:
    settings: JsonObject = {"destructive_needs_approval": {"approved": [APPROVAL, {**APPROVAL, "until_ns": 90}]}}
    records = [approved("1", "ada", 95), approved("1", "ada", 96), approved("2", "ada", 97, "drop"), line("3", "ada", 98)]
    reason = "by bob: asked for"
    assert waivers({"waivers": [fact("ada", 400)], "settings": settings}, records, now_ns=100) == Waivers(
        (
            waiver("ada", 400, "in force", 1, 98),
            Waiver(RULE, ISSUER, "ada", ("crm",), 500, reason, "in force", 1, 95, "wipe"),
            Waiver(RULE, ISSUER, "ada", ("crm",), 90, reason, "expired", tool="wipe"),
        ),
        (Use(RULE, ISSUER, "ada", "crm", 97, "drop"),),
    )


def test_an_approval_is_shown_with_its_tool(root: Path) -> None:
    told = root / "policies/mcp/facts/settings/destructive_needs_approval/data.json"
    told.parent.mkdir(parents=True)
    told.write_text(json.dumps({"approved": [{**APPROVAL, "until_ns": NOW_NS + DAY_NS // 2}]}))
    first = json.loads(ran(root, "--json").stdout)["waivers"][0]
    assert (first["rule"], first["tool"], first["reason"]) == (RULE, "wipe", "by bob: asked for")
    assert "crm/wipe" in ran(root).stdout.replace("\n", "")


@pytest.mark.parametrize(
    "record",
    [
        line("1", "ada", 1, type="listing"),
        line("1", "ada", 1, waived=[], duties=[{"rule": RULE, "type": "audit", "code": "approved_in_facts"}]),
        line("1", "ada", 1, waived=[], duties={"omitted": 3}),
        line("1", "ada", 1, waived={"omitted": 3}),
        line("1", "ada", 1, waived=["text"]),
        {**line("1", "ada", 1), "subject": "text"},
        {"type": "intent", "waived": [{"rule": "org/x"}]},
        {},
    ],
)
def test_record_that_tells_of_no_use_counts_for_none(record: dict[str, Any]) -> None:
    assert list(uses([record])) == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = copied(tmp_path / "repository")
    data = [fact("ada", NOW_NS + DAY_NS), fact("bob", NOW_NS - DAY_NS), fact("mia", NOW_NS + 2 * DAY_NS)]
    data[0]["reason"] = "ticket 7"
    replaced(root / "policies/mcp/facts/data.yaml", "waivers: []", f"waivers: {json.dumps(data)}")
    audit = tmp_path / "audit"
    audit.mkdir()
    lines = [json.dumps(line("1", "ada", NOW_NS - 5)), "no JSON", json.dumps(line("2", "gone", NOW_NS - 4))]
    (audit / "audit-20260101T000000000000Z-0123456789abcdef0123456789abcdef-000000000001.jsonl").write_text(
        "\n".join(lines) + "\n"
    )
    return root


def ran(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["policy", "waivers", *map(str, arguments)])


def test_table_and_json_say_the_same(root: Path, tmp_path: Path) -> None:
    done = ran(root, "--audit", tmp_path / "audit", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [(one["subject"], one["state"], one["used"]) for one in told["waivers"]] == [
        ("ada", "in force", 1),
        ("mia", "in force", 0),
        ("bob", "expired", 0),
    ]
    assert (told["waivers"][0]["reason"], told["waivers"][0]["last_ns"]) == ("ticket 7", NOW_NS - 5)
    assert [one["subject"] for one in told["unexplained"]] == ["gone"]
    assert told["audit"] == {"files": 1, "lines": 3, "bad_lines": 1}
    shown = ran(root, "--audit", tmp_path / "audit").stdout
    assert "2 in force, 1 expired; 3 lines of audit, 1 of them unreadable" in shown
    assert "used, and in none of these facts any more" in shown


def test_facts_that_live_apart_need_no_rules(root: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    shutil.copytree(root / "policies/mcp/facts", facts)
    whole = json.loads(ran(root, "--json").stdout)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = ran(empty, "--facts", facts, "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, whole)
    (facts / "data.yaml").write_text((facts / "data.yaml").read_text().replace('"reason"', '"reasn"'))
    done = ran(empty, "--facts", facts)
    assert (done.exit_code, "waivers.0.reasn is not known; did you mean 'reason'?" in done.stderr) == (2, True)


def test_fail_on_makes_what_it_names_an_exit_code(root: Path, tmp_path: Path) -> None:
    audit = ("--audit", tmp_path / "audit")
    codes = [ran(root, *more).exit_code for more in (("--fail-on", "expired"), ("--fail-on", "unused", *audit), audit)]
    assert codes == [1, 1, 0]
    done = ran(root, "--fail-on", "unused")
    assert (done.exit_code, done.stderr) == (2, "--fail-on unused: only the audit tells; name its folder with --audit\n")
    done = ran(root, "--fail-on", "old")
    assert (done.exit_code, done.stderr) == (2, "--fail-on old: there is no such kind; there are expired, unused\n")


def test_facts_that_are_not_right_and_an_audit_that_is_not_there_are_told(root: Path, tmp_path: Path) -> None:
    done = ran(root, "--audit", tmp_path)
    assert (done.exit_code, done.stderr) == (
        2,
        f"{tmp_path}: there is no file of the audit (audit-….jsonl) in this folder\n",
    )
    facts = root / "policies/mcp/facts/data.yaml"
    facts.write_text(facts.read_text().replace('"reason"', '"reasn"'))
    done = ran(root)
    assert done.exit_code == 2
    assert "waivers.0.reasn is not known; did you mean 'reason'?" in done.stderr

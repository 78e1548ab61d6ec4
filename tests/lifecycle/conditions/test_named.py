"""Rules of which more is left than anybody reads: both commands tell them by their name, and claim no way out of them."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.lifecycle.conditions import formula, terms
from gateway.lifecycle.conditions.words import words
from gateway.model import JsonObject
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[3]
DECLARED = "{statement: {kind: sql, dialect: postgres}, page: {kind: path, roots: [/srv]}}"
CALLED = ("--group", "engineers", "--tool", "deploy__services", "--arguments")
PERSONAS = "personas: [{name: engineer, groups: [engineers]}, {name: admin, groups: [engineers, warehouse_admins]}]"

GUESTS = """package mcp.servers.deploy.guests

allow contains position if {
	some position, resource in input.resources
	resource.name == "services"
	_only_guests(input.subject)
}

_only_guests(subject) if {
	count(subject.groups) > 0
	every group in subject.groups {
		startswith(group, "guest_")
	}
}
"""

LONG = """package mcp.org.long

import data.mcp.lib.finding

# METADATA
# title: '"{argument}" is none of those'
# custom: {code: long}
deny contains finding.detailed(rego.metadata.rule(), {"argument": "page"}) if {
	not input.arguments.page in {WORDS}
	not input.arguments.page_of_the_other_of_the_two in {WORDS}
}
"""


@pytest.fixture(autouse=True)
def opa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA", find("opa"))


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """The shipped set, with a tool whose arguments are read, and the library's rule of SQL."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (tmp_path / "schemas").mkdir()
    facts = tmp_path / "policies/mcp/facts"
    text = (facts / "data.yaml").read_text()
    old = "services: {labels: [safe]}"
    assert text.count(old) == 1
    (facts / "data.yaml").write_text(text.replace(old, f"services: {{labels: [safe], extract: {DECLARED}}}"))
    library = ROOT / "library/policies/mcp"
    shutil.copytree(library / "facts/settings/sql_read_only", facts / "settings/sql_read_only")
    shutil.copy(library / "org/sql_read_only.rego", tmp_path / "policies/mcp/org")
    return tmp_path


def told(policies: Path, command: str, *arguments: str, code: int) -> list[str]:
    """The lines, without the one of the revision, which is another where any file is."""
    done = CliRunner().invoke(app, ["policy", command, "--policies", str(policies), *arguments])
    assert done.exit_code == code, done.output
    lines = done.output.replace(str(policies), "ours").splitlines()
    return [line for line in lines if not line.startswith("  policy  ")]


def test_a_call_that_cannot_be_read_is_told_with_no_way_out_in_names_that_nobody_has(ours: Path) -> None:
    assert told(ours, "explain", *CALLED, '{"statement": "explain select 1"}', code=1) == [
        "DENIED  tools/call deploy__services  for user somebody (engineers)",
        '  refused      "statement" must be one SELECT that only reads, of plain tables and with functions',
        "               that the policy knows [sql_writes]",
        "                 ours/policies/mcp/org/sql_read_only.rego:19",
        '               "statement" cannot be read with certainty ("it has a statement that is not',
        '               understood whole"); write it plainly [unreadable_argument]',
        "                 ours/policies/mcp/org/extraction.rego:18",
        "  granted      Who sees what of the deployment tool",
        "                 ours/policies/mcp/servers/deploy/access.rego:9",
        "  allowed with unknown: OPA names nothing in the request that would change it",
    ]


def test_a_way_out_that_was_tried_is_told_also_of_a_rule_that_is_told_by_its_name(ours: Path) -> None:
    assert told(ours, "explain", *CALLED, '{"statement": "delete from x"}', code=1)[-1:] == [
        "  allowed with group warehouse_admins",
    ]


def test_an_allowed_call_hangs_on_rules_by_their_name(ours: Path) -> None:
    assert told(ours, "explain", *CALLED, '{"statement": "select 1", "page": "/srv/a"}', code=0) == [
        "ALLOWED  tools/call deploy__services  for user somebody (engineers)",
        "  granted      Who sees what of the deployment tool",
        "                 ours/policies/mcp/servers/deploy/access.rego:9",
        "  as long as   org/extraction does not refuse and org/sql_read_only does not refuse",
        "  duties       redact 5 times (org/credentials), inspect_result (servers/deploy/private_keys),",
        "               audit (org/audit)",
    ]


def test_a_table_tells_it_by_its_name_and_only_where_something_is_read(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(PERSONAS)
    asked = ("--personas", str(tmp_path / "people.yaml"), "--backend", "deploy")
    (line,) = told(ours, "access", *asked, "--json", code=0)
    when = {(cell["persona"], cell["item"]): cell.get("when") for cell in json.loads(line)["cells"]}
    extraction, sql = "org/extraction does not refuse", "org/sql_read_only does not refuse"
    assert {key: said for key, said in when.items() if said is not None} == {
        ("engineer", "deploy__services"): f"{extraction} and {sql}",
        ("admin", "deploy__services"): extraction,
    }


def test_a_change_of_what_is_read_is_seen_behind_the_name(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(PERSONAS)
    before = shutil.copytree(ours, tmp_path / "before", ignore=shutil.ignore_patterns("before"))
    facts = ours / "policies/mcp/facts/data.yaml"
    facts.write_text(facts.read_text().replace("roots: [/srv]", "roots: [/srv/a]"))
    asked = ("--personas", str(tmp_path / "people.yaml"), "--backend", "deploy", "--against", str(before))
    (line,) = told(ours, "access", *asked, "--json", code=0)
    changes = {(each["kind"], each["persona"], each["item"]) for each in json.loads(line)["changes"]}
    assert changes == {("changed", name, "deploy__services") for name in ("engineer", "admin")}


def test_a_grant_that_has_no_words_sends_its_reader_to_the_rule(ours: Path) -> None:
    (ours / "policies/mcp/servers/deploy/guests.rego").write_text(GUESTS)
    asked = ("--group", "visitors", "--tool", "deploy__services")
    lines = told(ours, "explain", *asked, code=1)
    assert [line for line in lines if "guests" in line] == [
        "               servers/deploy/guests: to some (whom, is read in the rule)",
        "                 ours/policies/mcp/servers/deploy/guests.rego:3",
    ]
    assert [line for line in lines if "data.partial" in line] == []


def test_what_is_too_long_to_be_said_whole_is_told_by_its_name_and_never_cut(ours: Path) -> None:
    words = ", ".join(f'"a_rather_long_word_{number}"' for number in range(12))
    (ours / "policies/mcp/org/long.rego").write_text(LONG.replace("WORDS", words))
    asked = ("--group", "engineers", "--tool", "deploy__service_log", "--arguments", '{"page": "a_rather_long_word_1"}')
    assert [line for line in told(ours, "explain", *asked, code=0) if "as long as" in line] == [
        "  as long as   org/long does not refuse",
    ]


INPUT: JsonObject = {"type": "ref", "value": [{"type": "var", "value": "input"}]}


def test_nothing_is_said_of_an_empty_subject() -> None:
    get: JsonObject = {"type": "ref", "value": [{"type": "var", "value": "object"}, {"type": "string", "value": "get"}]}
    extracted: JsonObject = {"type": "call", "value": [get, INPUT, terms.term("extracted"), terms.term({})]}
    assert list(terms.needed(extracted)) == []
    assert words(formula.Test("eq", (extracted, terms.term({})))) == "extracted (else {}) is {}"
    assert words(formula.Test("given", (INPUT,), holds=False)) == "the whole input is absent"

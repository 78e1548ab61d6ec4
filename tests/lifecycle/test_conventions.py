"""What types do not see is found at its line, and what is right left alone; OPA is asked whether absence undoes a refusal."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from gateway.lifecycle.check import exceptions
from gateway.lifecycle.check.examination import NAMES
from gateway.lifecycle.known import Items
from gateway.policy.structure import Finding
from tests.lifecycle.repositories import copied, invoked, only, replaced
from tools.binaries import find

RULE = "policies/mcp/servers/deploy/sample.rego"
HEAD = """\
# METADATA
# title: A sample
# schemas:
#   - input: schema.input
#   - input.arguments: schema.tools.deploy.deploy
package mcp.servers.deploy.sample

import data.mcp.lib.item

"""
LINE = HEAD.count("\n") + 2  # of the only condition of a rule below


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("shipped"))


def found(root: Path, *conditions: str, verb: str = "deny") -> list[tuple[int, str]]:
    lines = "".join(f"\t{each}\n" for each in conditions)
    (root / RULE).write_text(f'{HEAD}{verb} contains "a" if {{\n{lines}}}\n')
    row = asyncio.run(only(root, "conventions"))["conventions"]
    assert {each.file for each in row.findings} <= {RULE}
    return [(each.line - LINE, each.message) for each in row.findings]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ('input.action.phase == "requests"', 'input.action.phase is never "requests"; it is one of list, request, result'),
        ('"requests" == input.action.phase', 'input.action.phase is never "requests"; it is one of list, request, result'),
        (
            'input.subject.type in {"user", "human"}',
            'input.subject.type is never "human"; it is one of anonymous, user, workload',
        ),
        ('input.resources[0].type != "tools"', 'input.resources.*.type is never "tools"'),
        ('"approval" in input.context.obligations', 'input.context.obligations is never "approval"'),
        ('"sfae" in item.labels(input.resources[0])', 'nothing is labelled "sfae" in the facts; did you mean "safe"?'),
        ('"xyz" in item.labels(input.resources[0])', 'nothing is labelled "xyz" in the facts; there are destructive, personal, '),
    ],
)
def test_a_value_that_cannot_be_is_found(shipped: Path, condition: str, message: str) -> None:
    ((line, said),) = found(shipped, condition)
    assert (line, said[: len(message)]) == (0, message)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            'input.resources[0].name == "deplyo"',
            '"deplyo" is no item of deploy that facts or schemas know; did you mean "deploy"?',
        ),
        ('"restrat" == input.resources[0].name', '"restrat" is no item of deploy that facts or schemas know; did you mean'),
        (
            'input.resources[0].name in {"deploy", "xyz"}',
            '"xyz" is no item of deploy that facts or schemas know; there are deploy',
        ),
        ('item.among(input.resources[0], {"tool": {"deplyo", "restart"}})', '"deplyo" is no item of deploy that facts'),
        ('item.among(input.resources[0], {"prompt": {"deploy"}})', '"deploy" is no item of deploy that facts or schemas know'),
        ('input.resources[0].id == "deploy__deplyo"', '"deploy__deplyo" is no item of deploy that facts'),
        ('input.resources[0].template == "deploy://{x}"', '"deploy://{x}" is no item of deploy that facts'),
        ('input.resources[0].id == "crm__customer"', '"crm__customer" is no item of deploy that facts'),
    ],
)
def test_an_item_that_the_backend_does_not_have_is_found(shipped: Path, condition: str, message: str) -> None:
    ((line, said),) = found(shipped, condition)
    assert (line, said[: len(message)]) == (0, message)


@pytest.mark.parametrize(
    "condition",
    [
        'input.resources[0].name == "deploy"',
        'input.resources[0].name == "incident_report"',
        'startswith(input.resources[0].name, "deplyo_")',
        'input.resources[0].name == "deplyo" # unknown: it comes with the next release',
        'input.resources[0].uri == "deploy://services/web/status"',
        'item.among(input.resources[0], {"resource": {"deploy://services/web/status"}})',
        'item.among(input.resources[0], {"resource_template": {"deploy://services/{service}/status"}})',
        'input.arguments.service == "deplyo"',
        'input.agent.name == "deplyo"',
    ],
)
def test_items_that_there_are_and_patterns_are_left_alone(shipped: Path, condition: str) -> None:
    assert found(shipped, condition) == []


def test_names_of_a_backend_that_nothing_is_known_of_are_not_judged(shipped: Path) -> None:
    place = shipped / "policies/mcp/servers/tickets/closing.rego"
    place.parent.mkdir()
    text = HEAD.replace("servers.deploy.sample", "servers.tickets.closing").replace(
        "#   - input.arguments: schema.tools.deploy.deploy\n", ""
    )
    place.write_text(text + 'deny contains "a" if input.resources[0].name == "close"\n')
    assert found(shipped, "input.arguments_valid") == []
    place.unlink()


def test_the_words_of_the_shipped_rules_are_known_where_nothing_has_them(tmp_path: Path) -> None:
    root = copied(tmp_path)
    facts = root / "policies/mcp/facts/data.yaml"
    facts.write_text(facts.read_text().replace("destructive, personal]", "personal]"))
    assert found(root, '"destructive" in item.labels(input.resources[0])') == []


def test_a_name_is_followed_to_what_it_stands_for(shipped: Path) -> None:
    said = found(shipped, "some position, resource in input.resources", 'resource.type == "tol"', "position == 0")
    assert said == [(1, 'input.resources.*.type is never "tol"; it is one of prompt, resource, resource_template, tool')]


@pytest.mark.parametrize(
    ("condition", "absent"),
    [
        ('not startswith(input.arguments.environment, "x")', "input.arguments.environment"),
        ('not input.arguments.environment in {"staging"}', "input.arguments.environment"),
        ("not is_string(input.arguments.environment)", "input.arguments.environment"),
        ('not lower(input.arguments.environment) == "x"', "input.arguments.environment"),
        ('input.arguments.environment != "x"', "input.arguments.environment"),
        ('not startswith(input.subject.id, "x")', "input.subject.id"),
        ('input.resources[0].fingerprint != "x"', "input.resources.*.fingerprint"),
        ("not data.mcp.facts.groups.x in input.subject.groups", "data.mcp.facts.groups.x"),
    ],
)
def test_a_refusal_that_absence_undoes_is_found_and_opa_agrees(shipped: Path, condition: str, absent: str) -> None:
    assert [(line, said.partition(" is absent")[0]) for line, said in found(shipped, condition)] == [(0, f"where {absent}")]
    bare = {"subject": {"groups": []}, "resources": [{}], "arguments": {}}
    command = ["eval", "--format", "raw", "--stdin-input", "--data", str(shipped / RULE), "data.mcp.servers.deploy.sample.deny"]
    done = subprocess.run([find("opa"), *command], input=json.dumps(bare), capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    "condition",
    [
        'not input.arguments.environment == "x"',
        "not input.arguments.environment",
        'not startswith(object.get(input.arguments, "environment", ""), "x")',
        'not "x" in input.subject.groups',
        'input.action.phase != "list"',
        "not _helper",
        'not "a" in {each | some each in input.arguments.list}',
        'input.arguments.environment != "x" # absent: another rule refuses it',
    ],
)
def test_what_absence_does_not_undo_or_may_undo_is_left_alone(shipped: Path, condition: str) -> None:
    assert found(shipped, condition) == []


def test_a_grant_that_absence_undoes_grants_nothing_and_is_left_alone(shipped: Path) -> None:
    assert found(shipped, 'not startswith(input.subject.id, "x")', verb="allow") == []


def test_a_code_that_two_rules_say_is_found_at_the_second(tmp_path: Path) -> None:
    root = copied(tmp_path)
    replaced(root / "policies/mcp/servers/deploy/scopes.rego", "code: scope_missing", "code: account_managers_only")
    row = asyncio.run(only(root, "conventions"))["conventions"]
    first = "mcp/servers/crm/changes.rego:15"
    wanted = f"the code account_managers_only is said in {first} too; each refusal has its own"
    assert row.findings == (Finding("policies/mcp/servers/deploy/scopes.rego", 16, wanted),)


FACTS = "policies/mcp/facts/data.yaml"


def line_of(root: Path, text: str, file: str = FACTS) -> int:
    return next(number for number, line in enumerate((root / file).read_text().split("\n"), 1) if text in line)


def test_a_label_that_no_rule_reads_is_a_finding_where_it_is_spelt_like_one_that_is(tmp_path: Path) -> None:
    root = copied(tmp_path)
    replaced(root / FACTS, "restart: {labels: [writes]}", "restart: {labels: [write]}")
    row = asyncio.run(only(root, "conventions"))["conventions"]
    said = 'items.deploy.tool.restart.labels.0: no rule reads the label "write"; did you mean "writes"?'
    assert row.findings == (Finding(FACTS, line_of(root, "[write]"), said),)


def test_any_other_label_that_no_rule_reads_is_told_and_no_failure(tmp_path: Path) -> None:
    root = copied(tmp_path)
    replaced(root / FACTS, "restart: {labels: [writes]}", "restart: {labels: [writes, team_blue]}")
    row = asyncio.run(only(root, "conventions"))["conventions"]
    said = 'no rule reads the label "team_blue", which one item has'
    assert (row.state, row.findings) == ("ok", ())
    assert Finding(FACTS, line_of(root, "team_blue"), said) in row.notices
    others = [f"--without={name}" for name in sorted(NAMES - {"conventions"})]
    table = invoked("check", str(root), *others)
    assert table.exit_code == 0
    assert f"{FACTS}:{line_of(root, 'team_blue')}: conventions: note: {said}" in table.stdout
    (told,) = [each for each in json.loads(invoked("check", str(root), "--json", *others).stdout)["checks"] if each["notices"]]
    assert said in {each["message"] for each in told["notices"]}
    assert "::notice file=" in invoked("check", str(root), "--format", "github", *others).stdout


EXCEPTIONS = """\
waivers:
  - {rule: org/a, issuer: i, subject: s, backends: [crm], until_ns: 1863072000000000001}
  - {rule: org/a, issuer: i, subject: s, backends: [crm], until_ns: 1863072000000000000}
blocks:
  - {what: item, backend: crm, type: tool, name: delete_custmer, until_ns: 1900000000000000000}
  - {what: item, backend: crm, type: prompt, name: summary, until_ns: 1900000000000000000}
  - {what: item, backend: cmr, type: tool, name: delete_customer, until_ns: 1900000000000000000}
  - {what: backend, backend: cmr, until_ns: 1900000000000000000}
  - {what: subject, issuer: "https://idp.example ", subject: ada, until_ns: 1900000000000000000}
  - {what: item, backend: crm, type: tool, name: delete_customer, until_ns: 1900000000000000000}
  - {what: key, key: ci, until_ns: 1900000000000000000}
"""


def test_a_kill_switch_that_names_nothing_and_a_waiver_of_years_are_told() -> None:
    file = "mcp/facts/data.yaml"
    items = Items({"crm": {"tool": frozenset({"delete_customer", "search"})}})
    assert exceptions.doubtful({file: EXCEPTIONS}, items, 1_800_000_000 * 10**9) == (
        Finding(
            file,
            5,
            'blocks.0.name is "delete_custmer", no tool of crm that facts or schemas know; did you mean "delete_customer"?',
        ),
        Finding(file, 6, 'blocks.1.name is "summary", no prompt of crm that facts or schemas know; there is none at all'),
        Finding(file, 7, 'blocks.2.backend is "cmr", of which facts and schemas know nothing; did you mean "crm"?'),
        Finding(file, 8, 'blocks.3.backend is "cmr", of which facts and schemas know nothing; did you mean "crm"?'),
        Finding(file, 9, "blocks.4.issuer is 'https://idp.example ', with a blank at an end: it blocks nothing that has none"),
        Finding(file, 2, "waivers.0.until_ns is 2029-01-14, more than two years from now: let it end at its next review"),
    )
    assert exceptions.doubtful({file: "blocks: ["}, items, 0) == exceptions.doubtful({file: "[]"}, items, 0) == ()


def test_a_kill_switch_that_names_nothing_is_a_note_and_no_failure(tmp_path: Path) -> None:
    root = copied(tmp_path)
    block = "{what: item, backend: deploy, type: tool, name: restrat, until_ns: 1900000000000000000}"
    replaced(root / FACTS, "blocks: []", f"blocks: [{block}]")
    row = asyncio.run(only(root, "conventions"))["conventions"]
    said = 'blocks.0.name is "restrat", no tool of deploy that facts or schemas know; did you mean "restart"?'
    assert (row.state, row.findings) == ("ok", ())
    assert Finding(FACTS, line_of(root, "restrat"), said) in row.notices


def test_settings_about_a_label_that_nothing_has_are_found_at_their_line(tmp_path: Path) -> None:
    root = copied(tmp_path)
    matrix = "settings:\n  tools_by_label_and_role:\n    everybody: [safe]\n    groups:\n      crm: [persnal, xyz]\n"
    (root / FACTS).write_text((root / FACTS).read_text() + matrix)
    row = asyncio.run(only(root, "conventions"))["conventions"]
    line = line_of(root, "persnal")
    path = "settings.tools_by_label_and_role.groups.crm"
    assert row.findings == (
        Finding(FACTS, line, f'{path}.0: nothing is labelled "persnal" in the facts; did you mean "personal"?'),
        Finding(
            FACTS,
            line,
            f'{path}.1: nothing is labelled "xyz" in the facts; there are destructive, personal, safe, writes',
        ),
    )


def test_a_mode_of_a_rule_that_does_not_exist_is_found(tmp_path: Path) -> None:
    root = copied(tmp_path)
    replaced(root / FACTS, "  org/destructive:", "  org/destuctive:")
    row = asyncio.run(only(root, "structure"))["structure"]
    said = "rules.org/destuctive: there is no rule 'org/destuctive'; did you mean 'org/destructive'?"
    assert row.findings == (Finding(FACTS, line_of(root, "org/destuctive"), said),)


def test_the_shipped_rules_keep_every_convention(tmp_path: Path) -> None:
    row = asyncio.run(only(copied(tmp_path), "conventions"))["conventions"]
    assert (row.state, row.findings) == ("ok", ())

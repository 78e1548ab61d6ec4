"""Mutation: a condition that no test would miss is shown at its line, and one that a test holds is not."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.lifecycle.check.mutants import mutants
from gateway.lifecycle.check.places import parsed
from gateway.lifecycle.check.report import Row
from gateway.policy.structure import Finding
from tests.lifecycle.repositories import copied, only, replaced
from tools.binaries import find

SCOPES = "policies/mcp/servers/deploy/scopes.rego"
SCOPES_TEST = "policy_tests/mcp/servers/deploy/scopes_test.rego"
RULE = """\
package mcp.org.sample

deny contains "a" if {
	some resource in input.resources
	name := resource.name
	is_string(name)
	name == "x"
	count(input.resources) > 3
	not _fine
	input.action.name == "y" # unmutated: nobody else asks
}

_fine if input.subject.groups == {group | some group in data.groups; group != `z`}
"""


def said(folder: Path, source: str) -> list[tuple[int, str]]:
    path = folder / "sample.rego"
    path.write_text(source)
    tree = asyncio.run(parsed(find("opa"), path))
    assert tree is not None
    return [(each.row, each.said) for each in mutants(source.encode(), tree)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One rule with its tests beside the entrypoint, and the tests of the entrypoint left out: they are slow."""
    copied(tmp_path)
    for server in ("crm",):
        shutil.rmtree(tmp_path / "policies/mcp/servers" / server)
        shutil.rmtree(tmp_path / "policy_tests/mcp/servers" / server)
    for folder, ending in (("policies", ".rego"), ("policy_tests", "_test.rego")):
        for path in (tmp_path / folder / "mcp").glob(f"org/*{ending}"):
            path.unlink()
        for path in (tmp_path / folder / "mcp/servers/deploy").glob(f"*{ending}"):
            if path.name != f"scopes{ending}":
                path.unlink()
    for path in (tmp_path / "policy_tests/mcp").rglob("authz*_test.rego"):
        path.unlink()
    return tmp_path


def checked(root: Path) -> Row:
    return asyncio.run(only(root, "tests", "mutation"))["mutation"]


def test_every_condition_is_changed_in_every_way_and_what_binds_or_guards_is_not(tmp_path: Path) -> None:
    assert said(tmp_path, RULE) == [
        (7, '`"x"` exchanged for another'),
        (7, "`==` turned into `!=`"),
        (7, '`name == "x"` dropped'),
        (7, '`name == "x"` negated'),
        (8, "3 exchanged for 4"),
        (8, "`>` turned into `>=`"),
        (8, "`count(input.resources) > 3` dropped"),
        (8, "`count(input.resources) > 3` negated"),
        (9, "`not _fine` dropped"),
        (9, "`not _fine` without its `not`"),
        (13, "`!=` turned into `==`"),
        (13, "`==` turned into `!=`"),
        (13, "``z`` exchanged for another"),
        (13, "`group != `z`` dropped"),
        (13, "`group != `z`` negated"),
        (13, "`input.subject.groups == {group | some group in data.groups; group != `z`}` dropped"),
        (13, "`input.subject.groups == {group | some group in data.groups; group != `z`}` negated"),
    ]


def test_a_mutant_keeps_every_line_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "sample.rego"
    path.write_text(RULE)
    tree = asyncio.run(parsed(find("opa"), path))
    assert tree is not None
    for mutant in mutants(RULE.encode(), tree):
        before, after = RULE.encode().split(b"\n"), mutant.source.split(b"\n")
        assert [row for row, (old, new) in enumerate(zip(before, after, strict=True), 1) if old != new] == [mutant.row]


def test_the_tests_of_a_shipped_rule_notice_each_of_its_conditions(root: Path) -> None:
    row = checked(root)
    assert (row.state, row.findings) == ("ok", ())
    assert int(row.told.removesuffix(" mutants")) >= 10


def test_a_condition_that_no_test_notices_is_shown_at_its_line(root: Path) -> None:
    replaced(
        root / SCOPES_TEST,
        '"a certificate": {"tool": "deploy", "authentication": "mtls"',
        '"a key": {"tool": "deploy", "authentication": "api_key"',
    )
    assert checked(root).findings == (Finding(SCOPES, 22, 'no test notices `"mtls"` exchanged for another'),)


def test_a_rule_without_tests_of_its_own_is_held_by_those_of_the_whole(root: Path) -> None:
    (root / SCOPES_TEST).unlink()
    (root / "policy_tests/mcp/whole_test.rego").write_text(
        "package mcp.whole_test\n\nimport data.mcp.asking_test as asking\n\n"
        '_asked := object.union(asking.call([], "deploy", "deploy", {}), {"subject": {"authentication": "jwt"}})\n\n'
        "test_it_refuses if {\n\tcount(data.mcp.authz.decision.denials) == 1 with input as _asked\n}\n"
    )
    row = checked(root)
    found = {each.message for each in row.findings}
    assert 'no test notices `"mtls"` exchanged for another' in found
    assert "no test notices `not _without_scopes` without its `not`" not in found


def test_mutants_that_were_not_tried_are_no_success(root: Path) -> None:
    replaced(
        root / SCOPES_TEST,
        '"a certificate": {"tool": "deploy", "authentication": "mtls"',
        '"a key": {"tool": "deploy", "authentication": "api_key"',
    )
    row = asyncio.run(only(root, "tests", "mutation", mutation_s=0.0))["mutation"]
    assert (row.state, row.findings) == ("not run", ())
    assert "1 of" in row.told
    assert "raise --mutation-budget" in row.told


def test_where_the_tests_fail_nothing_is_said_of_mutants(root: Path) -> None:
    replaced(root / SCOPES_TEST, '"scopes": {"deploy:write"}', '"scopes": {"deploy:writes"}')
    assert (checked(root).state, checked(root).told) == ("not run", "the tests do not pass, or were left out")

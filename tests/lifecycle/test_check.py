"""`policy check`: each check finds what it is for, at its line; nothing that is wrong comes out with exit code 0."""

import asyncio
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.lifecycle.check.examination import NAMES, Plan, examined
from gateway.lifecycle.check.inputs import Inputs
from gateway.lifecycle.check.report import Row
from gateway.lifecycle.repository import repository
from gateway.policy.structure import Finding
from gateway.shipped import SHIPPED
from tests.lifecycle.repositories import copied, invoked, only, replaced
from tools.binaries import find

CHANGES = "policies/mcp/servers/crm/changes.rego"
CHANGES_TEST = "policy_tests/mcp/servers/crm/changes_test.rego"


def checked(root: Path, check: str) -> Row:
    return asyncio.run(only(root, check))[check]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied(tmp_path)


def test_an_unformatted_file_is_found_at_the_line_that_differs(root: Path) -> None:
    replaced(root / CHANGES, "\tis_string(input.arguments.email)", "\t\tis_string(input.arguments.email)")
    row = checked(root, "format")
    assert row.state == "failed"
    (found,) = row.findings
    assert (found.file, found.message) == (CHANGES, "is not as `opa fmt` writes it: run `opa fmt --write` on it")
    assert found.line > 20


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("is_string(input.arguments.email)", "is_string(input.arguments.emial)", "emial"),
        (
            'input.resources[0].name == "update_customer"\n\tnot subject',
            'input.resource[0].name == "x"\n\tnot subject',
            "resource",
        ),
        ("is_string(input.arguments.email)", 'http.send({"url": input.arguments.email})', "http.send"),
    ],
    ids=["a misspelt argument", "a misspelt member", "a builtin that is taken away"],
)
def test_a_type_that_cannot_be_is_found_with_what_there_is(root: Path, old: str, new: str, word: str) -> None:
    replaced(root / CHANGES, old, new)
    row = checked(root, "types")
    assert row.state == "failed"
    assert all(each.file == CHANGES and each.line > 1 for each in row.findings), row.findings
    assert any(word in each.message for each in row.findings)


def test_what_opa_would_ignore_is_found(root: Path) -> None:
    replaced(
        root / CHANGES,
        "# title: only account managers change customers\n# custom:\n#   code: account_managers_only\ndeny",
        "denies",
    )
    row = checked(root, "structure")
    assert [each.message.split(":")[0] for each in row.findings] == ["denies would be ignored"]


def test_a_misspelt_fact_is_found_in_its_file(root: Path) -> None:
    replaced(root / "policies/mcp/facts/data.yaml", "org/reviewed: {enforcement: enforce", "org/reviewed: {enforcment: enforce")
    (found, *_) = checked(root, "structure").findings
    assert found.file == "policies/mcp/facts/data.yaml"
    assert "enforcment" in found.message


def test_regal_finds_what_our_own_rules_forbid(root: Path) -> None:
    replaced(root / CHANGES, "package mcp.servers.crm.changes", "package mcp.servers.crm.alterations")
    row = checked(root, "regal")
    assert (
        row.state,
        any("mcp/package-is-path" in each.message and each.file == CHANGES for each in row.findings),
    ) == ("failed", True)


def test_a_test_that_fails_is_told_with_its_case_and_line(root: Path) -> None:
    replaced(root / CHANGES_TEST, '"null": {"groups": ["account_managers"]', '"null": {"groups": ["analysts"]')
    row = checked(root, "tests")
    assert row.findings == (Finding(CHANGES_TEST, 10, "test_only_account_managers_change_customers_to_an_address fails: null"),)


def test_tests_that_do_not_compile_are_told_with_their_line(root: Path) -> None:
    replaced(root / CHANGES_TEST, '_asked([], "customer", {})', "_misspelt([])")
    rows = asyncio.run(only(root, "tests", "test inputs"))
    assert [(each.file, each.line) for each in rows["tests"].findings] == [(CHANGES_TEST, 29)]
    assert "_misspelt" in rows["tests"].findings[0].message
    assert rows["test inputs"].state == "not run"


def test_a_test_that_asks_what_nobody_can_ask_is_found(root: Path) -> None:
    replaced(root / "policy_tests/mcp/asking_test.rego", '"authentication": "api_key"', '"authentication": "apikey"')
    rows = asyncio.run(only(root, "tests", "test inputs"))
    assert rows["tests"].state == "ok"
    assert rows["test inputs"].state == "failed"
    messages = {each.message for each in rows["test inputs"].findings if each.file == CHANGES_TEST}
    wrong = "input.subject.authentication: 'apikey' is not one of ['jwt', 'api_key', 'mtls', 'asserted', 'none']"
    assert f"test_other_tools_are_not_meant asks with {wrong}" in messages


def test_an_input_in_part_is_validated_in_what_it_has() -> None:
    inputs = Inputs.of((SHIPPED.schemas / "input.json").read_bytes())
    assert inputs.wrong((), {"subject": {"groups": ["devs"]}}) == ()
    assert inputs.wrong(("subject", "groups"), ["devs"]) == ()
    assert inputs.wrong((), {"subject": {"grups": []}}) == (
        "input.subject: Additional properties are not allowed ('grups' was unexpected)",
    )
    assert inputs.wrong(("subject", "groups"), "devs") == ("input.subject.groups: 'devs' is not of type 'array'",)
    assert inputs.wrong((), []) == ("an input that is no object",)


def test_a_line_that_no_test_reaches_is_found(root: Path) -> None:
    with (root / CHANGES).open("a") as file:
        file.write('\n_never if input.resources[0].name == "never"\n')
    row = checked(root, "coverage")
    assert row.findings == (Finding(CHANGES, 35, "no test reaches this line"),)


def test_a_canary_that_does_not_hold_is_found(root: Path) -> None:
    replaced(root / "policies/mcp/servers/canary/access.rego", 'in {"allowed", "refused"}', 'in {"refused"}')
    row = checked(root, "bundle")
    assert row.state == "failed"
    assert row.findings[0].message == "canary 'the canary may call what is granted to it': visible is [], expected [0]"


def test_the_shipped_set_passes_every_check_and_a_finding_makes_it_fail(root: Path) -> None:
    good = invoked("check", str(root), "--json", "--without", "mutation")
    told = json.loads(good.stdout)
    assert (good.exit_code, told["ok"]) == (0, True), good.stdout
    assert {each["check"]: each["state"] for each in told["checks"]} == {**dict.fromkeys(NAMES, "ok"), "mutation": "left out"}
    replaced(root / CHANGES, "\tis_string(input.arguments.email)", "\t\tis_string(input.arguments.email)")
    bad = invoked("check", str(root), "--without", "tests", "--without", "coverage", "--no-mutation", GITHUB_ACTIONS="true")
    assert bad.exit_code == 1
    (annotation,) = [line for line in bad.stdout.splitlines() if "check%3A format" in line]
    assert annotation.startswith(f"::error file={os.path.relpath(root / CHANGES)},line=")
    assert annotation.endswith("title=policy check%3A format::is not as `opa fmt` writes it: run `opa fmt --write` on it")


def test_a_linter_that_is_not_there_is_no_silent_success(root: Path) -> None:
    others = [each for name in ("tests", "coverage", "bundle", "types", "mutation") for each in ("--without", name)]
    absent = invoked("check", str(root), *others, REGAL="/nowhere/regal")
    assert absent.exit_code == 1
    assert "NOT RUN" in absent.stdout
    assert invoked("check", str(root), *others, "--without", "regal", REGAL="/nowhere/regal").exit_code == 0


def test_what_is_no_repository_or_no_check_is_told_so(tmp_path: Path) -> None:
    nothing = invoked("check", str(tmp_path))
    assert (nothing.exit_code, "has no folder policies" in nothing.stderr) == (2, True)
    unknown = invoked("check", "--without", "regals")
    assert (unknown.exit_code, "there is no such check" in unknown.stderr) == (2, True)
    assert invoked("check", "--without", "regal", OPA="/nowhere/opa").exit_code == 2


def test_an_opa_that_cannot_be_run_is_told_in_one_line(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "opa"
    broken.write_text("no program")
    broken.chmod(0o755)
    told = invoked("check", str(root), "--without", "regal", OPA=str(broken))
    assert (told.exit_code, told.stdout) == (2, "")
    (said,) = [line for line in told.stderr.splitlines() if not line.startswith(("types:", "conventions:", "structure:"))]
    assert said.startswith(f"cannot run {broken}: ")


def test_where_types_do_not_hold_the_same_is_not_told_twice(root: Path) -> None:
    replaced(root / CHANGES, "package mcp.servers.crm.changes\n", "package mcp.servers.crm.changes\n\nallow contains\n")
    told = json.loads(invoked("check", str(root), "--json", "--without", "regal").stdout)["checks"]
    states = {each["check"]: (each["state"], each["told"]) for each in told}
    waiting = ("not run", "the types do not hold")
    assert {name: states[name] for name in ("tests", "test inputs", "coverage", "bundle")} == dict.fromkeys(
        ("tests", "test inputs", "coverage", "bundle"), waiting
    )
    assert states["format"] == ("not run", f"{CHANGES} does not parse")
    assert states["mutation"][0] == "not run"
    findings = [(each["check"], found["file"]) for each in told for found in each["findings"]]
    assert set(findings) == {("types", os.path.relpath(root / CHANGES))}


def test_a_rule_alone_is_checked_by_its_own_tests(root: Path) -> None:
    (root / "policy_tests/mcp/servers/crm/export_test.rego").unlink()  # which is another rule's matter
    everything = invoked("check", str(root), "--rule", "servers/crm/changes", "--json", "--without", "regal")
    told = {each["check"]: each for each in json.loads(everything.stdout)["checks"]}
    assert (everything.exit_code, told["tests"]["told"], told["bundle"]["told"]) == (0, "3 tests", "is of the whole set"), told
    assert told["mutation"]["state"] == "ok"
    with (root / CHANGES).open("a") as file:
        file.write('\n_never if input.resources[0].name == "never"\n')
    unreached = invoked("check", str(root), "--rule", "policies/mcp/servers/crm/changes.rego", "--without", "regal")
    place = os.path.relpath(root)
    assert unreached.exit_code == 1
    assert f"{place}/{CHANGES}:35: coverage: no test reaches this line" in unreached.stdout
    replaced(root / CHANGES_TEST, '"null": {"groups": ["account_managers"]', '"null": {"groups": ["analysts"]')
    failing = invoked("check", str(root), "--rule", "servers/crm/changes", "--without", "regal").stdout
    assert f"{place}/{CHANGES_TEST}:10: tests: test_only_account_managers_change_customers_to_an_address fails: null" in failing


def test_a_rule_alone_that_nobody_tests_or_that_does_not_exist_is_told_so(root: Path) -> None:
    (root / CHANGES_TEST).unlink()
    others = [f"--without={name}" for name in sorted(NAMES - {"tests", "test inputs"})]
    told = invoked("check", str(root), "--rule", "servers/crm/changes", *others)
    assert (told.exit_code, f"{CHANGES}:1: tests: no test asks this rule" in told.stdout) == (1, True)
    absent = invoked("check", str(root), "--rule", "servers/crm/change")
    assert (absent.exit_code, absent.stderr) == (
        2,
        "there is no rule 'servers/crm/change'; did you mean servers/crm/changes?\n",
    )


# --- what takes too long -----------------------------------------------------------------------------------------------

ENDLESS = """package mcp.org.endless_test

test_endless if {
	count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 10000); i * j == 7]) > 0
}

test_at_once if true
"""


def rows(root: Path, *texts: str, plan: Plan) -> dict[str, Row]:
    """Of the repository with these tests alone."""
    shutil.rmtree(root / "policy_tests")
    (root / "policy_tests").mkdir()
    for number, text in enumerate(texts):
        (root / f"policy_tests/endless{number}_test.rego").write_text(text)
    asked = replace(plan, without=NAMES - {"types", "tests", "test inputs", "bundle"})
    told = asyncio.run(examined(repository(root), find("opa"), None, plan=asked))
    return {each.check: each for each in told if each.state != "left out"}


def test_a_test_that_takes_too_long_is_a_finding_at_its_line_and_the_other_rows_go_on(root: Path) -> None:
    told = rows(root, ENDLESS, plan=Plan(test_s=1.0))
    states = {name: each.state for name, each in told.items()}
    assert states == {"types": "ok", "tests": "failed", "test inputs": "ok", "bundle": "ok"}
    (found,) = told["tests"].findings
    assert (found.file, found.line) == ("policy_tests/endless0_test.rego", 3)
    assert found.message.startswith("test_endless was ended after 1.")


def test_tests_that_together_take_too_long_are_not_run_with_the_slow_ones_named(root: Path) -> None:
    texts = [ENDLESS.replace("endless", f"endless{number}") for number in range(3)]
    told = rows(root, *texts, plan=Plan(test_s=12.0, patience_s=24.0))
    states = {name: each.state for name, each in told.items()}
    assert states == {"types": "ok", "tests": "not run", "test inputs": "not run", "bundle": "ok"}
    assert told["tests"].told.endswith("opa test took longer than 24 s")
    assert {each.message for each in told["tests"].findings} == {
        f"test_endless{number} takes more than 1 s, and all tests together more than 24 s" for number in range(3)
    }

"""`policy init` makes a repository that passes its check; `policy new` a rule that is right in all but what it says."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.lifecycle.check.examination import NAMES, Plan, examined
from gateway.lifecycle.making.repository import NotMade, make
from gateway.lifecycle.making.rule import Verb, add
from gateway.lifecycle.repository import repository
from tests.lifecycle.repositories import invoked, only
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[2]
VERBS: tuple[Verb, ...] = ("deny", "withhold", "oblige", "hide", "allow")


def test_a_repository_as_it_is_made_passes_every_check(tmp_path: Path) -> None:
    root = tmp_path / "ours"
    told = invoked("init", str(root), "--json")
    assert told.exit_code == 0, told.stderr
    files = json.loads(told.stdout)["files"]
    assert {"README.md", ".gitlab-ci.yml", ".github/workflows/policy.yml", "capabilities.json", ".regal/config.yaml"} <= set(
        files
    )
    servers = {path.name for path in (root / "policies/mcp/servers").iterdir()}
    assert servers == {"canary", "crm"}
    github = yaml.safe_load((root / ".github/workflows/policy.yml").read_text())["jobs"]["check"]["steps"][-1]
    done = in_the_workflow(root, f"{github['run']} --json", github["env"])
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["checks"]
    assert {each["check"]: (each["state"], each["findings"]) for each in rows} == {each: ("ok", []) for each in NAMES}


def in_the_workflow(root: Path, command: str, said: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command of the generated workflow with what the workflow says, where `ci/tools.sh` brings the tools."""
    (root / ".tools/python").mkdir(parents=True)
    (root / ".tools/python/bin").symlink_to(Path(sys.executable).parent)
    for name in ("opa", "regal"):
        (root / ".tools" / name).symlink_to(find(name))
    around = {"PATH": os.environ["PATH"], "HOME": str(root), "GITHUB_ACTIONS": "true", **said}
    return subprocess.run(["sh", "-c", command], cwd=root, env=around, capture_output=True, text=True, timeout=180, check=False)


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(NotMade, match="is not empty"):
        make(tmp_path)
    with pytest.raises(NotMade, match="mine is a file: a repository is made in a new or empty folder"):
        make(tmp_path / "mine")
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
    assert invoked("init", str(tmp_path)).exit_code == 2


def test_the_workflows_run_the_check_with_the_tools_that_are_tested(tmp_path: Path) -> None:
    make(tmp_path)
    github = yaml.safe_load((tmp_path / ".github/workflows/policy.yml").read_text())
    gitlab = yaml.safe_load((tmp_path / ".gitlab-ci.yml").read_text())
    command = ".tools/python/bin/mcp-gateway policy check"
    assert github["jobs"]["check"]["steps"][-1]["run"] == gitlab["policy"]["script"][-1] == command
    assert github["permissions"] == {"contents": "read"}
    for name, module in (("opa", "go.mod"), ("opa", "go.sum"), ("regal", "go.mod"), ("regal", "go.sum")):
        assert (tmp_path / "ci" / name / module).read_bytes() == (ROOT / "tools" / name / module).read_bytes()
    assert (tmp_path / "ci/go.txt").read_bytes() == (ROOT / "tools/go.txt").read_bytes()
    assert os.access(tmp_path / "ci/tools.sh", os.X_OK)
    bare = {"PATH": os.environ["PATH"]}
    asked = subprocess.run(["sh", "ci/tools.sh"], cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=30, check=False)
    assert (asked.returncode != 0, "MCP_GATEWAY_PACKAGE" in asked.stderr) == (True, True)


def test_the_tools_on_the_path_are_taken_where_their_version_is_the_pinned_one(tmp_path: Path) -> None:
    """With a Python and a Go that only say how they were called: to build both takes minutes."""
    make(tmp_path)
    path = tmp_path / "path"
    path.mkdir()
    (path / "opa").symlink_to(find("opa"))
    _says(path / "regal", "echo Version: 0.1.0")
    _says(path / "go", f'echo "$PWD $*" >> {tmp_path}/went; ln -s {find("regal")} "$4"')
    _says(path / "pip", f'echo "$*" >> {tmp_path}/went')
    _says(path / "python3", f'mkdir -p "$3/bin"; cp {path}/pip "$3/bin/pip"')
    around = {"PATH": f"{path}:/usr/bin:/bin", "MCP_GATEWAY_PACKAGE": "ours==1", "PIP_EXTRA_ARGS": "--isolated -v"}
    command = ["sh", "ci/tools.sh"]
    done = subprocess.run(command, cwd=tmp_path, env=around, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "went").read_text().splitlines() == [
        "install --quiet --disable-pip-version-check --no-deps --isolated -v --require-hashes -r ci/requirements.txt",
        "install --quiet --disable-pip-version-check --no-deps --isolated -v ours==1",
        "check",
        f"{tmp_path}/ci/regal build -trimpath -o {tmp_path}/.tools/regal github.com/open-policy-agent/regal",
    ]
    assert os.readlink(tmp_path / ".tools/opa") == str(path / "opa")
    assert os.readlink(tmp_path / ".tools/regal") == find("regal")


def _says(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_example_is_removed_as_the_readme_says(tmp_path: Path) -> None:
    make(tmp_path)
    readme = (tmp_path / "README.md").read_text()
    (command,) = [line.removeprefix("1. `").removesuffix("`") for line in readme.splitlines() if line.startswith("1. `rm -r ")]
    subprocess.run(command.split(), cwd=tmp_path, timeout=10, check=True)
    facts, pins = tmp_path / "policies/mcp/facts/data.yaml", tmp_path / "policies/mcp/facts/items/data.json"
    told = yaml.safe_load(facts.read_text())
    del told["items"]["crm"]
    told["groups"]["destructive"] = []
    facts.write_text(yaml.safe_dump(told))
    pins.write_text(json.dumps({name: said for name, said in json.loads(pins.read_text()).items() if name != "crm"}))
    rows = asyncio.run(only(tmp_path, "types", "structure", "conventions", "tests", "coverage", "bundle"))
    assert {each.check: (each.state, each.findings) for each in rows.values()} == dict.fromkeys(rows, ("ok", ()))
    assert not [path for folder in ("policies", "schemas") for path in (tmp_path / folder).rglob("*crm*")]


def test_new_rules_of_every_verb_are_right_but_for_what_they_say(tmp_path: Path) -> None:
    make(tmp_path)
    for verb in VERBS:
        add(tmp_path, f"servers/crm/new_{verb}", verb=verb, tool="customer")
    add(tmp_path, "org/night_shift", verb="deny", tool=None)
    rows = {
        each.check: each
        for each in asyncio.run(
            examined(repository(tmp_path), find("opa"), find("regal"), plan=Plan(without={"coverage", "mutation"}))
        )
    }
    assert {each.check for each in rows.values() if not each.fine} == {"tests"}
    assert sorted((found.file, found.message) for found in rows["tests"].findings) == sorted(
        (f"policy_tests/mcp/{name}_test.rego", "test_who_may_is_let_through fails")
        for name in (*(f"servers/crm/new_{verb}" for verb in VERBS), "org/night_shift")
    )
    for path in (tmp_path / "policies").rglob("n*.rego"):
        path.write_text(path.read_text().replace("whoever_may", "say_who_may"))
    passed = asyncio.run(examined(repository(tmp_path), find("opa"), None, plan=Plan(without=NAMES - {"tests"})))
    assert [each.findings for each in passed if each.check == "tests"] == [()]


@pytest.mark.parametrize("verb", VERBS)
def test_the_test_of_a_new_rule_notices_each_of_its_conditions_dropped(tmp_path: Path, verb: Verb) -> None:
    make(tmp_path)
    begun = add(tmp_path, "servers/crm/begun", verb=verb, tool="customer")
    for name, old in ((begun.rule, "whoever_may"), (begun.test, "say_who_may")):
        (tmp_path / name).write_text((tmp_path / name).read_text().replace(old, "support"))
    plan = Plan(without=NAMES - {"tests", "mutation"}, rule="servers/crm/begun")
    rows = asyncio.run(examined(repository(tmp_path), find("opa"), None, plan=plan))
    asked = {each.check: (each.state, each.findings) for each in rows if each.check in {"tests", "mutation"}}
    assert asked == {"tests": ("ok", ()), "mutation": ("ok", ())}


def test_a_new_rule_is_typed_by_its_tools_schema_where_there_is_one(tmp_path: Path) -> None:
    make(tmp_path)
    typed = add(tmp_path, "policies/mcp/servers/crm/one.rego", verb="deny", tool="customer")
    untyped = add(tmp_path, "servers/tickets/two", verb="deny", tool="unknown")
    assert "- input.arguments: schema.tools.crm.customer" in (tmp_path / typed.rule).read_text()
    assert "input.arguments" not in (tmp_path / untyped.rule).read_text()


def test_a_tool_that_its_backend_does_not_have_is_refused_unless_somebody_insists(tmp_path: Path) -> None:
    make(tmp_path)
    refused = invoked("new", "servers/crm/closing", str(tmp_path), "--tool", "delete_custmer")
    said = '"delete_custmer" is no tool of crm that facts or schemas know; did you mean "delete_customer"?'
    assert (refused.exit_code, refused.stderr.splitlines()[0]) == (2, said)
    assert not (tmp_path / "policies/mcp/servers/crm/closing.rego").exists()
    for verb in VERBS:
        begun = invoked("new", f"servers/crm/early_{verb}", str(tmp_path), "--tool", "merge", "--verb", verb, "--force")
        assert (begun.exit_code, begun.stderr) == (0, "")
    passed = asyncio.run(only(tmp_path, "conventions", "format", "regal"))
    assert [found for each in passed.values() for found in each.findings] == []
    unheard = invoked("new", "servers/tickets/closing", str(tmp_path), "--tool", "close_ticket", "--verb", "allow")
    assert (unheard.exit_code, unheard.stderr[:51]) == (0, "nothing is known of a backend tickets yet, so no na")
    rule = "policies/mcp/servers/tickets/closing.rego"
    assert unheard.stdout.splitlines()[0] == f"{tmp_path / rule}: say who sees it and may ask for it"
    assert 'item.among(resource, {"tool": {"close_ticket"}})' in (tmp_path / rule).read_text()


@pytest.mark.parametrize(
    "said",
    [
        "crm/refunds",
        "servers/refunds",
        "org/a/b",
        "servers/CRM/refunds",
        "servers/crm/Refunds",
        "servers/crm/if",
        "../org/x",
        "",
        "org/x_test",
    ],
)
def test_a_name_that_nobody_would_ask_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(NotMade, match=re.escape("a rule is named org/<rule> or servers/<backend>/<rule>")):
        add(tmp_path, said, verb="deny", tool=None)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_overwritten_and_only_an_owner_grants(tmp_path: Path) -> None:
    make(tmp_path)
    before = (tmp_path / "policies/mcp/servers/crm/access.rego").read_text()
    told = invoked("new", "servers/crm/access", str(tmp_path))
    assert (told.exit_code, told.stderr) == (2, "policies/mcp/servers/crm/access.rego exists already\n")
    assert (tmp_path / "policies/mcp/servers/crm/access.rego").read_text() == before
    assert invoked("new", "org/grants", str(tmp_path), "--verb", "allow").exit_code == 2
    assert invoked("new", "org/grants", str(tmp_path / "ci")).exit_code == 2

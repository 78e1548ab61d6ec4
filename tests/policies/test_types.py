"""Policies are typed by the contract: a misspelt field is an error that names the right one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.policies.demo import ROOT

CAPABILITIES = ROOT / "tools" / "opa" / "capabilities.json"

RULE = """\
# METADATA
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
#   - input.arguments: schema.tools.crm.update_customer
package mcp.servers.crm.mistake

deny contains {{"code": "a", "message": "b"}} if {condition}
"""

MISSPELT = {
    "a field of the subject": ('"release" in input.subject.grups', '"groups"'),
    "a field of a resource": ("input.resources[0].anotations.readOnlyHint", '"annotations"'),
    "a field of the context": ("input.context.time == 1", '"time_ns"'),
    "an argument of the tool": ('input.arguments.emial == "a"', '"email"'),
    "a value of another type": ("input.arguments.email == 3", "match error"),
    "a member of the facts": ("data.mcp.facts.waiver", '"waivers"'),
}
FORBIDDEN = {
    "the network": 'http.send({"method": "GET", "url": "http://127.0.0.1"}).status_code == 200',
    "the clock": "time.now_ns() > 1",
    "chance": 'rand.intn("x", 2) == 1',
    "the environment": "opa.runtime().env.HOME",
    "names of hosts": 'net.lookup_ip_addr("localhost")',
}


def check(binary: str, policies: Path) -> "subprocess.CompletedProcess[str]":
    command = [binary, "check", "--strict", "--schema", str(ROOT / "schemas"), "--capabilities", str(CAPABILITIES), str(policies)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typed") / "policies"
    shutil.copytree(ROOT / "policies", folder)
    return folder


def mistaken(binary: str, policies: Path, condition: str) -> str:
    path = policies / "mcp" / "servers" / "crm" / "mistake.rego"
    path.write_text(RULE.format(condition=condition))
    try:
        done = check(binary, policies)
    finally:
        path.unlink()
    assert done.returncode == 1
    return done.stderr


def test_the_shipped_policies_are_well_typed(opa_binary: str) -> None:
    done = check(opa_binary, ROOT / "policies")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_field_is_an_error_that_names_the_right_one(opa_binary: str, policies: Path, case: str) -> None:
    condition, meant = MISSPELT[case]
    said = mistaken(opa_binary, policies, condition)
    assert "mistake.rego:8" in said
    assert meant in said


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_rule_cannot_reach_what_a_replay_would_not_repeat(opa_binary: str, policies: Path, case: str) -> None:
    assert "undefined function" in mistaken(opa_binary, policies, FORBIDDEN[case])

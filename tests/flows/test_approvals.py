"""A call that may destroy, through a real gateway: refused clearly until somebody approved it in the facts."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flows.running import TESTERS, Http, Running, gateway, granting, soon

ROOT = Path(__file__).resolve().parents[2]
RULE = "destructive_needs_approval"
NEEDED = (
    'Refused by policy: the policy demands an approval that this gateway cannot ask for yet: "new__fail" may destroy something;'
    " whoever reviews the facts has to approve this call first (approval_needed)"
)
APPROVAL = {
    "issuer": "urn:mcp-gateway:keys",
    "subject": "tester",
    "backend": "new",
    "tool": "fail",
    "arguments": {"message": "as approved"},
    "until_ns": time.time_ns() + 3_600 * 10**9,
    "by": "bob@example.com",
}


@pytest.fixture
def guarded(places: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    policies = granting(tmp_path, "new")
    place = policies / f"mcp/org/{RULE}.rego"
    place.write_bytes((ROOT / f"library/policies/mcp/org/{RULE}.rego").read_bytes())
    callers = {"tester": {"groups": TESTERS}}
    with gateway(tmp_path, {"new": places["new"]}, callers, policies=policies) as running:
        yield running


def test_an_approval_in_the_facts_lets_just_that_call_through(guarded: Running) -> None:
    with Http(guarded, "tester") as http:

        def called(message: str) -> tuple[bool, str]:
            params = {"name": "new__fail", "arguments": {"message": message}}
            result: dict[str, Any] = http.modern("tools/call", params).json()["result"]
            return result["isError"], result["content"][0]["text"]

        assert called("as approved") == (True, NEEDED)
        told = guarded.folder / f"policies/mcp/facts/settings/{RULE}/data.yaml"
        told.parent.mkdir(parents=True)
        told.write_text(yaml.safe_dump({"approved": [APPROVAL]}))
        soon(lambda: called("as approved") != (True, NEEDED))
        assert called("something else") == (True, NEEDED)
        assert called("as approved") == (True, "Error executing tool fail")  # which only its backend says
    lines = [line for line in guarded.audit() if line.get("method") == "tools/call"]
    kept = [duty for line in lines for duty in line.get("duties", ()) if duty["code"] == "approved_in_facts"]
    assert {(duty["rule"], duty["type"]) for duty in kept} == {(f"org/{RULE}", "audit")}

"""The shipped policy set passes our own checks, and its real answers are read."""

import json
import subprocess
from pathlib import Path

from gateway.model import Caller, ClientInfo, Identity, Resource, Subject
from gateway.policy.decision import read
from gateway.policy.document import Question, serialised
from gateway.policy.facts import facts
from gateway.policy.rego import PARSE
from gateway.policy.ruling import Unseen, ruling
from gateway.policy.structure import check, check_yaml

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
FACTS_SCHEMA = ROOT / "schemas" / "facts.json"


def texts(*suffixes: str) -> dict[str, str]:
    return {
        path.relative_to(POLICIES).as_posix(): path.read_text() for path in sorted(POLICIES.rglob("*")) if path.suffix in suffixes
    }


def test_the_shipped_rules_facts_and_canaries_have_no_findings(opa_binary: str) -> None:
    sources, data = texts(".rego"), texts(".yaml", ".yml", ".json")
    done = subprocess.run([opa_binary, *PARSE], input=json.dumps(sources), capture_output=True, text=True, timeout=30, check=True)
    assert check(sources, json.loads(done.stdout), data) == ()
    assert [found for file, text in data.items() for found in check_yaml(file, text)] == []
    rules = {file.removeprefix("mcp/").removesuffix(".rego") for file in sources}
    said = {file: text for file, text in data.items() if file.startswith("mcp/facts/")}
    assert facts(said, json.loads(FACTS_SCHEMA.read_text()), rules=rules) == ()


def test_the_shipped_entrypoint_gives_a_stranger_nothing_and_its_answer_is_read(opa_binary: str) -> None:
    stranger = Subject("anonymous", Identity("urn:mcp-gateway:anonymous", "anonymous"), "none")
    asked = Question(
        caller=Caller(stranger, None, "127.0.0.1"),
        action_name="tools/call",
        phase="request",
        resources=(Resource("tool", "crm__customer", backend="crm", name="customer", id="crm__customer", listed=True),),
        surface="default",
        protocol="2026-07-28",
        client=ClientInfo(),
        time_ns=1_900_000_000_000_000_000,
        decision_id="d",
        request_id="r",
        trace_id="t",
        arguments={"customer_id": 1},
        arguments_valid=True,
    )
    document = json.loads(serialised(asked))["input"]
    command = [opa_binary, "eval", "--format", "raw", "--strict-builtin-errors", "--bundle", str(POLICIES), "--stdin-input"]
    done = subprocess.run(
        [*command, "data.mcp.authz.decision"], input=json.dumps(document), capture_output=True, text=True, timeout=30, check=True
    )
    decision = read(json.loads(done.stdout), asked=1, phase="request", revision="r", decision_id="d")
    assert decision.allowed == frozenset()
    assert isinstance(ruling(decision, phase="request", scopes=()), Unseen)

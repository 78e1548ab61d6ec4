"""How gateways of this kind have failed, tried on a running one: each test is named after what somebody got wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.faults.stage import ACT, Backend, Caller, backend, forwarded, gateway, last_outcome, lines, ready, text, works
from tests.flows.running import META, MODERN, PATIENCE_S, ROOT, Running, run, said, soon

HEAD = """\
# METADATA
# title: a rule of the tests
package mcp.servers.crm1.{name}

import data.mcp.lib.finding

# METADATA
# title: refused
# custom:
#   code: {name}
"""


HIDING = """\
# METADATA
# title: one tool is hidden
package mcp.servers.crm1.hiding

hide contains position if {
	some position, resource in input.resources
	resource.name == "hidden"
}
"""


def refusing(name: str, condition: str) -> str:
    return HEAD.format(name=name) + f"deny contains finding.refusal(rego.metadata.rule()) if {{\n\t{condition}\n}}\n"


def owing(name: str, tool: str, type: str, properties: str) -> str:
    duty = f'finding.duty(rego.metadata.rule(), "{type}", {properties})'
    phase = 'input.action.phase == "request"'
    return HEAD.format(name=name) + f'oblige contains {duty} if {{\n\t{phase}\n\tinput.resources[0].name == "{tool}"\n}}\n'


RULES = {
    "nested": refusing("nested", "some step in input.arguments.steps\n\tstep.target.path == \"/etc\""),
    "unsaid": refusing("unsaid", 'input.resources[0].name == "delete"\n\tnot input.arguments.confirmed == true'),
    "final": refusing("final", 'input.arguments.note == "[gone]"'),
    "rewriting": owing(
        "rewriting", "act", "redact", '{"target": "arguments", "pattern": "secret", "action": "replace", "value": "[gone]"}'
    ),
    "approving": owing("approving", "deploy", "require_approval", '{"message": "Go on?", "mode": "form", "ttl_s": 60}'),
    "keyless": owing("keyless", "rationed", "rate_limit", '{"limit": 1, "period_s": 60}'),
    "hiding": HIDING,
}  # fmt: skip
TOOLS = ("act", "act_more", "delete", "deploy", "hidden", "rationed")


@dataclass(frozen=True)
class Stage:
    gateway: Running
    crm: Backend
    ada: Caller


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("traps")
    with backend("crm1") as crm:
        crm.tools = [{**ACT, "name": name} for name in TOOLS]
        rules = {f"crm1/{name}.rego": rule for name, rule in RULES.items()}
        limits = {"exchanges_per_caller": 1}
        with gateway(folder, {"crm1": crm.url}, rules=rules, limits=limits) as running, Caller(running) as ada:
            yield Stage(running, crm, ada)


def refused(stage: Stage, tool: str, **arguments: object) -> str:
    """What the model reads of a call that must not reach the backend."""
    calls, intents = len(stage.crm.calls), len(forwarded(stage.gateway))
    answer = stage.ada.call(tool, **arguments)
    assert len(stage.crm.calls) == calls
    assert len(forwarded(stage.gateway)) == intents
    return text(answer) if "result" in answer else str(answer["error"]["message"])


def test_no_policy_loaded_is_not_allow_all(tmp_path: Path) -> None:
    broken = {"crm1/broken.rego": "package mcp.servers.crm1.broken\n\nallow contains"}
    with (
        backend("crm1") as crm,
        gateway(tmp_path, {"crm1": crm.url}, rules=broken, becomes_ready=False) as running,
        Caller(running) as ada,
    ):
        status, told = ready(running)
        assert status == 503 and "FAIL policy: no policy set is in force" in told and "crm1/broken.rego:3" in told
        assert ada.call("crm1__act")["error"]["code"] == -32603
        assert last_outcome(running) == ("undecided", "no_policy")
        assert ada.tools()["error"]["code"] == -32603
        assert crm.calls == []
        (tmp_path / "policies/mcp/servers/crm1/broken.rego").unlink()
        soon(lambda: works(ada, "crm1__act"))


def test_a_call_without_arguments_is_decided_like_any_other(stage: Stage) -> None:
    assert "(unsaid)" in refused(stage, "crm1__delete")
    calls = len(stage.crm.calls)
    answer = said(stage.ada.modern("tools/call", {"name": "crm1__delete"}))
    assert "(unsaid)" in text(answer)
    assert len(stage.crm.calls) == calls
    assert "result" in stage.ada.call("crm1__delete", confirmed=True)
    assert "(unsaid)" in refused(stage, "crm1__delete", confirmed="true"), "a text is no boolean"


def test_nested_and_list_arguments_reach_the_policy_as_they_are(stage: Stage) -> None:
    steps = [{"target": {"path": "/tmp"}}, {"target": {"path": "/etc"}}]
    assert "(nested)" in refused(stage, "crm1__act_more", steps=steps)
    assert "result" in stage.ada.call("crm1__act_more", steps=steps[:1])
    assert stage.crm.calls[-1]["arguments"] == {"steps": steps[:1]}


def test_policy_sees_the_request_as_it_will_be_forwarded(stage: Stage) -> None:
    assert "(final)" in refused(stage, "crm1__act", note="secret")
    assert text(stage.ada.call("crm1__act", note="a secret")) == "done"
    assert stage.crm.calls[-1]["arguments"] == {"note": "a [gone]"}


def test_a_tool_is_never_matched_by_a_part_of_its_name(stage: Stage) -> None:
    for near in ("crm1__ac", "crm1__act_", "crm1__act_mor", "act", "crm1_act", "crm1__Act", "crm1__hidden_act"):
        assert refused(stage, near) == f"Unknown tool: {near}"


def test_list_and_call_never_drift_apart(stage: Stage) -> None:
    listed = stage.ada.names()
    assert listed == [f"crm1__{name}" for name in TOOLS if name != "hidden"]
    known = [f"crm1__{name}" for name in TOOLS]
    visible = [name for name in known if "Unknown tool" not in str(stage.ada.call(name, confirmed=False))]
    assert visible == listed, "and no argument hid one from the list"


def test_an_approval_that_nobody_asked_for_counts_for_nothing(stage: Stage) -> None:
    assert "approval" in refused(stage, "crm1__deploy")
    calls = len(stage.crm.calls)
    given = {"inputResponses": {"confirm": {"action": "accept", "content": {"approved": True}}}, "requestState": "approved"}
    answer = stage.ada.modern("tools/call", {"name": "crm1__deploy", "arguments": {}, **given})
    assert "done" not in answer.text
    assert len(stage.crm.calls) == calls


def test_a_limit_without_a_key_refuses_instead_of_being_skipped(stage: Stage) -> None:
    assert "The policy gave no decision" in refused(stage, "crm1__rationed")
    assert last_outcome(stage.gateway) == ("undecided", "unknown_duty")


def test_what_a_client_calls_itself_decides_nothing(stage: Stage) -> None:
    meta = {**META, "io.modelcontextprotocol/clientInfo": {"name": "release-bot", "version": "1"}}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "crm1__hidden"}
    params = {"name": "crm1__hidden", "arguments": {}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = stage.ada.client.post(stage.ada.url, json=body, headers=headers)
    assert said(answer)["error"]["message"] == "Unknown tool: crm1__hidden"
    shipped = [path for path in (ROOT / "policies").rglob("*.rego") if "agent.claimed" in path.read_text()]
    assert shipped == []


def test_a_backends_public_cache_scope_is_not_copied_onto_a_filtered_list(stage: Stage) -> None:
    assert stage.ada.tools()["result"]["cacheScope"] == "private"


def test_the_operator_can_tell_a_denial_from_a_hidden_and_an_unknown_tool(stage: Stage) -> None:
    outcomes = []
    for name in ("crm1__delete", "crm1__hidden", "crm1__nowhere"):
        stage.ada.call(name)
        record = lines(stage.gateway.folder / "audit")[-1]
        outcomes.append((record["type"], record["outcome"], bool(record.get("hidden_by")), bool(record.get("denials"))))
    assert outcomes == [
        ("exchange", "denied", False, True),
        ("exchange", "invisible", True, False),
        ("exchange", "unknown", False, False),
    ]


def test_no_payload_and_no_credential_is_in_the_operators_log(stage: Stage) -> None:
    payload = "a-word-that-stands-nowhere-else"
    assert "result" in stage.ada.call("crm1__act_more", note=payload)
    stage.ada.call("crm1__delete", note=payload)
    assert payload not in stage.gateway.log
    assert stage.gateway.tokens["ada"] not in stage.gateway.log
    assert stage.gateway.tokens["ada"] not in str(lines(stage.gateway.folder / "audit"))


def test_a_busy_gateway_does_not_turn_a_modern_client_into_a_legacy_one(stage: Stage) -> None:
    stage.crm.release.clear()
    stage.crm.on_call = stage.crm.hold
    calls = len(stage.crm.calls)
    held = stage.ada.later("crm1__act_more")
    soon(lambda: len(stage.crm.calls) == calls + 1)

    async def connect() -> None:
        headers = stage.gateway.headers("ada")
        async with (
            httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http,
            Client(streamable_http_client(stage.gateway.url, http_client=http), mode="auto") as client,
        ):
            assert client.protocol_version == MODERN
            with pytest.raises(MCPError, match="requests under way"):
                await client.list_tools()

    try:
        run(connect())
    finally:
        stage.crm.release.set()
    assert text(held.result(PATIENCE_S)) == "done"
    told: list[dict[str, Any]] = lines(stage.gateway.folder / "audit")
    assert [each for each in told if each.get("method") == "initialize"] == []


def test_origin_is_checked_before_a_session_is_looked_for(stage: Stage) -> None:
    foreign = {"Origin": "https://evil.example", "Mcp-Session-Id": "none", "MCP-Protocol-Version": "2025-11-25"}
    answer = stage.ada.client.delete(stage.ada.url, headers=foreign)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == -32600
    anonymous = httpx2.delete(stage.ada.url, headers=foreign, timeout=PATIENCE_S)
    assert anonymous.status_code == 403


def test_one_trace_id_is_in_the_record_and_at_the_backend_and_each_record_names_its_decision_and_revision(stage: Stage) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = f"00-{trace}-b7ad6b7169203331-01"
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "crm1__act_more"}
    params = {"name": "crm1__act_more", "arguments": {}, "_meta": {**META, "traceparent": parent}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    assert text(said(stage.ada.client.post(stage.ada.url, json=body, headers=headers))) == "done"
    assert stage.crm.calls[-1]["_meta"]["traceparent"] == parent
    intent, outcome = lines(stage.gateway.folder / "audit")[-2:]
    assert (intent["type"], outcome["type"]) == ("intent", "outcome")
    assert intent["trace_id"] == outcome["trace_id"] == trace
    (decision,) = intent["decisions"]
    assert len(decision["decision_id"]) == 32 and decision["phase"] == "request"
    assert f"revision {decision['revision']}" in ready(stage.gateway)[1]


def test_initialize_and_a_refused_stranger_leave_a_trace(stage: Stage) -> None:
    stage.ada.begin()
    begun = [each for each in lines(stage.gateway.folder / "audit") if each.get("method") == "initialize"]
    assert [(each["type"], each["outcome"], each["subject"]["id"]) for each in begun] == [("exchange", "ok", "ada")]
    stranger = httpx2.post(stage.ada.url, json={}, headers={"Accept": "application/json"}, timeout=PATIENCE_S)
    assert stranger.status_code == 401
    (file,) = (stage.gateway.folder / "audit").glob("strangers-*.jsonl")
    assert '"kind":"unauthenticated"' in file.read_text() and '"status":401' in file.read_text()

"""The shipped policies at work: who sees what, what is refused, redacted, withheld and rationed, and what the log says of it."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from examples.demo.stack import first_line, started
from tests.flows.issuer import Issuer
from tests.flows.running import ROOT, Http, Running, base_url, connected, gateway, run, said
from tests.identity.proving import jkt, proof, sha256

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
CALLERS: dict[str, dict[str, Any]] = {
    "analyst": {"groups": ["analysts"]},
    "engineer": {"groups": ["engineers"]},
    "restarter": {"groups": ["engineers", "release"]},
    "manager": {"groups": ["account_managers"]},
    "admin": {"groups": ["crm_admins"]},
    "unknown": {"groups": []},
}
SEEN = {
    "analyst": {
        *("crm__search_customers", "crm__customer", "crm__update_customer", "crm__export_customers", "deploy__services"),
        *("crm__summarise_customer", "gw-crm+crm://price-list", "gw-crm+crm://customers/{customer_id}"),
    },
    "engineer": {
        *("crm__search_customers", "deploy__services", "deploy__deploy", "deploy__service_log", "deploy__restart"),
        *("deploy__incident_report", "gw-deploy+deploy://services", "gw-deploy+deploy://services/{service}/status"),
    },
    "manager": {
        *("crm__search_customers", "crm__customer", "crm__update_customer"),
        *("crm__summarise_customer", "gw-crm+crm://price-list", "gw-crm+crm://customers/{customer_id}"),
    },
    "admin": {"crm__search_customers", "crm__customer", "crm__update_customer", "crm__delete_customer"},
    "unknown": set(),
}


@dataclass(frozen=True)
class Demo:
    running: Running
    issuer: Issuer


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder: Path = tmp_path_factory.mktemp("policies")
    issuer = Issuer(folder)
    with ExitStack() as stopping:
        urls = {}
        for name in ("crm", "deploy"):
            process = started(["-m", f"examples.demo.{name}"], folder / f"{name}.log", stopping)
            urls[name] = f"http://127.0.0.1:{first_line(process, folder / f'{name}.log', 'port').split()[1]}/mcp"
        running = stopping.enter_context(gateway(folder, urls, CALLERS, identity={"issuers": [issuer.setting]}))
        yield Demo(running, issuer)
        assert "Traceback" not in running.log


async def shown(client: Client) -> set[str]:
    tools = {each.name for each in (await client.list_tools()).tools}
    prompts = {each.name for each in (await client.list_prompts()).prompts}
    resources = {str(each.uri) for each in (await client.list_resources()).resources}
    return (
        tools | prompts | resources | {each.uri_template for each in (await client.list_resource_templates()).resource_templates}
    )


def ask(demo: Demo, who: str, era: str, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """One call of the official client."""
    results: list[CallToolResult] = []

    async def main() -> None:
        async with connected(demo.running.url, demo.running.headers(who), era) as client:
            result = await client.call_tool(tool, arguments)
            assert isinstance(result, CallToolResult)
            results.append(result)

    run(main())
    return results[0]


def text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def of_calls(demo: Demo, who: str) -> list[dict[str, Any]]:
    return [line for line in demo.running.audit() if line.get("subject", {}).get("id") == who and line["method"] == "tools/call"]


# --- who sees what ---


@ERAS
@pytest.mark.parametrize("who", SEEN)
def test_each_identity_sees_its_own_items(demo: Demo, era: str, who: str) -> None:
    async def main() -> None:
        async with connected(demo.running.url, demo.running.headers(who), era) as client:
            assert await shown(client) == SEEN[who]

    run(main())


def test_a_list_is_recorded_with_what_it_did_not_show_and_which_rule_hid_it(demo: Demo) -> None:
    with Http(demo.running, "manager") as http:
        assert len(said(http.modern("tools/list"))["result"]["tools"]) == 3
    line = [each for each in demo.running.audit() if each["type"] == "listing" and each["subject"]["id"] == "manager"][-1]
    assert line["items"] == {"shown": 3, "hidden": 6, "hidden_by": {"servers/crm/deletion": 1}}


def test_a_list_is_for_its_caller_only(demo: Demo) -> None:
    with Http(demo.running, "analyst") as http:
        for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
            assert said(http.modern(method))["result"]["cacheScope"] == "private"


# --- refused, and why ---


@ERAS
@pytest.mark.parametrize(
    ("who", "tool", "arguments", "reason"),
    [
        (
            "analyst",
            "crm__update_customer",
            {"customer_id": "c-1", "email": "ada@new.test"},
            "Refused by policy: only account managers change customers (account_managers_only)",
        ),
        (
            "manager",
            "crm__update_customer",
            {"customer_id": "c-1", "email": "not one"},
            'Refused by policy: "not one" is not an e-mail address (not_an_address)',
        ),
        (
            "engineer",
            "deploy__deploy",
            {"service": "web", "environment": "production", "version": "1.4"},
            'Refused by policy: only the release team (group release) deploys to "production" (release_team_only)',
        ),
        (
            "analyst",
            "crm__export_customers",
            {"region": "north"},
            'Refused by policy: an export of "north" needs an approval, '
            "which this gateway cannot ask for yet (approval_unavailable)",
        ),
    ],
)
def test_the_model_reads_why_it_was_refused(
    demo: Demo, era: str, who: str, tool: str, arguments: dict[str, Any], reason: str
) -> None:
    result = ask(demo, who, era, tool, arguments)
    assert (result.is_error, text(result)) == (True, reason)
    line = of_calls(demo, who)[-1]
    assert (line["type"], line["outcome"]) == ("exchange", "denied")
    assert [each["code"] for each in line["denials"]] == [reason.rsplit("(", 1)[1].rstrip(")")]


@ERAS
@pytest.mark.parametrize(
    ("who", "method", "member", "hidden", "absent"),
    [
        ("analyst", "tools/call", "name", "crm__delete_customer", "crm__delete_customex"),
        ("analyst", "tools/call", "name", "deploy__restart", "deploy__restarx"),
        ("analyst", "prompts/get", "name", "deploy__incident_report", "deploy__incident_reporx"),
        ("engineer", "resources/read", "uri", "gw-crm+crm://price-list", "gw-crm+crm://price-lisx"),
        ("unknown", "resources/read", "uri", "gw-crm+crm://customers/c-1", "gw-nox+crm://customers/c-1"),
    ],
)
def test_what_is_hidden_is_answered_exactly_like_what_does_not_exist(
    demo: Demo, era: str, who: str, method: str, member: str, hidden: str, absent: str
) -> None:
    with Http(demo.running, who) as http:
        if era == "legacy":
            http.begin()
        asked = http.modern if era == "modern" else http.legacy
        answers = [asked(method, {member: name}) for name in (hidden, absent)]
    bodies = [answer.content.replace(name.encode(), b"?") for answer, name in zip(answers, (hidden, absent), strict=True)]
    heads = [{name: value for name, value in answer.headers.items() if name != "date"} for answer in answers]
    assert bodies[0] == bodies[1]
    assert heads[0] == heads[1]
    assert answers[0].status_code == answers[1].status_code == (400 if era == "modern" else 200)


def test_what_is_hidden_cannot_be_completed_or_subscribed_to(demo: Demo) -> None:
    with Http(demo.running, "analyst") as http:
        reference = {"type": "ref/prompt", "name": "deploy__incident_report"}
        refused = said(http.modern("completion/complete", {"ref": reference, "argument": {"name": "service", "value": "w"}}))
        assert refused["error"] == {"code": -32602, "message": "Unknown prompt: deploy__incident_report"}
        http.begin()
        refused = said(http.legacy("resources/subscribe", {"uri": "gw-deploy+deploy://services"}))
        assert refused["error"]["code"] == -32002


def test_a_tool_that_annotations_disagree_about_is_judged_before_its_headers(demo: Demo) -> None:
    """A wrong parameter header would tell of a hidden tool: an unknown name is unknown whatever its headers."""
    with Http(demo.running, "unknown") as http:
        assert said(http.modern("tools/call", {"name": "crm__customer"}))["error"]["code"] == -32602


# --- redacted, withheld ---


@ERAS
def test_a_record_is_redacted_in_every_form_it_comes_in(demo: Demo, era: str) -> None:
    result = ask(demo, "manager", era, "crm__customer", {"customer_id": "c-1"})
    record = {
        "customer_id": "c-1",
        "name": "Ada Marsh",
        "email": "[address removed]",
        "card_number": "[card number removed]",
        "notes": "Prefers mail to [address removed]; account manager: lee@example.com",
    }
    assert result.structured_content == record
    assert json.loads(text(result)) == record
    whole = result.model_dump_json()
    assert not re.search(r"4111|mail\.test|home\.test", whole)
    outcome = of_calls(demo, "manager")[-1]
    hits = {duty["code"]: duty["hits"] for duty in outcome["duties"] if duty["type"] == "redact"}
    assert hits == {"card_field": 2, "foreign_address": 4}  # twice each: as data, and as the JSON that the text is
    assert not re.search(r"4111|mail\.test|home\.test", json.dumps(outcome))


@ERAS
def test_a_resource_is_redacted_like_a_result(demo: Demo, era: str) -> None:
    async def main() -> None:
        async with connected(demo.running.url, demo.running.headers("manager"), era) as client:
            read = await client.read_resource("gw-crm+crm://customers/c-2")
            (content,) = read.contents
            assert (content.uri, getattr(content, "text", None)) == (
                "gw-crm+crm://customers/c-2",
                "Ben Okafor <[address removed]>",
            )

    run(main())


@ERAS
def test_arguments_are_redacted_before_they_are_forwarded_and_recorded(demo: Demo, era: str) -> None:
    result = ask(demo, "engineer", era, "crm__search_customers", {"query": "card 4111 1111 1111 1111"})
    assert not result.is_error
    intent, outcome = of_calls(demo, "engineer")[-2:]
    assert (intent["type"], outcome["type"]) == ("intent", "outcome")
    assert len(intent["decisions"]) == 2  # once more, about what is left
    assert [each["hits"] for each in intent["duties"] if each["code"] == "card_in_query"] == [1]
    assert "4111" not in json.dumps([intent, outcome])


@ERAS
def test_credentials_do_not_leave_in_results(demo: Demo, era: str) -> None:
    assert text(ask(demo, "engineer", era, "deploy__service_log", {"service": "search"})) == (
        "started\n[secret removed]\nindex loaded"
    )
    assert text(ask(demo, "engineer", era, "deploy__service_log", {"service": "billing"})) == (
        "started\nusing access key [AWS access key removed]\nready"
    )


@ERAS
def test_a_withheld_result_says_that_the_action_was_carried_out(demo: Demo, era: str) -> None:
    result = ask(demo, "engineer", era, "deploy__service_log", {"service": "web"})
    assert (result.is_error, text(result)) == (
        True,
        "The action was carried out and its result withheld; do not repeat it. Refused by policy: "
        'the log of "web" holds a private key; report it to the security team (private_key_in_log)',
    )
    assert result.structured_content is None
    intent, outcome = of_calls(demo, "engineer")[-2:]
    assert (intent["type"], outcome["type"], outcome["outcome"]) == ("intent", "outcome", "withheld")
    assert [each["phase"] for each in outcome["decisions"]] == ["result"]


# --- rationed, stepped up ---


def test_the_fourth_restart_within_a_minute_is_told_how_long_to_wait(demo: Demo) -> None:
    arguments = {"service": "web", "environment": "staging"}
    for era in ("modern", "legacy", "modern"):
        assert text(ask(demo, "restarter", era, "deploy__restart", arguments)) == "web restarted in staging"
    for era in ("modern", "legacy"):
        refused = ask(demo, "restarter", era, "deploy__restart", arguments)
        waits = re.fullmatch(r"Over the rate limit; nothing was done\. Try again in (\d+) s\.", text(refused))
        assert refused.is_error
        assert waits
        assert 0 < int(waits[1]) <= 61
    assert [line["outcome"] for line in of_calls(demo, "restarter") if line["type"] == "exchange"] == ["limited", "limited"]
    allowed = ask(demo, "engineer", "modern", "deploy__restart", arguments)
    assert text(allowed) == "web restarted in staging"  # each subject has its own


@ERAS
def test_a_token_that_lacks_a_scope_is_asked_to_come_back_with_it(demo: Demo, era: str) -> None:
    arguments = {"service": "web", "environment": "staging", "version": "1.4"}
    for scope, status in (("mcp:read", 403), ("mcp:read deploy:write", 200)):
        token = demo.issuer.token("eve", groups=["engineers"], scope=scope)
        running = Running(demo.running.url, "", demo.running.folder, {}, demo.running.process)
        with Http(running, None) as http:
            http.client.headers["Authorization"] = f"Bearer {token}"
            if era == "legacy":
                http.begin()
            asked = http.modern if era == "modern" else http.legacy
            answer = asked("tools/call", {"name": "deploy__deploy", "arguments": arguments})
        assert answer.status_code == status
        if status == 403:
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith("Bearer ")
            assert 'error="insufficient_scope"' in challenge
            # A legacy client asks for exactly what the challenge says, so what it has is named again.
            assert f'scope="{"" if era == "modern" else "mcp:read "}deploy:write"' in challenge
            assert f'resource_metadata="{base_url(demo.running)}/.well-known/oauth-protected-resource/mcp"' in challenge
            assert said(answer)["error"]["code"] == 1403
        else:
            assert said(answer)["result"]["content"][0]["text"] == "web 1.4 is live in staging"


def test_a_token_bound_to_a_key_that_lacks_a_scope_is_asked_for_another_bound_one(demo: Demo) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    token = demo.issuer.token("eve", groups=["engineers"], scope="mcp:read", cnf={"jkt": jkt(key)})
    url = base_url(demo.running) + "/mcp"
    shown = proof(key, {"htm": "POST", "htu": url, "iat": int(time.time()), "jti": "once", "ath": sha256(token.encode())})
    with Http(Running(url, "", demo.running.folder, {}, demo.running.process), None) as http:
        http.client.headers.update({"Authorization": f"DPoP {token}", "DPoP": shown})
        answer = http.modern(
            "tools/call",
            {"name": "deploy__deploy", "arguments": {"service": "web", "environment": "staging", "version": "1.4"}},
        )
    challenge = answer.headers["www-authenticate"]
    assert (answer.status_code, challenge.split(",")[0]) == (403, 'DPoP error="insufficient_scope"')
    assert 'scope="deploy:write"' in challenge
    assert challenge.endswith(', algs="ES256 ES384 EdDSA PS256 RS256"')
    refused, *_ = of_calls(demo, "eve")
    assert (refused["outcome"], refused["status"]) == ("denied", 403)


# --- the record ---


def test_every_line_of_the_log_is_as_published(demo: Demo) -> None:
    with Http(demo.running, None) as http:
        assert http.modern("tools/list").status_code == 401
    schema = json.loads((ROOT / "schemas/audit.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    lines = demo.running.audit()
    assert [problem.message for line in lines for problem in validator.iter_errors(line)] == []
    assert {"start", "intent", "outcome", "exchange", "listing", "refusal", "change"} <= {line["type"] for line in lines}
    by_writer: dict[str, list[int]] = {}
    for line in lines:
        by_writer.setdefault(line["writer"], []).append(line["sequence"])
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in by_writer.values())


def test_every_forwarded_exchange_has_one_intent_and_one_outcome_and_every_other_one_line(demo: Demo) -> None:
    kinds: dict[str, Counter[str]] = {}
    for line in demo.running.audit():
        if "exchange_id" in line:
            kinds.setdefault(line["exchange_id"], Counter())[line["type"]] += 1
    lawful = ({"intent": 1, "outcome": 1}, {"exchange": 1}, {"exchange": 1, "stream": 1}, {"listing": 1}, {"refusal": 1})
    assert [dict(each) for each in kinds.values() if dict(each) not in lawful] == []
    assert len(kinds) > 50


def test_decisions_carry_the_revision_that_is_in_force(demo: Demo) -> None:
    ready = httpx2.get(demo.running.operations_url + "/readyz")
    assert ready.status_code == 200
    revisions = {
        decision["revision"] for line in demo.running.audit() for decision in line.get("decisions", []) if "revision" in decision
    }
    assert len(revisions) == 1
    assert f"revision {revisions.pop()}" in ready.text


def test_prometheus_reads_what_was_refused_and_redacted(demo: Demo) -> None:
    exposition = httpx2.get(demo.running.operations_url + "/metrics").text
    values = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in exposition.splitlines() if line and line[0] != "#"
    }
    refused = 'mcp_gateway_denials_total{code="account_managers_only",rule="servers/crm/changes"}'
    assert values[refused] >= 2
    assert values['mcp_gateway_denials_total{code="private_key_in_log",rule="servers/deploy/private_keys"}'] >= 2
    assert values['mcp_gateway_denials_total{code="scope_missing",rule="servers/deploy/scopes"}'] >= 2
    assert values['mcp_gateway_obligations_total{type="redact"}'] > 0
    assert values['mcp_gateway_backend_up{backend="crm"}'] == 1


@ERAS
def test_a_prompt_that_may_not_be_had_is_an_error_and_not_a_tool_result(demo: Demo, era: str) -> None:
    async def main() -> None:
        async with connected(demo.running.url, demo.running.headers("unknown"), era) as client:
            with pytest.raises(MCPError) as refused:
                await client.get_prompt("crm__summarise_customer", {"customer_id": "c-1"})
            assert refused.value.error.code == -32602

    run(main())

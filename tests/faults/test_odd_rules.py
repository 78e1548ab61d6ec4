"""Rules that go wrong in ways of their own, and what a backend says beside its results: each costs its author's items only,
and nothing passes by a side door.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.wire import json
from tests.faults.stage import DONE, Asked, Backend, Caller, forwarded, full, gateway, last_outcome, lines, metric, text
from tests.flows.running import META, MODERN, Running, said

UNKNOWN_DUTY = 'mcp_gateway_undecided_total{cause="unknown_duty"}'
HEAD = """\
# METADATA
# title: a rule of its own
package mcp.servers.{backend}.{name}

import data.mcp.lib.finding

# METADATA
# title: something that is owed
# custom:
#   code: owed
"""


def rule(backend: str, name: str, body: str) -> dict[str, str]:
    head = HEAD.format(backend=backend, name=name)
    return {
        f"{backend}/{name}.rego": (head if "finding." in body else head.replace("import data.mcp.lib.finding\n\n", "")) + body
    }


RULES = {
    **rule(
        "odd",
        "loud",
        """oblige contains finding.duty_at(rego.metadata.rule(), "audit", {"level": "loud"}, {position}) if {
	some position, resource in input.resources
	resource.backend == "odd"
	resource.uri == "doc:secret"
}
""",
    ),
    **rule(
        "odd",
        "torn",
        """oblige contains finding.duty_at(rego.metadata.rule(), "redact", torn, {position}) if {
	some position, resource in input.resources
	resource.backend == "odd"
	resource.name == "weird"
	torn := {"target": "item", "pattern": "(", "action": "remove"}
}
""",
    ),
    **rule(
        "frail",
        "numbers",
        """hide contains position if {
	some position, resource in input.resources
	resource.uri == "doc:open"
	to_number(resource.uri) > 0
}
""",
    ),
    **rule(
        "good",
        "secrets",
        """withhold contains finding.refusal(rego.metadata.rule()) if contains(json.marshal(input.result), "SECRET")
""",
    ),
    **rule(
        "good",
        "cleaning",
        """oblige contains finding.duty(rego.metadata.rule(), "redact", clean) if {
	input.arguments.card
	clean := {"target": "arguments", "pointer": "/card", "action": "remove"}
}
""",
    ),
    **rule(
        "good",
        "cards",
        """oblige contains finding.duty(rego.metadata.rule(), "redact", cards) if {
	input.arguments.notes
	cards := {"target": "arguments", "pattern": `[0-9](?: ?[0-9]){11,}`, "check": "luhn", "action": "replace", "value": "#"}
}
""",
    ),
    **rule(
        "good",
        "ration",
        """oblige contains finding.duty(rego.metadata.rule(), "rate_limit", {"key": "all", "limit": 1, "period_s": 600}) if {
	input.resources[0].uri == "doc:rare"
}
""",
    ),
}


class Library(Backend):
    """One with resources and a prompt beside its tools; `watched` has every URI that it was asked to watch."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.tools = [{"name": each, "inputSchema": {"type": "object"}} for each in ("act", "weird")]
        self.uris = ["doc:open", "doc:secret"]
        self.watched: list[str] = []
        self.completed: list[dict[str, Any]] = []

    def play(self, asked: Asked) -> None:
        method, params = asked.message["method"], asked.message.get("params", {})
        fresh = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
        if method == "server/discover":
            offered = {"tools": {}, "resources": {"subscribe": True, "listChanged": True}, "prompts": {}, "completions": {}}
            asked.result({**fresh, "supportedVersions": ["2026-07-28"], "capabilities": offered})
        elif method == "resources/list":
            asked.result({**fresh, "resources": [{"uri": each, "name": each} for each in self.uris]})
        elif method == "resources/templates/list":
            asked.result({**fresh, "resourceTemplates": []})
        elif method == "prompts/list":
            asked.result({**fresh, "prompts": [{"name": "hello", "arguments": [{"name": "card"}]}]})
        elif method == "completion/complete":
            self.completed.append(params)
            asked.result({"resultType": "complete", "completion": {"values": []}})
        elif method == "subscriptions/listen":
            self.watched += params["notifications"].get("resourceSubscriptions", [])
            asked.stream()
            told = {
                "notifications": params["notifications"],
                "_meta": {"io.modelcontextprotocol/subscriptionId": asked.message["id"]},
            }
            asked.event({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": told})
            self.release.wait()
        else:
            super().play(asked)


@dataclass(frozen=True)
class Stage:
    gateway: Running
    odd: Library
    good: Library
    ada: Caller


@contextmanager
def library(name: str) -> Iterator[Library]:
    one = Library(name)
    one.start()
    try:
        yield one
    finally:
        one.end()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("odd")
    with library("odd") as odd, library("frail") as frail, library("good") as good:
        urls = {each.name: each.url for each in (frail, good, odd)}
        with gateway(folder, urls, rules=RULES) as running, Caller(running) as ada:
            yield Stage(running, odd, good, ada)


def test_a_resource_under_a_duty_that_is_not_understood_is_not_linked_and_not_listened_to(stage: Stage) -> None:
    def link(asked: Asked) -> None:
        links = [{"type": "resource_link", "uri": each, "name": each} for each in stage.odd.uris]
        asked.result({**DONE, "content": links})

    stage.odd.on_call = link
    counted = metric(stage.gateway, UNKNOWN_DUTY)
    shown = stage.ada.call("odd__act")["result"]["content"]
    assert [each["uri"] for each in shown] == ["gw-odd+doc:open"]
    assert metric(stage.gateway, UNKNOWN_DUTY) == counted + 1
    wanted = {"notifications": {"resourceSubscriptions": ["gw-odd+doc:open", "gw-odd+doc:secret"]}}
    body = {"jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": {**wanted, "_meta": META}}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen"}
    with stage.ada.client.stream("POST", stage.ada.url, json=body, headers=headers) as answer:
        first = next(line for line in answer.iter_lines() if line.startswith("data:"))
    assert "gw-odd+doc:open" in first and "doc:secret" not in first
    assert "doc:secret" not in stage.odd.watched


def test_an_item_redaction_that_is_not_understood_costs_the_items_that_it_names(stage: Stage) -> None:
    counted = metric(stage.gateway, UNKNOWN_DUTY)
    assert stage.ada.names() == ["frail__act", "frail__weird", "good__act", "good__weird", "odd__act"]
    assert metric(stage.gateway, UNKNOWN_DUTY) == counted + 1
    calls = len(stage.odd.calls)
    assert stage.ada.call("odd__weird")["error"]["code"] == -32603, "what no list shows, no call reaches"
    assert len(stage.odd.calls) == calls


def test_one_backends_rule_that_fails_costs_that_backends_resources_only(stage: Stage) -> None:
    found: list[str] = []
    missing: set[str] = set()
    params: dict[str, Any] = {}
    for _ in range(5):
        page = said(stage.ada.modern("resources/list", params))["result"]
        found += [each["uri"] for each in page["resources"]]
        missing |= {*page["_meta"].get("mcp-gateway/missing", ())}
        if "nextCursor" not in page:
            break
        params = {"cursor": page["nextCursor"]}
    assert found == ["gw-good+doc:open", "gw-good+doc:secret", "gw-odd+doc:open"]
    assert missing == {"frail"}


def test_an_error_of_an_inspected_backend_is_inspected_like_a_result(stage: Stage) -> None:
    def fail(told: dict[str, Any]) -> None:
        def play(asked: Asked) -> None:
            asked.raw(b'{"jsonrpc":"2.0","id":%d,"error":%s}' % (asked.message["id"], json.encode(told)))

        stage.good.on_call = play

    fail({"code": 5, "message": "a word with you"})
    assert stage.ada.call("good__act")["error"]["message"] == "a word with you"
    for told in ({"code": 5, "message": "the SECRET"}, {"code": 5, "message": "no", "data": {"is": "SECRET"}}):
        fail(told)
        answer = stage.ada.call("good__act")
        assert answer["result"]["isError"] is True and "SECRET" not in str(answer)
        assert text(answer).startswith("The action was carried out and its result withheld")
        assert last_outcome(stage.gateway) == ("withheld", "owed")


def test_a_redaction_that_the_second_decision_owes_no_more_is_recorded_all_the_same(stage: Stage) -> None:
    stage.good.on_call = lambda asked: asked.result(DONE)
    stage.ada.call("good__act", card="4111", name="ada")
    assert stage.good.calls[-1]["arguments"] == {"name": "ada"}
    intent = [each for each in lines(stage.gateway.folder / "audit") if each["type"] == "intent"][-1]
    assert [each["rule"] for each in intent["duties"] if each["type"] == "redact"] == ["servers/good/cleaning"]


def test_arguments_that_hold_too_much_to_be_checked_are_refused_and_recorded_and_never_forwarded(stage: Stage) -> None:
    stage.good.on_call = lambda asked: asked.result(DONE)
    stage.ada.call("good__act", notes=["4111 1111 1111 1111", "4111 1111 1111 1112"])
    assert stage.good.calls[-1]["arguments"] == {"notes": ["#", "4111 1111 1111 1112"]}
    calls, sent = len(stage.good.calls), len(forwarded(stage.gateway))
    refused = stage.ada.call("good__act", notes=["4 1 " * 5_000] * 50)
    assert refused["result"]["isError"] is True
    assert text(refused) == "Refused by policy: the arguments hold too much to be checked. Send less at once."
    assert last_outcome(stage.gateway) == ("denied", "redacted")
    assert (len(stage.good.calls), len(forwarded(stage.gateway))) == (calls, sent)


def test_a_completion_whose_value_is_redacted_away_is_refused_and_not_another_argument_completed(stage: Stage) -> None:
    completion = {"ref": {"type": "ref/prompt", "name": "good__hello"}, "argument": {"name": "card", "value": "4111"}}
    sent = len(forwarded(stage.gateway))
    for params in (completion, {**completion, "context": {"arguments": {"name": "ada"}}}):
        assert said(stage.ada.modern("completion/complete", params))["error"]["code"] == 1403
    assert stage.good.completed == []
    assert len(forwarded(stage.gateway)) == sent


def test_a_subscription_is_rationed_like_any_request(stage: Stage) -> None:
    with Caller(stage.gateway) as ada:
        ada.begin()
        answers = [said(ada.legacy("resources/subscribe", {"uri": "gw-good+doc:rare"})) for _ in range(2)]
    assert "result" in answers[0]
    assert answers[1]["error"]["code"] == 1429
    assert stage.good.watched.count("doc:rare") == 1


def test_a_subscription_that_cannot_be_recorded_is_not_forwarded(stage: Stage) -> None:
    with Caller(stage.gateway) as ada:
        ada.begin()
        with full(stage.gateway):
            refused = said(ada.legacy("resources/subscribe", {"uri": "gw-good+doc:open"}))
        assert refused["error"]["message"] == "The audit log cannot be written, so nothing was done."
    assert "doc:open" not in stage.good.watched


def test_arguments_however_large_do_not_tell_a_hidden_tool_from_one_that_does_not_exist(stage: Stage) -> None:
    """Both are asked about with them, so both are over the limit of what can be asked."""
    arguments = {"text": "x" * (4 * 1024 * 1024 - 600)}
    known, unknown = stage.ada.call("good__act", **arguments), stage.ada.call("good__abc", **arguments)
    assert known["error"] == unknown["error"]

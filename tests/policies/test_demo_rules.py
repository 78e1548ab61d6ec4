"""What the shipped rules decide for the three identities of the demo, on the real OPA."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from gateway.policy import decision
from tests.policies.demo import ROOT, Opa, asked, everything, pinned, resource, schema

ANALYST = {
    "tool crm__search_customers",
    "tool crm__customer",
    "tool crm__update_customer",
    "tool crm__export_customers",
    "prompt crm__summarise_customer",
    "resource crm://price-list",
    "resource_template crm://customers/{customer_id}",
    "tool deploy__services",
}
ENGINEER = {
    "tool crm__search_customers",
    "tool deploy__services",
    "tool deploy__deploy",
    "tool deploy__service_log",
    "tool deploy__restart",
    "prompt deploy__incident_report",
    "resource deploy://services",
    "resource_template deploy://services/{service}/status",
}


@pytest.fixture(scope="module")
def opa(serve: Callable[[Path], Opa], tmp_path_factory: pytest.TempPathFactory) -> Opa:
    return serve(pinned(tmp_path_factory.mktemp("demo")))


def decide(opa: Opa, document: dict[str, Any]) -> dict[str, Any]:
    """The answer, which satisfies the published schema and what the gateway reads."""
    Draft202012Validator(schema("input")).validate(document)
    answer = opa.decide(document)
    Draft202012Validator(schema("decision")).validate(answer)
    decision.read(
        answer, asked=len(document["resources"]), phase=document["action"]["phase"], revision="r", decision_id="d"
    )  # fmt: skip
    return answer


def seen(opa: Opa, groups: list[str], items: list[dict[str, Any]]) -> set[str]:
    answer = decide(opa, asked(groups, items))
    return {f"{items[position]['type']} {items[position]['public_name']}" for position in answer["visible"]}


def call(opa: Opa, groups: list[str], backend: str, tool: str, **arguments: Any) -> dict[str, Any]:
    return decide(opa, asked(groups, [resource("tool", backend, tool)], "request", arguments=arguments))


def codes(answer: dict[str, Any]) -> list[str]:
    return [denial["code"] for denial in answer["denials"]]


def owed(answer: dict[str, Any], type: str) -> set[str]:
    return {duty["code"] for duty in answer["obligations"] if duty["type"] == type}


@pytest.mark.parametrize(
    ("groups", "expected"), [(["analysts"], ANALYST), (["engineers"], ENGINEER), ([], set()), (["x"], set())]
)
def test_each_identity_sees_its_own_items_and_an_unknown_one_none(opa: Opa, groups: list[str], expected: set[str]) -> None:
    assert seen(opa, groups, everything()) == expected


@pytest.mark.parametrize("groups", [["analysts"], ["engineers"], []])
def test_what_is_listed_is_what_a_call_finds(opa: Opa, groups: list[str]) -> None:
    items = everything()
    listed = decide(opa, asked(groups, items))["visible"]
    called = [at for at, item in enumerate(items) if decide(opa, asked(groups, [item], "request"))["visible"] == [0]]
    assert listed == called


def test_an_analyst_reads_a_customer_without_card_and_private_addresses(opa: Opa) -> None:
    answer = call(opa, ["analysts"], "crm", "customer", customer_id="c-1")
    assert (answer["allowed"], answer["denials"]) == ([0], [])
    assert {"card_field", "card_number", "foreign_address"} <= owed(answer, "redact")


def test_an_analyst_who_changes_a_customer_reads_why_not(opa: Opa) -> None:
    answer = call(opa, ["analysts"], "crm", "update_customer", customer_id="c-1", email="a@b.test")
    assert (answer["visible"], answer["allowed"]) == ([0], [])
    assert answer["denials"] == [
        {"rule": "servers/crm/changes", "code": "account_managers_only", "message": "only account managers change customers"}
    ]


def test_an_export_needs_an_approval_that_cannot_be_asked_for(opa: Opa) -> None:
    assert codes(call(opa, ["analysts"], "crm", "export_customers", region="north")) == ["approval_unavailable"]


@pytest.mark.parametrize(
    ("groups", "environment", "expected"),
    [
        (["engineers"], "staging", []),
        (["engineers"], "production", ["release_team_only"]),
        (["engineers", "release"], "production", []),
    ],
)
def test_production_is_the_release_teams(opa: Opa, groups: list[str], environment: str, expected: list[str]) -> None:
    answer = call(opa, groups, "deploy", "deploy", service="web", environment=environment, version="1")
    assert codes(answer) == expected


def test_restarts_are_rationed(opa: Opa) -> None:
    answer = call(opa, ["engineers"], "deploy", "restart", service="web", environment="staging")
    assert owed(answer, "rate_limit") == {"restarts"}


def test_a_log_is_inspected_and_withheld_for_a_private_key_only(opa: Opa) -> None:
    before = call(opa, ["engineers"], "deploy", "service_log", service="web")
    assert [duty["rule"] for duty in before["obligations"] if duty["type"] == "inspect_result"] == ["servers/deploy/private_keys"]
    for text, expected in (("ready", []), ("-----BEGIN PRIVATE KEY-----", ["private_key_in_log"])):
        result = {"content": [{"type": "text", "text": text}]}
        item = resource("tool", "deploy", "service_log")
        answer = decide(opa, asked(["engineers"], [item], "result", arguments={"service": "web"}, result=result))
        assert (codes(answer), answer["allowed"]) == (expected, [] if expected else [0])


def test_a_changed_definition_is_gone_for_everybody_but_reviewers(opa: Opa) -> None:
    changed = resource("tool", "crm", "customer") | {"fingerprint": "sha256:" + "2" * 64}
    assert decide(opa, asked(["analysts"], [changed]))["hidden_by"] == {"org/reviewed": [0]}
    assert decide(opa, asked(["analysts", "reviewers"], [changed]))["visible"] == [0]


def test_an_unknown_name_is_answered_and_invisible(opa: Opa) -> None:
    unknown = {"type": "tool", "public_name": "nothing", "listed": False}
    answer = decide(opa, asked(["analysts"], [unknown], "request"))
    assert (answer["visible"], answer["allowed"]) == ([], [])


def test_the_canaries_of_the_shipped_set_are_right(serve: Callable[[Path], Opa]) -> None:
    shipped = serve(ROOT / "policies")
    for canary in msgspec.json.decode((ROOT / "policies/mcp/canaries/data.json").read_bytes()):
        answer = decide(shipped, canary["input"])
        if canary["input"]["action"]["phase"] == "request":  # everything that the gateway always says there
            assert {"arguments", "arguments_valid", "unknown_arguments"} <= set(canary["input"]), canary["name"]
        assert {name: answer[name] for name in ("visible", "allowed")} == canary["expect"], canary["name"]

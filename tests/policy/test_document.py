"""The document: every fact in its place, absent ones absent, and one serialisation for whatever was serialised before."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from gateway.model import Caller, ClientInfo, Identity, Resource, Subject
from gateway.policy.document import (
    Question,
    chunks,
    document,
    fragments,
    memory_key,
    serialised,
)
from tests.counting import calls

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "input.json"
ALICE = Subject(
    "user",
    Identity("https://id.example.com", "alice@example.com"),
    "jwt",
    groups=("devs",),
    scopes=("mcp:read",),
    claims={"tenant": "a"},
    assurance={"acr": "high", "token_issued_ns": 5},
    actors=(Identity("https://id.example.com", "bot"),),
)
TOOL = Resource(
    "tool",
    "open_ticket",
    backend="github",
    name="create_issue",
    id="github__create_issue",
    listed=True,
    annotations={"readOnlyHint": False},
    fingerprint="sha256:" + "0" * 64,
)
CALL = Question(
    caller=Caller(ALICE, "support-bot", "127.0.0.1"),
    action_name="tools/call",
    phase="request",
    resources=(TOOL,),
    surface="engineering",
    protocol="2026-07-28",
    client=ClientInfo("Cursor", "1.2"),
    time_ns=1_900_000_000_123_456_789,
    decision_id="d" * 32,
    request_id="r1",
    trace_id="t" * 32,
    arguments={"number": 2**70, "deep": {"list": [1, None]}},
    arguments_valid=True,
)
STRANGER = Caller(Subject("anonymous", Identity("urn:mcp-gateway:anonymous", "anonymous"), "none"), None, "::1")
LIST = replace(CALL, phase="list", action_name="tools/list", arguments=None, arguments_valid=None)
QUESTIONS = {
    "call": CALL,
    "result": replace(CALL, phase="result", result={"content": []}),
    "list": LIST,
    "empty list": replace(LIST, resources=()),
    "by an API key": replace(CALL, caller=replace(CALL.caller, credential="key:ci")),
    "stranger": replace(CALL, caller=STRANGER, client=ClientInfo()),
    "unlisted resource": replace(
        CALL, action_name="resources/read", resources=(Resource("resource", "", backend="crm", uri="crm://x", template="crm://{y}"),)
    ),
    "unknown tool": replace(CALL, resources=(Resource("tool", "nope"),), arguments={}),
}  # fmt: skip


CALLED = {
    "type": "user",
    "issuer": "https://id.example.com",
    "id": "alice@example.com",
    "groups": ["devs"],
    "scopes": ["mcp:read"],
    "claims": {"tenant": "a"},
    "authentication": "jwt",
    "assurance": {"acr": "high", "token_issued_ns": 5},
    "actors": [{"issuer": "https://id.example.com", "id": "bot"}],
}


def test_a_call_is_told_whole() -> None:
    assert document(CALL) == {
        "input": {
            "version": 1,
            "subject": CALLED,
            "agent": {"id": "support-bot", "claimed": {"name": "Cursor", "version": "1.2"}},
            "action": {"name": "tools/call", "phase": "request", "initiator": "client"},
            "resources": [
                {
                    "type": "tool",
                    "backend": "github",
                    "name": "create_issue",
                    "id": "github__create_issue",
                    "public_name": "open_ticket",
                    "listed": True,
                    "annotations": {"readOnlyHint": False},
                    "fingerprint": "sha256:" + "0" * 64,
                }
            ],
            "arguments": {"number": 2**70, "deep": {"list": [1, None]}},
            "arguments_valid": True,
            "unknown_arguments": [],
            "context": {
                "surface": "engineering",
                "protocol": "2026-07-28",
                "time_ns": 1_900_000_000_123_456_789,
                "source_ip": "127.0.0.1",
                "approvals": [],
                "obligations": ["redact", "rate_limit", "inspect_result", "audit"],
            },
            "exchange": {"decision_id": "d" * 32, "request_id": "r1", "trace_id": "t" * 32},
        }
    }


def test_the_credential_is_named_where_there_is_one() -> None:
    named, unnamed = (document(QUESTIONS[name])["input"] for name in ("by an API key", "call"))
    assert isinstance(named, dict)
    assert isinstance(unnamed, dict)
    assert named == {**unnamed, "subject": {**CALLED, "credential": "key:ci"}}


def nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return any(nulls(each) for each in value.values())
    return value is None or (isinstance(value, list) and any(nulls(each) for each in value))


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_absent_fact_is_absent_and_never_null(name: str) -> None:
    said: Any = document(QUESTIONS[name])
    said["input"].pop("arguments", None)
    assert not nulls(said)


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_sent_is_the_document_with_or_without_kept_fragments(name: str) -> None:
    question = QUESTIONS[name]
    kept = fragments(question.resources)
    assert msgspec.json.decode(serialised(question)) == document(question)
    assert serialised(question, resources=kept) == serialised(question)


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_kind_of_document_satisfies_the_published_schema(name: str) -> None:
    whole: Any = document(QUESTIONS[name])
    assert [error.message for error in Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(whole["input"])] == []


def test_fragments_of_another_list_are_refused_because_positions_would_be_mistaken() -> None:
    with pytest.raises(ValueError, match="positions would be mistaken"):
        serialised(CALL, resources=fragments([]))


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": None},
        {"arguments_valid": None},
        {"resources": (TOOL, TOOL)},
        {"resources": ()},
        {"result": {}},
        {"phase": "result"},
        {"phase": "list"},
    ],
)
def test_a_question_that_the_contract_does_not_know_cannot_be_asked(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="phase"):
        replace(CALL, **changes)


def test_the_memory_key_is_of_the_whole_document_but_its_exchange_and_the_time_within_ten_seconds() -> None:
    key = memory_key(LIST, "r1")
    tens = LIST.time_ns - LIST.time_ns % 10_000_000_000
    same = replace(LIST, decision_id="x", request_id="y", trace_id="z", time_ns=tens)
    assert memory_key(same, "r1") == key
    assert memory_key(LIST, "r1", resources=fragments([TOOL])) == key
    others = [
        replace(LIST, time_ns=tens + 10_000_000_000),
        replace(LIST, time_ns=tens - 1),
        replace(LIST, surface="other"),
        replace(LIST, protocol="2025-11-25"),
        replace(LIST, action_name="prompts/list"),
        replace(LIST, client=ClientInfo("Other")),
        replace(LIST, offered=("audit",)),
        replace(LIST, approvals=({"rule": "x"},)),
        replace(LIST, resources=(TOOL, TOOL)),
        replace(LIST, resources=(replace(TOOL, fingerprint="sha256:1"),)),
        replace(LIST, caller=replace(LIST.caller, source_ip="10.0.0.1")),
        replace(LIST, caller=replace(LIST.caller, agent_id=None)),
        replace(LIST, caller=replace(LIST.caller, subject=replace(ALICE, groups=()))),
        replace(LIST, caller=replace(LIST.caller, subject=replace(ALICE, identity=Identity("https://x", ALICE.identity.id)))),
    ]  # fmt: skip
    keys = [key, memory_key(LIST, "r2"), *(memory_key(other, "r1") for other in others)]
    assert len(set(keys)) == len(keys)


def test_without_a_revision_nothing_is_remembered() -> None:
    with pytest.raises(ValueError, match="revision"):
        memory_key(LIST, "")


def test_chunks_keep_order_and_leave_nothing_out() -> None:
    assert [len(part) for part in chunks(range(1_001))] == [500, 500, 1]
    assert [each for part in chunks(range(1_001)) for each in part] == list(range(1_001))
    assert list(chunks([])) == []


def test_kept_fragments_are_serialised_with_no_call_for_each() -> None:
    def work(items: int) -> int:
        many = replace(LIST, resources=(TOOL,) * items)
        kept = fragments(many.resources)
        return calls(lambda: (serialised(many, resources=kept), memory_key(many, "r1", resources=kept)))

    assert work(2_000) == work(1_000)

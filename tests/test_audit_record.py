"""Every noun writes a record that the published schema knows, and nothing else."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit_record import (
    Asked,
    Changed,
    Diverged,
    Duty,
    End,
    Exchange,
    Fetch,
    Head,
    Intent,
    Listing,
    Record,
    Refused,
    Ruling,
    Settled,
    ShadowPeriod,
    Started,
    Stopped,
    Strangers,
    Stream,
    Who,
    fitted,
)
from gateway.model import Caller, ClientInfo, Denial, Identity, JsonObject, Message, Resource, Subject

VALIDATOR = jsonschema.Draft202012Validator(json.loads((Path(__file__).parents[1] / "schemas" / "audit.json").read_text()))
ENVELOPE: dict[str, Any] = {"version": 1, "writer": "w", "sequence": 1, "previous": None, "time_ns": 1}

HEAD = Head.of(Message("modern", "2026-07-28", "tools/call", {}), exchange_id="x1", surface="default", trace_id="t1")
WHO = Who(
    Caller(
        Subject(
            "user",
            Identity("https://id.example.com", "alice"),
            "jwt",
            ("devs",),
            ("mcp:read",),
            {"tenant": "t"},
            {"acr": "2"},
            (Identity("i", "a"),),
        ),
        "cursor",
        "192.0.2.7",
        credential="key:ci",
    ),
    ClientInfo("Cursor", "1"),
)
ITEM = Resource("tool", "open_ticket", "github", "create_issue", id="github__create_issue", listed=True, fingerprint="sha256:00")
RULING = Ruling(
    asked=(
        Asked("d1", "request", "r1", kept={"document": {"version": 1}, "answer": {}, "stand_ins": ["/arguments/email"]}),
        Asked("d2", "result", cause="late"),
        Asked("d0", "list", "r1", remembered=True),
    ),
    granted_by=("servers/github/access",),
    hidden_by=("org/reviewed",),
    denials=(Denial("servers/github/merging", "protected_branch", "only {who}", {"who": "x"}, ("github:write",)),),
    observed={"org/x": {"deny": []}},
    waived=({"rule": "org/y"},),
    duties=(Duty("org/credentials", "redact", "credential", 2), Duty("org/audit", "audit", "writes")),
    level="full",
)
END = End(
    "ok", 1.23456, decision_ms=0.7, backend_ms=0.2, bytes_in=10, bytes_out=20, notices=1, cause="c", status=200, code=-32603
)

RECORDS: dict[str, Record | Diverged | ShadowPeriod] = {
    "intent": Intent(HEAD, WHO, ITEM, "github", RULING, {"title": "x"}, "legacy"),
    "intent, bare": Intent(
        HEAD, Who(Caller(Subject("anonymous", Identity("i", "a"), "none"), None, "::1")), ITEM, "github", Ruling()
    ),
    "outcome": Settled(HEAD, WHO, ITEM, "github", RULING, replace(END, parts_withheld=3), {"content": []}, "modern"),
    "exchange": Exchange(HEAD, WHO, END, RULING, ITEM, "github", {"a": 2**70}),
    "exchange, bare": Exchange(HEAD, WHO, End("unknown", 0)),
    "listing": Listing(HEAD, WHO, END, RULING, 3, 2, {"org/reviewed": 2}, ("crm",), "github", ("github__a",)),
    "fetch": Fetch(WHO, "github", ("tool", "prompt")),
    "fetch of a page": Fetch(WHO, "github", ("resource",), HEAD),
    "stream": Stream(HEAD, WHO, "client", 1.23456, 2),
    "stream, narrowed": Stream(HEAD, WHO, "revoked", 1, 0, ("gw-github+doc://guide",)),
    "refusal": Refused(
        "header_mismatch", "header_mismatch", 400, "192.0.2.7", "default", WHO, "tools/call", -32020, 5, "x1", "t1"
    ),
    "refusal of a stranger": Refused("unauthenticated", "expired", 401, "192.0.2.7"),
    "strangers": Strangers(60.0, (("192.0.2.0/24", "expired", 7),), 3),
    "change": Changed("policy", False, "r1", "r2", {"findings": ["x"]}),
    "shadow": Diverged(
        "d1",
        "x1",
        "default",
        "tools/call",
        "request",
        {"type": "user", "issuer": "i", "id": "alice", "authentication": "jwt", "groups": [], "scopes": []},
        "cursor",
        "r1",
        "r2",
        (("newly-denied", ("org/x no",), ("github__create_issue",)), ("newly-shown", (), ("a",) * 30)),
    ),
    "shadow, undecided": Diverged(
        *("d1", "x1", "default", "tools/call", "request"),
        {"type": "anonymous", "issuer": "", "id": "", "authentication": "none", "groups": [], "scopes": []},
        *(None, "r1", "r2", (("newly-undecided", (), ("a",)),)),
        cause="status",
    ),
    "shadow_period": ShadowPeriod("r2", (("same", 7), ("different", 1), ("failed", 0), ("dropped", 0)), 0),
    "start": Started("0.1.0", "sha256:00", "write", 1),
    "stop": Stopped("stopped"),
}


def _valid(record: JsonObject) -> None:
    VALIDATOR.validate({**ENVELOPE, **record})


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_what_the_schema_says(name: str) -> None:
    _valid(RECORDS[name].record())


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_with_one_member_more_is_misshapen(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _valid({**RECORDS[name].record(), "surprise": 1})


def test_an_intent_holds_what_explains_it() -> None:
    assert RECORDS["intent, bare"].record() == {
        "type": "intent",
        "exchange_id": "x1",
        "surface": "default",
        "method": "tools/call",
        "era_client": "modern",
        "protocol": "2026-07-28",
        "trace_id": "t1",
        "subject": {"type": "anonymous", "issuer": "i", "id": "a", "authentication": "none", "groups": [], "scopes": []},
        "source_ip": "::1",
        "item": {
            "type": "tool",
            "id": "github__create_issue",
            "name": "create_issue",
            "public_name": "open_ticket",
            "fingerprint": "sha256:00",
        },
        "backend": "github",
        "level": "metadata",
        "decisions": [],
    }


@pytest.mark.parametrize(
    ("level", "shown"), [("metadata", set()), ("arguments", {"arguments"}), ("full", {"arguments", "result"})]
)
def test_the_level_bounds_what_the_log_sees(level: Any, shown: set[str]) -> None:
    ruling = Ruling(level=level)
    members = (
        Intent(HEAD, WHO, ITEM, "b", ruling, {"a": 1}).record() | Settled(HEAD, WHO, ITEM, "b", ruling, END, {"r": 1}).record()
    )
    assert members.keys() & {"arguments", "result"} == shown


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_cut_to_size_still_is_what_the_schema_says(name: str) -> None:
    _valid(fitted(RECORDS[name].record(), 1))


def test_what_is_too_large_is_replaced_by_its_size_and_digest() -> None:
    cut = fitted(Intent(HEAD, WHO, ITEM, "b", Ruling(level="arguments"), {"text": "x" * 10_000}).record(), 2000)
    digest = hashlib.sha256(b'{"text":"' + b"x" * 10_000 + b'"}').hexdigest()
    assert cut["arguments"] == {"omitted": {"bytes": 10_011, "sha256": digest}}
    assert cut["item"] == RECORDS["intent"].record()["item"]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=5000), st.text(max_size=5000))
def test_whatever_a_client_calls_itself_and_asks_for_the_record_is_bounded(method: str, name: str) -> None:
    head = Head("x", "default", method, "modern", method)
    who = Who(WHO.caller, ClientInfo(name, name))
    record = Exchange(head, who, END, Ruling(), Resource("tool", name)).record()
    _valid(record)
    assert len(json.dumps(record)) < 100_000

"""Results and errors between the eras, in all four pairs."""

import copy
from typing import Final

import pytest

from gateway.errors import BackendFailed, Kind
from gateway.model import Era, Fault, Json, JsonObject
from gateway.wire.results import check_result, fault_for_client, for_client

INFO: Final[JsonObject] = {"name": "gateway", "version": "1"}
META_KEY = "io.modelcontextprotocol/serverInfo"
OURS: Final[JsonObject] = {META_KEY: INFO}
TEXT: Final[JsonObject] = {"type": "text", "text": "hi"}


def shown(result: JsonObject, method: str, backend: Era, client: Era) -> JsonObject:
    before = copy.deepcopy(result)
    version = "2026-07-28" if client == "modern" else "2025-11-25"
    answer = for_client(
        result, method=method, backend_era=backend, client_era=client, client_version=version, server_info=dict(INFO)
    )
    assert result == before, "the backend's result stays as it is"
    return answer


MODERN: Final[JsonObject] = {
    "resultType": "complete",
    "content": [TEXT],
    "new": 1,
    "_meta": {META_KEY: {"name": "backend"}, "a/b": 1},
}
LEGACY: Final[JsonObject] = {"content": [TEXT], "new": 1, "_meta": {"a/b": 1}}


@pytest.mark.parametrize(
    ("backend", "client", "expected"),
    [
        ("modern", "modern", {"resultType": "complete", "content": [TEXT], "new": 1, "_meta": {**OURS, "a/b": 1}}),
        ("legacy", "modern", {"resultType": "complete", "content": [TEXT], "new": 1, "_meta": {**OURS, "a/b": 1}}),
        ("modern", "legacy", LEGACY),
        ("legacy", "legacy", LEGACY),
    ],
)
def test_a_tool_result_crosses_in_each_pair_of_eras_with_unknown_members_kept(
    backend: Era, client: Era, expected: JsonObject
) -> None:
    assert shown(MODERN if backend == "modern" else LEGACY, "tools/call", backend, client) == expected


@pytest.mark.parametrize(
    ("backend", "ttl_ms", "expected"),
    [
        ("modern", 500, 500),
        ("modern", 0, 0),
        ("modern", -1, 0),
        ("modern", True, 0),
        ("modern", "500", 0),
        ("modern", None, 0),
        ("legacy", 500, 0),
    ],
)
def test_a_read_is_always_private_and_fresh_only_as_long_as_a_modern_backend_says(
    backend: Era, ttl_ms: Json, expected: int
) -> None:
    result: JsonObject = {"contents": [], "ttlMs": ttl_ms, "cacheScope": "public", "resultType": "complete"}
    answer: JsonObject = {"contents": [], "resultType": "complete", "ttlMs": expected, "cacheScope": "private", "_meta": OURS}
    assert shown(result, "resources/read", backend, "modern") == answer
    assert shown(result, "resources/read", backend, "legacy") == {"contents": []}


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "completion/complete"])
def test_a_result_that_nobody_may_keep_has_no_freshness(method: str) -> None:
    answer = shown({"content": [], "ttlMs": 5, "cacheScope": "public"}, method, "modern", "modern")
    assert answer == {"content": [], "resultType": "complete", "_meta": OURS}


def test_a_meta_of_nothing_but_the_backends_name_disappears_in_the_legacy_era() -> None:
    assert shown({"messages": [], "_meta": {META_KEY: {}}}, "prompts/get", "modern", "legacy") == {"messages": []}
    assert shown({"messages": [], "_meta": "x"}, "prompts/get", "legacy", "legacy") == {"messages": []}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"content": [], "structuredContent": {"a": 1}}, {"content": [], "structuredContent": {"a": 1}}),
        ({"content": [], "structuredContent": [1]}, {"content": [{"type": "text", "text": "[1]"}]}),
        ({"structuredContent": "é"}, {"content": [{"type": "text", "text": '"é"'}]}),
        ({"content": [], "structuredContent": None}, {"content": [{"type": "text", "text": "null"}]}),
        ({"content": [TEXT], "structuredContent": [1]}, {"content": [TEXT]}),
        (
            {"content": [{"type": "image"}], "structuredContent": 5},
            {"content": [{"type": "image"}, {"type": "text", "text": "5"}]},
        ),
        ({}, {"content": []}),
    ],
)
def test_structured_content_that_is_no_object_is_told_to_a_legacy_client_as_text(
    result: JsonObject, expected: JsonObject
) -> None:
    assert shown(result, "tools/call", "modern", "legacy") == expected


def test_structured_content_of_any_shape_reaches_a_modern_client() -> None:
    assert shown({"structuredContent": [1]}, "tools/call", "modern", "modern") == {
        "structuredContent": [1],
        "content": [],
        "resultType": "complete",
        "_meta": OURS,
    }


# --- what is a result at all ---

MESSAGE: Final[JsonObject] = {"role": "user", "content": TEXT}


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("tools/call", {"content": []}),
        ("tools/call", {"content": [TEXT, {"type": "of the future", "x": 1}], "isError": True}),
        ("tools/call", {"structuredContent": {}}),
        ("prompts/get", {"messages": [MESSAGE]}),
        ("resources/read", {"contents": [{"uri": "a://b", "text": ""}]}),
        ("completion/complete", {"completion": {"values": ["a"] * 100}}),
        ("ping", {}),
    ],
)
def test_a_result_of_its_method_passes_in_both_eras(method: str, result: JsonObject) -> None:
    check_result(result, method=method, backend_era="legacy")
    check_result({**result, "resultType": "complete"}, method=method, backend_era="modern")


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("tools/call", {"content": "hi"}),
        ("tools/call", {"content": None}),
        ("tools/call", {"content": ["hi"]}),
        ("tools/call", {"content": [{"text": "hi"}]}),
        ("tools/call", {"content": [{"type": 5}]}),
        ("tools/call", {"content": [], "isError": "yes"}),
        ("prompts/get", {}),
        ("prompts/get", {"messages": [{"role": "user"}]}),
        ("prompts/get", {"messages": [{"role": "user", "content": "hi"}]}),
        ("prompts/get", {"messages": [{"content": TEXT}]}),
        ("resources/read", {}),
        ("resources/read", {"contents": {}}),
        ("resources/read", {"contents": [{"text": "x"}]}),
        ("completion/complete", {"completion": []}),
        ("completion/complete", {"completion": {"values": [1]}}),
        ("completion/complete", {"completion": {"values": ["a"] * 101}}),
    ],
)
def test_what_is_no_result_of_its_method_is_not_mcp(method: str, result: JsonObject) -> None:
    with pytest.raises(BackendFailed) as failed:
        check_result(result, method=method, backend_era="legacy")
    assert (failed.value.cause, failed.value.detail, failed.value.sent) == ("not_mcp", f"not a result of {method}", True)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("input_required", "server_request"),
        ("task", "not_mcp"),
        ("banana", "not_mcp"),
        (None, "not_mcp"),
        (["complete"], "not_mcp"),
    ],
)
def test_an_unknown_kind_of_result_ends_at_the_gateway_and_is_never_repeated(kind: Json, cause: str) -> None:
    with pytest.raises(BackendFailed) as failed:
        check_result({"content": [], "resultType": kind}, method="tools/call", backend_era="modern")
    assert (failed.value.cause, failed.value.detail, failed.value.sent) == (cause, "resultType", True)


# --- errors ---

WANTS = "The backend asks its client for something that this gateway does not relay yet."
BACKEND = "The backend refused the gateway's request."
INPUT = "The backend wants the user to open a page first, which this gateway does not relay yet."


@pytest.mark.parametrize(
    ("fault", "method", "seen"),
    [
        # (kind, code in the modern era, code in the legacy one, message, data)
        (Fault(-32602, "bad a", {"a": 1}, "modern"), "tools/call", (Kind.INVALID_PARAMS, -32602, -32602, "bad a", {"a": 1})),
        (Fault(-32602, "no", {"uri": "x"}, "modern"), "resources/read", (Kind.UNKNOWN_RESOURCE, -32602, -32002, "no", None)),
        (
            Fault(-32602, "Not Found", None, "modern"),
            "resources/read",
            (Kind.UNKNOWN_RESOURCE, -32602, -32002, "Not Found", None),
        ),
        (Fault(-32602, "bad uri", None, "modern"), "resources/read", (Kind.INVALID_PARAMS, -32602, -32602, "bad uri", None)),
        (Fault(-32002, "gone", None, "legacy"), "resources/read", (Kind.UNKNOWN_RESOURCE, -32602, -32002, "gone", None)),
        (Fault(-32002, "gone", None, "legacy"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, "gone", None)),
        (
            Fault(-32601, "x", None, "legacy"),
            "tools/call",
            (Kind.BACKEND_ERROR, -32603, -32603, "The backend does not offer this.", None),
        ),
        (Fault(-32020, "header", None, "modern"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, BACKEND, None)),
        (Fault(-32021, "cap", {"x": 1}, "modern"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, WANTS, None)),
        (Fault(-32022, "version", {"x": 1}, "modern"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, BACKEND, None)),
        (Fault(-32042, "url", {"x": 1}, "legacy"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, INPUT, None)),
        (Fault(-32603, "", None, "modern"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, "The backend failed.", None)),
        (Fault(-32000, "old", {"x": 1}, "legacy"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, "old", None)),
        (Fault(-31999, "own", {"x": 1}, "legacy"), "tools/call", (Kind.BACKEND_ERROR, -31999, -31999, "own", {"x": 1})),
        (Fault(5, "own", None, "modern"), "prompts/get", (Kind.BACKEND_ERROR, 5, 5, "own", None)),
        (Fault(1403, "denied", {"x": 1}, "modern"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, "denied", None)),
        (Fault(1429, "slow", None, "modern"), "tools/call", (Kind.BACKEND_ERROR, -32603, -32603, "slow", None)),
    ],
)
def test_an_error_of_a_backend_is_told_in_the_clients_terms(
    fault: Fault, method: str, seen: tuple[Kind, int, int, str, Json]
) -> None:
    refusals = [fault_for_client(fault, method=method, client_era=era) for era in ("modern", "legacy")]
    codes = (refusals[0].code("modern"), refusals[1].code("legacy"))
    assert (refusals[0].kind, *codes, refusals[0].message, refusals[0].data) == seen


def test_a_client_learns_of_a_capability_only_that_it_did_not_declare_it() -> None:
    fault = Fault(-32021, "x", {"requiredCapabilities": {"elicitation": {"secret": 1}, "sampling": {}}}, "modern")
    for declared, era, code, data in (
        (frozenset[str](), "modern", -32021, {"requiredCapabilities": {"elicitation": {}, "sampling": {}}}),
        (frozenset({"sampling"}), "modern", -32021, {"requiredCapabilities": {"elicitation": {}}}),
        (frozenset({"sampling", "elicitation"}), "modern", -32603, None),
        (frozenset[str](), "legacy", -32603, None),
    ):
        refusal = fault_for_client(fault, method="tools/call", client_era=era, declared=declared)  # type: ignore[arg-type]
        assert (refusal.code(era), refusal.message, refusal.data) == (code, WANTS, data)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", range(-32100, -31999))
def test_no_code_of_the_protocol_is_forwarded_to_a_modern_client(code: int) -> None:
    refusal = fault_for_client(Fault(code, "x", None, "modern"), method="tools/call", client_era="modern")
    assert refusal.code("modern") == -32603

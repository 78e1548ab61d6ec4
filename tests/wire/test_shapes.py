"""The parameters of each method, by tables: what passes, and what the caller is told otherwise."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Kind, Refusal
from gateway.model import Json, JsonObject
from gateway.wire.methods import METHODS
from gateway.wire.shapes import check_params

NAME = "name must be a string of 1 to 256 characters"
URI = "uri must be a string of 1 to 8192 characters"
ARGUMENTS = "arguments must be an object; leave it out if there are none"
CURSOR = "cursor must be a string; leave it out to start at the beginning"
REFERENCE = "ref must be a ref/prompt with name or a ref/resource with uri"
ARGUMENT = "argument must have a name and a value, both strings"
CONTEXT = "context.arguments must be strings by name"
LEVELS = "debug, info, notice, warning, error, critical, alert, emergency"
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
REF: JsonObject = {"type": "ref/prompt", "name": "p"}
ARG: JsonObject = {"name": "a", "value": ""}

SOUND: list[tuple[str, dict[str, Any]]] = [
    *((method, {}) for method in (*LISTS, "ping", "server/discover")),
    *((method, {"cursor": ""}) for method in LISTS),
    ("tools/call", {"name": "t"}),
    ("tools/call", {"name": "t" * 256, "arguments": {"a": [None]}, "unknown": 1}),
    ("prompts/get", {"name": "p", "arguments": {"a": "b"}}),
    ("resources/read", {"uri": "file:///a"}),
    ("completion/complete", {"ref": REF, "argument": ARG}),
    (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "a://{b}"}, "argument": ARG, "context": {"arguments": {"c": "d"}}},
    ),
    ("logging/setLevel", {"level": "emergency"}),
    ("initialize", {"protocolVersion": "x", "capabilities": {}, "clientInfo": {}}),
    ("subscriptions/listen", {"notifications": {}}),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["a://b"]}}),
    ("ping", {"_meta": {"progressToken": 1}}),
    ("ping", {"_meta": {"progressToken": "", "io.modelcontextprotocol/logLevel": "debug"}}),
]


@pytest.mark.parametrize(("method", "params"), SOUND)
def test_sound_parameters_pass(method: str, params: JsonObject) -> None:
    check_params(method, params)


NO_OBJECTS: tuple[Json, ...] = (None, [], "{}", 0)
NO_TEXTS: tuple[Json, ...] = (1, None, {})
NO_METADATA: tuple[Json, ...] = (None, [], "x")
NO_TOKENS: tuple[Json, ...] = (None, True, 1.0, {}, [])
MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    *((method, {"cursor": cursor}, CURSOR) for method in LISTS for cursor in (None, 5, ["a"])),
    *(("tools/call", {"name": name}, NAME) for name in (None, 5, "", "t" * 257, ["t"], {"name": "t"})),
    *(("tools/call", {"name": "t", "arguments": given}, ARGUMENTS) for given in NO_OBJECTS),
    ("tools/call", {"Name": "t"}, NAME),
    ("prompts/get", {}, NAME),
    ("prompts/get", {"name": "p", "arguments": None}, ARGUMENTS),
    *(
        ("prompts/get", {"name": "p", "arguments": {"a": value}}, "the arguments of a prompt must be strings")
        for value in NO_TEXTS
    ),
    *(
        (f"resources/{verb}", {"uri": uri}, URI)
        for verb in ("read", "subscribe", "unsubscribe")
        for uri in (None, "", 1, "a" * 8193)
    ),
    ("completion/complete", {"argument": ARG}, "ref must be an object"),
    *(
        ("completion/complete", {"ref": ref, "argument": ARG}, REFERENCE)
        for ref in (
            {},
            {"type": "ref/tool", "name": "t"},
            {"type": "ref/prompt", "uri": "a"},
            {"type": "ref/resource", "name": "a"},
            {"type": ["ref/prompt"], "name": "a"},
        )
    ),
    ("completion/complete", {"ref": REF}, "argument must be an object with name and value"),
    ("completion/complete", {"ref": REF, "argument": {"name": "a"}}, ARGUMENT),
    ("completion/complete", {"ref": REF, "argument": {"name": "a", "value": 1}}, ARGUMENT),
    ("completion/complete", {"ref": REF, "argument": ARG, "context": None}, "context must be an object"),
    ("completion/complete", {"ref": REF, "argument": ARG, "context": {"arguments": {"a": 1}}}, CONTEXT),
    *(("logging/setLevel", {"level": level}, f"level must be one of {LEVELS}") for level in (None, "loud", "INFO", 3, ["info"])),
    ("initialize", {"capabilities": {}, "clientInfo": {}}, "protocolVersion must be a string"),
    ("initialize", {"protocolVersion": "x", "clientInfo": {}}, "capabilities must be an object"),
    ("initialize", {"protocolVersion": "x", "capabilities": {}}, "clientInfo must be an object"),
    ("subscriptions/listen", {}, "notifications must be an object that says what to be told of"),
    (
        "subscriptions/listen",
        {"notifications": {"toolsListChanged": 1}},
        "toolsListChanged, promptsListChanged, resourcesListChanged must be booleans",
    ),
    ("subscriptions/listen", {"notifications": {"resourceSubscriptions": "a"}}, "resourceSubscriptions must be a list of URIs"),
    ("subscriptions/listen", {"notifications": {"resourceSubscriptions": [1]}}, "resourceSubscriptions must be a list of URIs"),
    *(("ping", {"_meta": meta}, "_meta must be an object") for meta in NO_METADATA),
    *(("ping", {"_meta": {"progressToken": token}}, "_meta.progressToken must be a string or an integer") for token in NO_TOKENS),
    (
        "ping",
        {"_meta": {"io.modelcontextprotocol/logLevel": "loud"}},
        f"_meta['io.modelcontextprotocol/logLevel'] must be one of {LEVELS}",
    ),
]


@pytest.mark.parametrize(("method", "params", "message"), MISTAKES)
def test_a_mistake_is_named_with_what_to_do(method: str, params: JsonObject, message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        check_params(method, params)
    assert (refusal.value.kind, refusal.value.message) == (Kind.INVALID_PARAMS, message)


MEMBERS = ["name", "uri", "arguments", "cursor", "ref", "argument", "context", "level", "notifications", "_meta", "type", "value"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["", "ref/prompt", "info"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from([each.name for each in METHODS]), st.dictionaries(st.sampled_from(MEMBERS), ANYTHING, max_size=6))
@settings(max_examples=300)
def test_any_parameters_pass_or_are_invalid(method: str, params: dict[str, Json]) -> None:
    try:
        check_params(method, params)
    except Refusal as refusal:
        assert refusal.kind is Kind.INVALID_PARAMS

"""Definitions become items: what is wrong is dropped with a reason, by itself, and what is offered on every client can read."""

from typing import Any

import mcp.types
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.catalog.fingerprint import fingerprint
from gateway.catalog.items import MAX_DEFINITION_BYTES, MEMBERS, Dropped, read_items
from gateway.model import Item, ItemType, Listing

SCHEMA: Any = {"type": "object"}
GOOD: dict[ItemType, Any] = {
    "tool": {"name": "good", "inputSchema": SCHEMA},
    "prompt": {"name": "good"},
    "resource": {"uri": "note://good", "name": "Good"},
    "resource_template": {"uriTemplate": "note://{good}", "name": "Good"},
}
MODELS: dict[ItemType, Any] = {
    "tool": mcp.types.Tool,
    "prompt": mcp.types.Prompt,
    "resource": mcp.types.Resource,
    "resource_template": mcp.types.ResourceTemplate,
}


def listing(type: ItemType, *definitions: Any, backend: str = "crm") -> Listing:
    return Listing(backend, type, definitions, "modern")


def only(type: ItemType, definition: Any) -> Item:
    items, dropped = read_items(listing(type, definition))
    assert dropped == ()
    return items[0]


def headed(schema: Any) -> Any:
    return {"name": "bad", "inputSchema": {"type": "object", "properties": {"a": schema}}}


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


NAME = "its name is not 1 to 128 letters, digits, `_`, `.` and `-`"
URI = "uri must be an absolute URI in ASCII, with other characters percent-encoded"
TEMPLATE = "its uriTemplate is not a URI template (RFC 6570)"
OBJECT = "its inputSchema is not the schema of an object"
HINTS = "its annotations are not a title and hints that are true or false"
CONTENT = "its annotations are not annotations of content"
ARGUMENTS = "its arguments are not a list of named ones"


@pytest.mark.parametrize(
    ("type", "bad", "name", "reason"),
    [
        ("tool", {"inputSchema": SCHEMA}, "", NAME),
        ("tool", {"name": 7, "inputSchema": SCHEMA}, "", NAME),
        ("tool", {"name": "bad name", "inputSchema": SCHEMA}, "bad name", NAME),
        ("tool", {"name": "bad\n", "inputSchema": SCHEMA}, "bad\n", NAME),
        ("tool", {"name": "x" * 129, "inputSchema": SCHEMA}, "x" * 128, NAME),
        (
            "tool",
            {"name": "x" * 124, "inputSchema": SCHEMA},
            "x" * 124,
            "its name is longer than 128 characters with the backend's in front",
        ),
        ("tool", {"name": "bad"}, "bad", "it has no inputSchema"),
        ("tool", {"name": "bad", "inputSchema": {"type": "array"}}, "bad", OBJECT),
        ("tool", {"name": "bad", "inputSchema": {}}, "bad", OBJECT),
        ("tool", {"name": "bad", "inputSchema": True}, "bad", OBJECT),
        ("tool", {"name": "bad", "inputSchema": SCHEMA | {"properties": 5}}, "bad", OBJECT),
        ("tool", {"name": "bad", "inputSchema": SCHEMA | {"properties": {"a": "string"}}}, "bad", OBJECT),
        ("tool", {"name": "bad", "inputSchema": SCHEMA | {"required": "x"}}, "bad", OBJECT),
        ("tool", {"name": "bad", "inputSchema": SCHEMA | {"required": ["x", 1]}}, "bad", OBJECT),
        ("tool", {"name": "bad", "inputSchema": SCHEMA, "outputSchema": True}, "bad", "its outputSchema is not a schema"),
        ("tool", {"name": "bad", "inputSchema": SCHEMA, "title": 7}, "bad", "its title is not a text"),
        ("tool", {"name": "bad", "inputSchema": SCHEMA, "description": []}, "bad", "its description is not a text"),
        ("tool", {"name": "bad", "inputSchema": SCHEMA, "annotations": []}, "bad", HINTS),
        ("tool", {"name": "bad", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": "yes"}}, "bad", HINTS),
        ("tool", {"name": "good", "inputSchema": SCHEMA, "title": "again"}, "good", "its name was listed before"),
        ("prompt", {"name": "é"}, "é", NAME),
        ("prompt", {"name": "bad", "arguments": {}}, "bad", ARGUMENTS),
        ("prompt", {"name": "bad", "arguments": ["a"]}, "bad", ARGUMENTS),
        ("prompt", {"name": "bad", "arguments": [{"title": "A"}]}, "bad", ARGUMENTS),
        ("prompt", {"name": "bad", "arguments": [{"name": "a", "required": "yes"}]}, "bad", ARGUMENTS),
        ("resource", {"name": "Bad"}, "", URI),
        ("resource", {"uri": "relative", "name": "Bad"}, "relative", URI),
        ("resource", {"uri": "note://b", "name": 7}, "note://b", "its name is not a text"),
        ("resource", {"uri": "note://b"}, "note://b", "it has no name"),
        ("resource", {"uri": "note://b", "name": "B", "size": 1.5}, "note://b", "its size is not a whole number"),
        ("resource", {"uri": "note://b", "name": "B", "size": True}, "note://b", "its size is not a whole number"),
        ("resource", {"uri": "note://b", "name": "B", "mimeType": 1}, "note://b", "its mimeType is not a text"),
        ("resource", {"uri": "note://b", "name": "B", "annotations": {"priority": 2}}, "note://b", CONTENT),
        ("resource", {"uri": "note://b", "name": "B", "annotations": {"audience": ["all"]}}, "note://b", CONTENT),
        (
            "resource",
            {"uri": "note://a/../b", "name": "B"},
            "note://a/../b",
            "uri must not have dot segments, or an encoded dot, slash, backslash or percent sign",
        ),
        ("resource_template", {"name": "Bad"}, "", TEMPLATE),
        ("resource_template", {"uriTemplate": "note://{", "name": "Bad"}, "note://{", TEMPLATE),
        ("resource_template", {"uriTemplate": "note://{x}"}, "note://{x}", "it has no name"),
        (
            "tool",
            {"name": "deep", "inputSchema": {"type": "object", "a": nested(63)}},
            "deep",
            "its definition is nested deeper than 64 levels",
        ),
        ("tool", {"name": "abyss", "inputSchema": nested(5000)}, "abyss", "its definition is nested deeper than 64 levels"),
        # SEP-2243: a client must drop tools of which a header annotation is invalid
        ("tool", headed({"type": "number", "x-mcp-header": "A"}), "bad", None),
        ("tool", headed({"type": "string", "x-mcp-header": ""}), "bad", None),
        ("tool", headed({"type": "string", "x-mcp-header": "a b"}), "bad", None),
        ("tool", headed({"type": "string", "x-mcp-header": 7}), "bad", None),
        ("tool", headed({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}), "bad", None),
        ("tool", headed({"anyOf": [{"type": "string", "x-mcp-header": "A"}]}), "bad", None),
    ],
)
def test_one_bad_definition_is_dropped_with_its_reason_and_costs_no_other(
    type: ItemType, bad: Any, name: str, reason: str | None
) -> None:
    items, dropped = read_items(listing(type, GOOD[type], bad))
    assert [item.definition[MEMBERS[type]] for item in items] == [only(type, GOOD[type]).public_name]
    assert [(each.backend, each.type, each.name) for each in dropped] == [("crm", type, name)]
    assert dropped[0].reason == reason if reason is not None else "x-mcp-header" in dropped[0].reason


def test_two_headers_that_differ_in_case_only_are_invalid() -> None:
    properties = {name: {"type": "string", "x-mcp-header": name} for name in ("Region", "region")}
    items, dropped = read_items(listing("tool", {"name": "bad", "inputSchema": {"type": "object", "properties": properties}}))
    assert (items, len(dropped)) == ((), 1)


def test_a_tool_keeps_where_its_headers_come_from() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"b": {"type": "string", "x-mcp-header": "B"}}}},
    }
    assert only("tool", {"name": "t", "inputSchema": schema}).header_map == {("a", "b"): "B"}


def test_a_definition_over_its_size_is_dropped() -> None:
    raw = {"name": "big", "inputSchema": SCHEMA, "description": "x" * MAX_DEFINITION_BYTES}
    size = len(msgspec.json.encode(raw))
    reason = f"its definition has {size} bytes, more than {MAX_DEFINITION_BYTES}"
    assert read_items(listing("tool", raw)) == ((), (Dropped("crm", "tool", "big", reason),))


def test_a_definition_as_deep_as_may_be_is_offered() -> None:
    assert only("tool", {"name": "t", "inputSchema": {"type": "object", "a": nested(62)}}).id == "crm__t"


def test_what_speaks_of_the_hop_behind_is_not_offered_on() -> None:
    raw = {
        "name": "t",
        "inputSchema": SCHEMA,
        "execution": {"taskSupport": "required"},
        "icons": [
            {"src": "https://inside.example/i.png"},
            {"src": "data:image/png;base64,AA=="},
            {"src": "data:,", "sizes": "9"},
        ],
        "_meta": {"com.example/internal": 1, "ui": {"resourceUri": "ui://panel/main", "visibility": ["app"]}},
        "x-later": {"kept": True},
    }
    item = only("tool", raw)
    assert item.definition == {
        "name": "crm__t",
        "inputSchema": SCHEMA,
        "icons": [{"src": "data:image/png;base64,AA=="}],
        "_meta": {"ui": {"resourceUri": "ui://gw-crm.panel/main", "visibility": ["app"]}},
        "x-later": {"kept": True},
    }
    assert msgspec.json.decode(item.modern) == msgspec.json.decode(item.legacy) == item.definition
    assert item.fingerprint == fingerprint(raw)


@pytest.mark.parametrize(
    ("type", "id"),
    [
        ("tool", "crm__good"),
        ("prompt", "crm__good"),
        ("resource", "gw-crm+note://good"),
        ("resource_template", "gw-crm+note://{good}"),
    ],
)
def test_an_item_is_known_by_its_public_name_everywhere(type: ItemType, id: str) -> None:
    item = only(type, GOOD[type])
    assert (item.id, item.public_name, item.definition[MEMBERS[type]]) == (id, id, id)
    assert msgspec.json.decode(item.modern)[MEMBERS[type]] == id


@pytest.mark.parametrize("output", [{"type": "array"}, {}, {"anyOf": []}])
def test_an_output_schema_that_only_modern_clients_know_is_not_shown_to_legacy_ones(output: Any) -> None:
    item = only("tool", {"name": "t", "inputSchema": SCHEMA, "outputSchema": output})
    assert msgspec.json.decode(item.modern)["outputSchema"] == output
    assert msgspec.json.decode(item.legacy) == {"name": "crm__t", "inputSchema": SCHEMA}


def test_null_is_absent() -> None:
    raw = {
        "name": "t",
        "inputSchema": SCHEMA,
        "title": None,
        "outputSchema": None,
        "annotations": {"title": None, "readOnlyHint": True},
    }
    item = only("tool", raw)
    assert item.definition == {"name": "crm__t", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}}
    assert item.annotations == {"readOnlyHint": True}


def test_integers_beyond_64_bits_keep_their_value() -> None:
    schema = {"type": "object", "properties": {"n": {"const": 2**70}}}
    assert str(2**70).encode() in only("tool", {"name": "t", "inputSchema": schema}).modern


KEYS = [
    "name",
    "title",
    "description",
    "required",
    "src",
    "sizes",
    "theme",
    "audience",
    "priority",
    "readOnlyHint",
    "ui",
    "type",
    "resourceUri",
]
OPTIONAL = [
    "title",
    "description",
    "annotations",
    "icons",
    "_meta",
    "arguments",
    "execution",
    "mimeType",
    "size",
    "outputSchema",
    "name",
]
ANY: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "data:x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


@example("resource", [{"size": 9.223372036854776e18}])
@given(st.sampled_from(sorted(GOOD)), st.lists(st.dictionaries(st.sampled_from(OPTIONAL), ANY, max_size=4), max_size=3))
def test_whatever_a_backend_lists_the_official_client_can_read_what_is_offered_on(type: ItemType, extras: list[Any]) -> None:
    items, dropped = read_items(listing(type, *({**GOOD[type], **extra} for extra in extras)))
    assert len(items) + len(dropped) == len(extras)
    for item in items:
        MODELS[type].model_validate_json(item.modern)
        MODELS[type].model_validate_json(item.legacy)

"""`Mcp-Param-*`: header and argument say the same, or neither says anything (2026-07-28, transports: custom headers)."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Refusal
from gateway.model import Json, JsonObject
from gateway.wire.params import check_param_headers, param_headers

SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "where": {"type": "object", "properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}}},
        "free": {"type": "string"},
    },
}
HEADER_MAP: Final = {("region",): "Region", ("count",): "Count", ("dry",): "Dry", ("where", "zone"): "Zone"}
Lines = list[tuple[str, str]]

AGREEING: list[tuple[JsonObject, Lines]] = [
    ({}, []),
    ({"region": None, "free": "x"}, []),
    ({"region": "us"}, [("mcp-param-region", "us")]),
    ({"region": " us"}, [("mcp-param-region", "=?base64?IHVz?=")]),
    ({"region": "=?BASE64?x?="}, [("mcp-param-region", "=?BASE64?x?=")]),
    ({"count": 42}, [("mcp-param-count", "42.0")]),
    ({"count": 42.0}, [("mcp-param-count", "42")]),
    ({"count": 2**64}, [("mcp-param-count", str(2**64))]),
    ({"dry": True}, [("mcp-param-dry", "true")]),
    ({"where": {"zone": "a"}}, [("mcp-param-zone", "a")]),
    ({"region": "us"}, [("mcp-param-region", "us"), ("mcp-param-other", "a"), ("mcp-param-other", "b")]),
]


@pytest.mark.parametrize(("arguments", "lines"), AGREEING)
def test_headers_that_agree_with_the_arguments_pass_and_unknown_ones_are_ignored(arguments: JsonObject, lines: Lines) -> None:
    check_param_headers(SCHEMA, arguments, lines)


REGION = "Mcp-Param-Region header"
UNLIKE = " does not match the request body's "
DISAGREEING: list[tuple[JsonObject, Lines, str]] = [
    ({"region": "us"}, [], f"{REGION} is missing but the request body's 'region' argument is present"),
    ({}, [("mcp-param-region", "us")], f"{REGION} is present but the request body's 'region' argument is absent"),
    ({"region": None}, [("mcp-param-region", "")], f"{REGION} is present but the request body's 'region' argument is absent"),
    ({"region": "us"}, [("mcp-param-region", "eu")], f"{REGION}{UNLIKE}'region' argument"),
    ({"region": "us"}, [("mcp-param-region", "US")], f"{REGION}{UNLIKE}'region' argument"),
    ({"region": "us"}, [("mcp-param-region", "=?base64?dXM?=")], f"{REGION} carries a malformed base64 sentinel value"),
    (
        {"region": "us"},
        [("mcp-param-region", "us"), ("Mcp-Param-Region", "us")],
        "an Mcp-Param header was sent more than once",
    ),
    ({"count": 42}, [("mcp-param-count", "4.2e1")], f"Mcp-Param-Count header{UNLIKE}'count' argument"),
    ({"dry": True}, [("mcp-param-dry", "1")], f"Mcp-Param-Dry header{UNLIKE}'dry' argument"),
    ({"where": {"zone": "a"}}, [("mcp-param-zone", "b")], f"Mcp-Param-Zone header{UNLIKE}'where.zone' argument"),
]


@pytest.mark.parametrize(("arguments", "lines", "message"), DISAGREEING)
def test_headers_that_disagree_with_the_arguments_are_a_mismatch(arguments: JsonObject, lines: Lines, message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        check_param_headers(SCHEMA, arguments, lines)
    assert (refusal.value.status("modern"), refusal.value.code("modern"), refusal.value.message) == (400, -32020, message)


@pytest.mark.parametrize("schema", [None, {}, {"type": "object", "properties": {"region": {"type": "string"}}}])
def test_a_schema_that_names_no_header_has_nothing_to_disagree_with(schema: Json) -> None:
    check_param_headers(schema, {"region": "us"}, [("mcp-param-region", "eu"), ("mcp-param-region", "eu")])


def test_headers_are_built_from_the_arguments_that_are_there() -> None:
    arguments: JsonObject = {"region": "é", "count": 2**53 + 1, "dry": False, "where": {"zone": None}, "free": "x"}
    assert param_headers(HEADER_MAP, arguments) == {
        "Mcp-Param-Region": "=?base64?w6k=?=",
        "Mcp-Param-Count": "9007199254740993",
        "Mcp-Param-Dry": "false",
    }


ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "region": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        "count": st.none() | st.integers(),
        "dry": st.none() | st.booleans(),
        "where": st.fixed_dictionaries({}, optional={"zone": st.none() | st.sampled_from([" a", "a\r\nb", "=?base64??="])}),
    },
)


@given(ARGUMENTS)
@settings(max_examples=200)
def test_what_is_built_from_the_arguments_agrees_with_them_and_holds_no_line_break(arguments: JsonObject) -> None:
    headers = param_headers(HEADER_MAP, arguments)
    check_param_headers(SCHEMA, arguments, list(headers.items()))
    assert all(value.isascii() and value.isprintable() for value in headers.values())

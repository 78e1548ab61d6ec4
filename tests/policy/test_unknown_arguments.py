"""Arguments that an item's schema does not know are found, however it is composed; what it knows is left alone."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Json, JsonObject
from gateway.policy.unknown_arguments import unknown_arguments

TEXT: JsonObject = {"type": "string"}
FLAT: JsonObject = {"type": "object", "properties": {"a": TEXT, "b": {"type": "integer"}}}
NESTED: JsonObject = {"type": "object", "properties": {"o": FLAT, "l": {"type": "array", "items": FLAT}}}
CASES: dict[str, tuple[Json, JsonObject, tuple[str, ...]]] = {
    "all known": (FLAT, {"a": "x", "b": 1}, ()),
    "one unknown": (FLAT, {"a": "x", "A": 1}, ("/A",)),
    "true lets pass and knows nothing": ({**FLAT, "additionalProperties": True}, {"c": 1}, ("/c",)),
    "false knows nothing": ({**FLAT, "additionalProperties": False}, {"c": 1}, ("/c",)),
    "a map knows all": ({**FLAT, "additionalProperties": TEXT}, {"c": "x"}, ()),
    "a pattern knows its names": ({**FLAT, "patternProperties": {"^x-": TEXT}}, {"x-a": "1", "y-a": "1"}, ("/y-a",)),
    "a pattern that is none": ({**FLAT, "patternProperties": {"(?=x)": TEXT}}, {"x": "1"}, ("/x",)),
    "nested": (NESTED, {"o": {"a": "x", "force": True}}, ("/o/force",)),
    "in a list": (NESTED, {"l": [{"a": "x"}, {"z": 1}]}, ("/l/1/z",)),
    "a free object below": ({"properties": {"o": {"type": "object"}}}, {"o": {"x": {"y": 1}}}, ()),
    "a closed object below": (
        {"properties": {"o": {"type": "object", "additionalProperties": False}}},
        {"o": {"x": 1}},
        ("/o/x",),
    ),
    "no properties at all": ({"type": "object"}, {"x": 1}, ("/x",)),
    "no schema": (None, {"x": 1, "y": 2}, ("/x", "/y")),
    "a reference": (
        {"properties": {"o": {"$ref": "#/$defs/o"}}, "$defs": {"o": FLAT}},
        {"o": {"a": "x", "c": 1}},
        ("/o/c",),
    ),
    "a reference elsewhere": ({"$ref": "https://example.com/schema"}, {"a": 1}, ("/a",)),
    "all of": ({"allOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}, {"a": "", "b": "", "c": ""}, ("/c",)),
    "any of": ({"anyOf": [FLAT, {"properties": {"c": TEXT}}]}, {"a": "", "c": "", "d": ""}, ("/d",)),
    "if and then": ({"properties": {"a": TEXT}, "if": {}, "then": {"properties": {"b": TEXT}}}, {"b": "", "c": ""}, ("/c",)),
    "a recursive schema": (
        {"properties": {"a": TEXT, "child": {"$ref": "#"}}},
        {"child": {"child": {"a": "", "x": 1}}},
        ("/child/child/x",),
    ),
    "a reference to itself": ({"$ref": "#"}, {"a": 1}, ("/a",)),
    "tuples": (
        {"properties": {"l": {"prefixItems": [FLAT], "items": {"properties": {}}}}},
        {"l": [{"c": 1}, {"d": 1}]},
        ("/l/0/c", "/l/1/d"),
    ),
    "a name with slashes": (FLAT, {"a/b": 1, "~": 1}, ("/a~1b", "/~0")),
    "properties that are none": ({"properties": []}, {"a": 1}, ("/a",)),
    "true for one property": ({"properties": {"a": True}, "allOf": []}, {"a": {"x": 1}}, ()),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_schema_does_not_know_is_told(case: str) -> None:
    schema, arguments, unknown = CASES[case]
    assert unknown_arguments(schema, arguments) == unknown


def test_what_cannot_be_told_within_bounds_is_unknown_as_a_whole() -> None:
    levels: JsonObject = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}, {"$ref": f"#/$defs/l{n + 1}"}]} for n in range(40)}
    began_s = time.process_time()
    unknown_arguments({"$ref": "#/$defs/l0", "$defs": levels}, {"a": 1})
    many: JsonObject = {"properties": {"l": {"type": "array", "items": {"$ref": "#/properties/o"}}, "o": FLAT}}
    assert unknown_arguments(many, {"l": [{"a": "x"}] * 5_000}) == ("",)
    assert time.process_time() - began_s < 1


def test_members_looked_up_in_many_schemas_or_patterns_are_unknown_as_a_whole() -> None:
    members: JsonObject = {f"xx{n}": 0 for n in range(5_000)}
    assert unknown_arguments({"allOf": [{"minProperties": n} for n in range(100)]}, members) == ("",)
    assert unknown_arguments({"patternProperties": {f"x{n}y": {} for n in range(100)}}, members) == ("",)
    slow: JsonObject = {f"[\\pL{n}]{{60}}": {} for n in range(100)}
    assert unknown_arguments({"patternProperties": slow}, {"a": 1}) == ("",)
    texts: JsonObject = {"a": ["x"] * 90_000}
    assert unknown_arguments({"allOf": [{"properties": {"a": {"type": "array", "items": TEXT}}}]}, texts) == ()


def test_a_reference_or_a_name_that_cannot_be_read_knows_nothing() -> None:
    long: JsonObject = {"$ref": "#/$defs" + "/a" * 1_000, "$defs": FLAT}
    half: JsonObject = {"patternProperties": {"^a": TEXT}}
    assert unknown_arguments(long, {"a": 1}) == ("/a",)
    assert unknown_arguments(half, {"a\ud800": ""}) == ("/a\ud800",)


NAMES = st.sampled_from("abc")
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.integers(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
SCHEMAS: st.SearchStrategy[Json] = st.recursive(
    st.just({}) | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={"properties": st.dictionaries(NAMES, inner, max_size=3), "items": inner, "allOf": st.lists(inner, max_size=2)},
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, st.dictionaries(NAMES, VALUES, max_size=3))
def test_every_pointer_leads_to_an_argument(schema: Json, arguments: JsonObject) -> None:
    for pointer in unknown_arguments(schema, arguments):
        value: Json = arguments
        for token in pointer.split("/")[1:]:
            value = value[int(token)] if isinstance(value, list) else value[token] if isinstance(value, dict) else None


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, st.integers(), max_size=3), st.sets(NAMES))
def test_a_composed_schema_knows_what_its_flat_form_knows(arguments: JsonObject, known: set[str]) -> None:
    flat: JsonObject = {"properties": {name: {"type": "integer"} for name in sorted(known)}}
    expected = tuple(f"/{name}" for name in arguments if name not in known)
    assert unknown_arguments(flat, arguments) == unknown_arguments({"allOf": [flat]}, arguments) == expected

"""A value is valid only where a bounded check, without network, says so."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.model import Json, JsonObject
from gateway.policy.schema_check import TakesLong, compiled

MERGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "base": {"type": "string", "pattern": "^[a-z]+$"},
        "number": {"type": "integer", "minimum": 1},
        "labels": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
    },
    "patternProperties": {"^x-": {"type": "string"}},
    "required": ["base"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ({"base": "main"}, True),
        ({"base": "main", "number": 1, "labels": ["a", "b"], "x-y": "z"}, True),
        ({"base": "main", "number": 2**70}, True),
        ({}, False),
        ([], False),
        (None, False),
        ({"base": "Main"}, False),
        ({"base": None}, False),
        ({"base": "main", "number": True}, False),
        ({"base": "main", "number": 0}, False),
        ({"base": "main", "labels": ["a", "a"]}, False),
        ({"base": "main", "x-y": 1}, False),
        ({"base": "main", "other": 1}, False),
    ],
)
def test_arguments_are_checked_against_the_items_own_schema(value: Any, valid: bool) -> None:
    assert compiled(MERGE).valid(value) is valid
    assert compiled(MERGE).valid(value) is valid


UNUSABLE: dict[str, Any] = {
    "absent": None,
    "a boolean": True,
    "no schema": {"type": "thing"},
    "properties that are a list": {"properties": []},
    "an unknown dialect": {"$schema": "https://example.com/own"},
    "a dialect that is no text": {"$schema": 7},
    "huge": {"description": "x" * 300_000},
    "remote reference": {"$ref": "https://example.com/schema.json"},
    "reference to a file": {"$ref": "file:///etc/passwd"},
    "dangling reference": {"$ref": "#/$defs/none"},
    "endless reference": {"$ref": "#"},
    "look-around": {"pattern": "(?=a)", "type": "string"},
    "an address that is none": {"$id": "http://[", "type": "object", "properties": {"a": {"$ref": "x"}}},
    "half a character": {"type": ["object", "string"], "pattern": "\ud800"},
    "members that Python's patterns would choose": {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": True},
    "more parts than are judged": {"anyOf": [{}] * 10_000},
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_nothing_is_valid_under_a_schema_that_cannot_be_judged(name: str) -> None:
    validator = compiled(UNUSABLE[name])
    values: tuple[Json, ...] = ({}, "a")
    assert [validator.valid(value) for value in values] == [False, False]


def test_the_reason_is_told_to_the_operator() -> None:
    assert compiled({"$schema": "x"}).problem == "the dialect 'x' is not known"
    assert compiled(MERGE).problem is None
    assert compiled(UNUSABLE["an address that is none"]).problem == "it is no schema: ValueError"
    assert compiled(UNUSABLE["half a character"]).problem == "it is no schema: UnicodeEncodeError"


def test_what_the_library_stumbles_over_is_not_valid() -> None:
    schema: JsonObject = {"$schema": "http://json-schema.org/draft-07/schema#", "items": True, "additionalItems": False}
    assert [compiled(schema).valid([1]), compiled(schema).prompt([1])] == [False, False]
    assert not compiled({"pattern": "a"}).valid("a\ud800")


def test_a_part_in_a_dialect_of_its_own_is_as_bounded_as_all_others() -> None:
    dialect = "http://json-schema.org/draft-07/schema#"
    schema: JsonObject = {"properties": {"a": {"$schema": dialect, "pattern": "^(a+)+$"}, "b": {"$schema": "own"}}}
    values: tuple[Json, ...] = ({"a": "a"}, {"a": "a" * 60 + "!"}, {"b": 1})
    assert [compiled(schema).valid(value) for value in values] == [True, False, False]


def test_an_anchor_is_found_however_often_it_is_referred_to() -> None:
    schema: JsonObject = {
        "$defs": {"t": {"$anchor": "text", "type": "string"}, "o": {"$id": "https://example.com/o", "type": "integer"}},
        "items": {"anyOf": [{"$ref": "#text"}, {"$ref": "https://example.com/o"}]},
    }
    values: tuple[Json, ...] = (["a", 1], [True])
    assert [compiled(schema).valid(value) for value in values] == [True, False]


def _deep(schema: Json) -> Json:
    for _ in range(50):
        schema = {"allOf": [schema]}
    return schema


HOSTILE: dict[str, tuple[Any, Json]] = {
    "choices of constants": ({"items": {"anyOf": [{"const": n} for n in range(1_000)]}}, [999] * 2_000),
    "all of one": ({"items": {"allOf": [{"minimum": n} for n in range(1_000)]}}, [1_000] * 2_000),
    "one of many": ({"items": {"oneOf": [{"maximum": n} for n in range(1_000)]}}, [999] * 2_000),
    "what it is not": ({"items": {"allOf": [{"not": {"const": n}} for n in range(1_000)]}}, [-1] * 2_000),
    "long enumerations": ({"items": {"enum": [[n] for n in range(1_000)]}}, [[999]] * 2_000),
    "constants that are large": ({"items": {"const": [[[0] * 10] * 100] * 5}}, [[[[0] * 10] * 100] * 5] * 2_000),
    "much to contain": ({"allOf": [{"contains": True}] * 1_000}, list(range(90_000))),
    "many that must be there": (
        {"items": {"required": [f"{n}" for n in range(5_000)]}},
        [{f"{n}": 0 for n in range(5_000)}] * 2_000,
    ),
    "many patterns for many names": (
        {"patternProperties": {f"x{n}y": {} for n in range(1_000)}},
        {f"xx{n}": 0 for n in range(10_000)},
    ),
    "lists that are unique again and again": ({"allOf": [{"uniqueItems": True}] * 1_000}, [f"{n}" for n in range(9_000)]),
    "errors on a long way up": (
        {"anyOf": [_deep({"additionalProperties": False, "items": {"type": "string"}})]},
        list(range(90_000)),
    ),
    "failures that tell of the value": ({"anyOf": [{"type": "string"}] * 3_000}, ["x"] * 3_000),
    "what was not evaluated": ({"allOf": [{"contains": {}}] * 10, "unevaluatedItems": False}, list(range(50_000))),
    "a long pattern for many short texts": ({"items": {"pattern": "^(x|y){100}"}}, ["xy" * 100] * 2_000),
    "a pattern of a thousand steps": ({"items": {"pattern": "(x.?){500}y"}}, ["xabx" * 500_000]),
}


def test_patterns_that_are_slow_to_compile_are_not_compiled_on_the_event_loop() -> None:
    schema: JsonObject = {"anyOf": [{"pattern": f"(a{n}|b){{100}}"} for n in range(20)]}
    value = "ab" * 3
    with pytest.raises(TakesLong):
        compiled(schema).prompt(value)
    assert [compiled(schema).valid(value), compiled(schema).prompt(value)] == [False, False]


@pytest.mark.parametrize("case", HOSTILE)
def test_what_takes_long_is_not_done_on_the_event_loop(case: str) -> None:
    schema, value = HOSTILE[case]
    validator = compiled(schema)
    assert validator.problem is None
    with pytest.raises(TakesLong):
        validator.prompt(value)


def test_what_takes_too_many_steps_is_not_valid() -> None:
    schema, value = HOSTILE["choices of constants"]
    assert not compiled(schema).valid(value)


LARGE: dict[str, tuple[Json, Json]] = {
    "a long text": ({"properties": {"a": {"type": "string", "minLength": 1}}}, {"a": "x" * 4_000_000}),
    "a long text with a pattern": ({"properties": {"a": {"pattern": "^[a-z ]+$"}}}, {"a": "x y" * 1_000_000}),
    "many texts": ({"properties": {"a": {"type": "array", "items": {"type": "string"}}}}, {"a": ["x"] * 90_000}),
    "many choices": ({"items": {"enum": [f"v{n}" for n in range(200)]}}, ["v199"] * 20_000),
    "many objects": ({"items": MERGE}, [{"base": "main", "number": 1, "labels": ["a", "b"]}] * 5_000),
}


@pytest.mark.parametrize("case", LARGE)
def test_what_is_large_and_plain_is_judged(case: str) -> None:
    schema, value = LARGE[case]
    assert compiled(schema).valid(value)


def test_a_large_schema_is_compiled_where_it_may_take_long() -> None:
    validator = compiled({"properties": {f"p{n}": {"type": "string"} for n in range(100)}})
    with pytest.raises(TakesLong):
        validator.prompt({"p1": "x"})
    assert [validator.valid({"p1": "x"}), validator.prompt({"p1": "x"}), validator.prompt({"p1": 1})] == [True, True, False]


def test_draft_7_is_judged_by_its_own_rules() -> None:
    schema: JsonObject = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"type": "string"}],
        "additionalItems": False,
    }
    values: tuple[Json, ...] = (["a"], ["a", 1], [1])
    assert [compiled(schema).valid(value) for value in values] == [True, False, False]


def test_references_that_double_at_every_level_end_soon() -> None:
    levels: JsonObject = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(40)}
    started = time.perf_counter()
    assert not compiled({"$defs": {**levels, "l40": {}}, "$ref": "#/$defs/l0"}).valid({})
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(.*a){20}$"])
def test_a_pattern_that_python_would_chew_for_ever_ends_soon(pattern: str) -> None:
    started = time.perf_counter()
    compiled({"pattern": pattern, "patternProperties": {pattern: {}}}).valid("a" * 5_000 + "!")
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("value", "valid"), [([1, 1.0], False), ([1, True], True), ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False)]
)
def test_entries_are_unique_as_json_means_it(value: Any, valid: bool) -> None:
    assert compiled({"uniqueItems": True}).valid(value) is valid


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["base", "labels", "x-y"]), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_the_bounded_check_agrees_with_the_plain_one(value: Any) -> None:
    assert compiled_once.valid(value) is Draft202012Validator(MERGE).is_valid(value)


compiled_once = compiled(MERGE)

names = st.sampled_from(["base", "labels", "x-y"])
json_schemas: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([True, False, {}, {"type": "string"}, {"minimum": 0}, {"minLength": 1}, {"uniqueItems": True}])
    | st.builds(lambda value: {"const": value}, json_values)
    | st.builds(lambda values: {"enum": values}, st.lists(json_values, min_size=1, max_size=3)),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(names, inner, max_size=2),
            "items": inner,
            "contains": inner,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "additionalProperties": inner,
            "propertyNames": inner,
            "dependentSchemas": st.dictionaries(names, inner, max_size=2),
            "unevaluatedProperties": inner,
            "unevaluatedItems": inner,
        },
    ),
    max_leaves=6,
)


@given(json_schemas, json_values)
@settings(max_examples=300, deadline=None)
def test_the_bounded_check_agrees_with_the_plain_one_under_any_schema(schema: Any, value: Any) -> None:
    if isinstance(schema, dict):
        assert compiled(schema).valid(value) is Draft202012Validator(schema).is_valid(value)

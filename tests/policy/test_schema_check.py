"""A value is valid only where a bounded check, without network, says so."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.model import Json, JsonObject
from gateway.policy.schema_check import compiled, result_valid

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
    assert result_valid(MERGE, value) is valid


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
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_nothing_is_valid_under_a_schema_that_cannot_be_judged(name: str) -> None:
    validator = compiled(UNUSABLE[name])
    values: tuple[Json, ...] = ({}, "a")
    assert [validator.valid(value) for value in values] == [False, False]


def test_the_reason_is_told_to_the_operator() -> None:
    assert compiled({"$schema": "x"}).problem == "the dialect 'x' is not known"
    assert compiled(MERGE).problem is None


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

"""A backend's schema becomes one that OPA's type checker takes, and never one that refuses a right rule."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as some
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from gateway.lifecycle.catalog.digestible import MAX_NODES, Digest, digestible
from gateway.model import Json, JsonObject
from tools.binaries import find

TEXT: JsonObject = {"type": "string"}
NO_NAMES = "it lists no names, so rules about them are not checked"


def arguments(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def property_of(schema: Any, **more: Any) -> Any:
    """What becomes of one property's schema."""
    return digestible({**arguments({"a": schema}), **more}).schema["properties"]["a"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("schema", "becomes"),
    [
        pytest.param({"type": "string", "pattern": "(?=x)", "format": "email", "title": "A"}, TEXT, id="values"),
        pytest.param({"type": ["string", "null"]}, {"anyOf": [TEXT, {"type": "null"}]}, id="several types"),
        pytest.param({"oneOf": [TEXT, {"type": "integer"}]}, {"anyOf": [TEXT, {"type": "integer"}]}, id="oneOf"),
        pytest.param({"anyOf": [TEXT, {"description": "?"}]}, {}, id="a choice of anything"),
        pytest.param({"allOf": [TEXT, {"minLength": 1}]}, TEXT, id="allOf"),
        pytest.param({"allOf": [{"type": "number"}, {"type": "integer"}]}, {"type": "integer"}, id="an integer is a number"),
        pytest.param({"enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}, id="an enumeration"),
        pytest.param(
            {"type": ["string", "null"], "enum": ["a", None]},
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
            id="an enumeration with null",
        ),
        pytest.param({"const": 3}, {"type": "integer", "enum": [3]}, id="a constant"),
        pytest.param({"type": "any"}, {}, id="no type"),
        pytest.param(True, {}, id="true"),
        pytest.param({}, {}, id="anything"),
        pytest.param({"type": "array", "items": TEXT}, {"type": "array", "items": TEXT}, id="a list"),
        pytest.param({"type": "array", "prefixItems": [TEXT], "items": False}, {"type": "array", "items": TEXT}, id="a tuple"),
        pytest.param({"type": "array", "items": [TEXT, True]}, {"type": "array"}, id="an old tuple"),
        pytest.param({"properties": {"b": TEXT}}, {}, id="properties of what need not be an object"),
        pytest.param({"type": "object", "additionalProperties": TEXT}, {"type": "object"}, id="a map"),
        pytest.param({"$ref": "#/$defs/x~1y"}, TEXT, id="a reference"),
        pytest.param({"$ref": "#/$defs/x~1y", "type": ["string", "null"]}, TEXT, id="a reference and more"),
        pytest.param({"$ref": "https://schemas.invalid/x.json"}, {}, id="a reference elsewhere"),
        pytest.param({"$ref": "#/nowhere"}, {}, id="a reference to nothing"),
        pytest.param({"$ref": 1}, {}, id="no reference"),
    ],
)
def test_each_word_of_a_schema_becomes_one_that_opa_takes(schema: Any, becomes: Any) -> None:
    assert property_of(schema, **{"$defs": {"x/y": TEXT}}) == becomes


def test_what_is_required_of_several_choices_keeps_every_name() -> None:
    both = arguments({"id": TEXT, "email": TEXT}, anyOf=[{"required": ["id"]}, {"required": ["email"]}], required=["id"])
    assert digestible(both) == Digest({**arguments({"email": TEXT, "id": TEXT}), "required": ["id"]}, ())


def test_the_names_of_all_choices_are_names() -> None:
    schema: JsonObject = {
        "type": "object",
        "oneOf": [arguments({"a": TEXT, "kind": {"const": "a"}}), arguments({"b": TEXT, "kind": {"const": "b"}})],
        "then": {"properties": {"c": TEXT}},
        "dependentSchemas": {"a": {"properties": {"d": TEXT}}},
    }
    kinds = {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["b"]}]}
    assert digestible(schema).schema == arguments({"a": TEXT, "b": TEXT, "c": TEXT, "d": TEXT, "kind": kinds})


def test_an_object_of_any_names_among_the_choices_leaves_names_open() -> None:
    schema: JsonObject = {"type": "object", "anyOf": [arguments({"a": TEXT}), {"type": "object"}]}
    found = digestible(schema)
    assert found.notes == ("it may be an object of any names, so none are checked", NO_NAMES)
    assert found.schema == {"$comment": "; ".join(found.notes), "type": "object"}


def test_a_schema_of_itself_ends_and_says_so() -> None:
    node = arguments({"next": {"$ref": "#/$defs/node"}, "value": TEXT})
    assert digestible({**arguments({"first": {"$ref": "#/$defs/node"}}), "$defs": {"node": node}}) == Digest(
        {
            "$comment": "/first/next refers to itself; below that anything goes",
            **arguments({"first": arguments({"next": {}, "value": TEXT})}),
        },
        ("/first/next refers to itself; below that anything goes",),
    )
    assert digestible({"$ref": "#"}).schema["type"] == "object"


def test_a_schema_that_grows_with_every_level_costs_a_bounded_time_and_size() -> None:
    levels: JsonObject = {
        f"l{n}": arguments({"a": {"$ref": f"#/$defs/l{n + 1}"}, "b": {"$ref": f"#/$defs/l{n + 1}"}}) for n in range(40)
    }
    found = digestible({"$ref": "#/$defs/l0", "$defs": levels})
    assert found.notes
    assert len(json.dumps(found.schema)) < 100 * MAX_NODES


def test_arguments_that_are_no_object_are_an_object_of_anything() -> None:
    schemas: tuple[Json, ...] = (None, True, [], {}, {"type": "object"}, {"type": "object", "properties": {}})
    for schema in schemas:
        assert digestible(schema) == Digest({"$comment": NO_NAMES, "type": "object"}, (NO_NAMES,))


# --- with the real OPA ------------------------------------------------------------------------------------------------


RULE = """\
# METADATA
# schemas:
#   - input.arguments: schema.tools.crm.{name}
package rules.{name}

allow if {condition}
"""


def checked(folder: Path, schemas: dict[str, Any], condition: str) -> str:
    """What `opa check` says of a rule for each of these schemas."""
    (folder / "schemas/tools/crm").mkdir(parents=True, exist_ok=True)
    (folder / "rules").mkdir(exist_ok=True)
    for name, schema in schemas.items():
        (folder / f"schemas/tools/crm/{name}.json").write_text(json.dumps(schema))
        (folder / f"rules/{name}.rego").write_text(RULE.format(name=name, condition=condition))
    done = subprocess.run(
        [find("opa"), "check", "--strict", "--schema", str(folder / "schemas"), str(folder / "rules")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


HARD: dict[str, Any] = {
    "pydantic": {
        "$defs": {"Mail": {"enum": ["work", "home"], "title": "Mail", "type": "string"}},
        "properties": {
            "email": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "k": {"$ref": "#/$defs/Mail"},
        },
        "type": "object",
    },
    "zod": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"email": {"type": ["string", "null"], "pattern": "^(?!x)"}},
        "additionalProperties": False,
    },
    "union": {"type": "object", "oneOf": [arguments({"email": TEXT}), arguments({"id": TEXT})]},
    "required": arguments({"email": TEXT, "id": TEXT}, anyOf=[{"required": ["email"]}, {"required": ["id"]}]),
    "remote": arguments({"email": TEXT, "x": {"$ref": "http://127.0.0.1:1/x.json"}}),
    "odd": arguments({"email": {"type": "text"}, "n": {"type": "number", "minimum": "0"}, "e": {"enum": []}}, required=[]),
    "self": {**arguments({"email": TEXT, "x": {"$ref": "#"}}), "$id": "http://127.0.0.1:1/self.json"},
    "all": {"allOf": [arguments({"email": TEXT}), arguments({"id": TEXT})], "type": "object"},
}


def test_schemas_as_backends_write_them_refuse_a_misspelt_argument_and_take_the_right_one(tmp_path: Path) -> None:
    digests = {name: digestible(schema).schema for name, schema in HARD.items()}
    assert checked(tmp_path, digests, 'input.arguments.email == "a@example.com"') == ""
    said = checked(tmp_path, digests, 'input.arguments.emial == "a@example.com"')
    assert said.count('have: "emial"') == len(HARD), said
    assert "unable to compile" not in said


def test_an_optional_argument_may_be_compared_with_each_of_its_types(tmp_path: Path) -> None:
    digests = {name: digestible(HARD[name]).schema for name in ("pydantic", "zod")}
    for value in ('"a"', "null"):
        assert checked(tmp_path, digests, f"input.arguments.email == {value}") == ""
    assert checked(tmp_path, {"plain": arguments({"email": TEXT})}, "input.arguments.email == 3").count("match error") == 1


WORDS = some.sampled_from(["string", "integer", "null", "object", "array", "any", 7])
SCHEMAS = some.recursive(
    some.one_of(
        some.booleans(),
        some.fixed_dictionaries({}, optional={"type": some.one_of(WORDS, some.lists(WORDS, max_size=3))}),
        some.fixed_dictionaries({"$ref": some.sampled_from(["#", "#/properties/a", "#/$defs/x", "http://127.0.0.1:1/", 3])}),
        some.fixed_dictionaries({"enum": some.lists(some.one_of(some.none(), some.integers(0, 3), some.just("a")), max_size=3)}),
    ),
    lambda inner: some.fixed_dictionaries(
        {},
        optional={
            "type": some.one_of(WORDS, some.lists(WORDS, max_size=3)),
            "properties": some.dictionaries(some.sampled_from(["a", "b", "c/d", "é"]), inner, max_size=3),
            "items": some.one_of(inner, some.lists(inner, max_size=2)),
            "anyOf": some.lists(inner, max_size=3),
            "oneOf": some.one_of(some.lists(inner, max_size=2), some.just("x")),
            "allOf": some.lists(inner, max_size=2),
            "then": inner,
            "required": some.one_of(some.lists(some.sampled_from(["a", "b"]), max_size=2), some.just(1)),
            "$defs": some.fixed_dictionaries({"x": inner}),
            "pattern": some.sampled_from(["(?=x)", "("]),
            "minimum": some.sampled_from(["0", 0]),
        },
    ),
    max_leaves=12,
)


@bounded(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(some.lists(SCHEMAS, min_size=10, max_size=30))
def test_opa_takes_whatever_a_backend_writes(tmp_path: Path, schemas: list[Any]) -> None:
    digests = {f"t{number}": digestible(schema).schema for number, schema in enumerate(schemas)}
    said = checked(tmp_path, digests, "input.arguments")
    assert said == ""
    for number in range(len(schemas)):
        (tmp_path / f"schemas/tools/crm/t{number}.json").unlink()
        (tmp_path / f"rules/t{number}.rego").unlink()


@bounded(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS, some.dictionaries(some.sampled_from(["a", "b"]), some.sampled_from([None, 1, "a", [], ["a"], {}, {"a": 1}])))
def test_no_value_that_the_backends_schema_takes_is_of_another_type(schema: Any, value: Any) -> None:
    root: JsonObject = {"type": "object", "properties": {"a": schema, "b": schema}}
    try:
        Draft202012Validator.check_schema(root)
        good = Draft202012Validator(root, registry=Registry()).is_valid(value)
    except (SchemaError, Unresolvable, RecursionError):
        return
    if good:
        assert Draft202012Validator(digestible(root).schema, registry=Registry()).is_valid(value)

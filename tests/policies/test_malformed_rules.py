"""What a rule says wrong is read as the worst it can mean, over HTTP, where errors are strict, and never as an error."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.policies.demo import ROOT, Opa, asked, resource, schema

REFUSAL = '{"code": "no", "message": "no"}'
DUTY = '{"type": "audit", "code": "kept", "properties": {"level": "full"}}'
TRUE = "input.version == 1"

POSITIONS = {
    "arrays": "{verb} := [0]",
    "booleans": "{verb} if " + TRUE,
    "numbers": "{verb} := 0",
    "texts": '{verb} := "all"',
    "objects": '{verb} := {{"0": true}}',
    "partialobjects": '{verb}["0"] := true if ' + TRUE,
    "outofrange": "{verb} contains 7",
    "negative": "{verb} contains -1",
    "float": "{verb} contains 0.5",
    "text": '{verb} contains "0"',
    "resource": "{verb} contains input.resources[0]",
    "mixed": "{verb} contains position if some position in [0, 99]",
}
REFUSALS = {
    "dboolean": "deny if " + TRUE,
    "darray": f"deny := [{REFUSAL}]",
    "dobject": f"deny := {REFUSAL}",
    "dtext": 'deny contains "no"',
    "dnumber": "deny contains 7",
    "dnull": "deny contains null",
    "dnocode": 'deny contains {"message": "no"}',
    "dnomessage": 'deny contains {"code": "no"}',
    "dcode": 'deny contains {"code": 1, "message": "no"}',
    "ddetails": 'deny contains {"code": "no", "message": "no", "details": "x"}',
    "dscopes": 'deny contains {"code": "no", "message": "no", "scopes": []}',
    "dscopetext": 'deny contains {"code": "no", "message": "no", "scopes": "a"}',
    "dscopenumber": 'deny contains {"code": "no", "message": "no", "scopes": [1]}',
    "drule": 'deny contains {"code": "no", "message": "no", "rule": "org/other"}',
    "dunknown": 'deny contains {"code": "no", "message": "no", "mesage": "x"}',
}
DUTIES = {
    "oboolean": "oblige if " + TRUE,
    "oarray": f"oblige := [{DUTY}]",
    "oobject": f"oblige := {DUTY}",
    "otext": 'oblige contains "audit"',
    "onumber": "oblige contains 1",
    "notype": 'oblige contains {"code": "kept", "properties": {}}',
    "nocode": 'oblige contains {"type": "audit", "properties": {}}',
    "noproperties": 'oblige contains {"type": "audit", "code": "kept"}',
    "proptext": 'oblige contains {"type": "audit", "code": "kept", "properties": "full"}',
    "ounknown": 'oblige contains {"type": "audit", "code": "kept", "properties": {}, "position": [0]}',
}
LOOSE_POSITIONS = {
    "parray": f'oblige contains object.union({DUTY}, {{"positions": [0]}})',
    "pnumber": f'oblige contains object.union({DUTY}, {{"positions": 0}})',
    "pempty": f'oblige contains object.union({DUTY}, {{"positions": set()}})',
    "pforeign": f'oblige contains object.union({DUTY}, {{"positions": {{0, 9}}}})',
    "ptext": f'oblige contains object.union({DUTY}, {{"positions": {{"0"}}}})',
}
ERRORS = {
    "conflict": 'deny contains {"code": "no", "message": _text}\n\n_text := "a" if ' + TRUE + '\n\n_text := "b" if ' + TRUE,
    "builtin": 'deny contains {"code": "no", "message": sprintf("%d", [to_number(input.resources[0].name)])}',
}
OPEN = "allow contains position if some position, _ in input.resources"


@pytest.fixture(scope="module")
def opa(serve: Callable[[Path], Opa], tmp_path_factory: pytest.TempPathFactory) -> Opa:
    """Each malformed rule has a backend of its own, which is otherwise open."""
    folder = tmp_path_factory.mktemp("malformed")
    for part in ("authz", "lib"):
        shutil.copytree(ROOT / "policies" / "mcp" / part, folder / "mcp" / part)
    for part in ("authz.rego", "lib.rego"):
        shutil.copy(ROOT / "policies" / "mcp" / part, folder / "mcp" / part)
    for name, body in POSITIONS.items():
        rule(folder, f"allow{name}", "broken", body.format(verb="allow"))
        rule(folder, f"hide{name}", "broken", body.format(verb="hide"))
        rule(folder, f"hide{name}", "access", OPEN)
    for name, body in {**REFUSALS, **DUTIES, **LOOSE_POSITIONS, **ERRORS}.items():
        rule(folder, name, "broken", body)
        rule(folder, name, "access", OPEN)
        rule(folder, f"w{name}", "broken", body.replace("deny", "withhold", 1))
        rule(folder, f"w{name}", "access", OPEN)
    rule(folder, "good", "access", OPEN)
    (folder / "mcp" / "facts").mkdir()
    (folder / "mcp" / "facts" / "data.yaml").write_text(yaml.safe_dump({"version": 1}))
    return serve(folder)


def rule(folder: Path, backend: str, name: str, body: str) -> None:
    path = folder / "mcp" / "servers" / backend / f"{name}.rego"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"package mcp.servers.{backend}.{name}\n\n{body}\n")


def question(*backends: str, phase: str = "request") -> dict[str, Any]:
    more: dict[str, Any] = {"result": {}} if phase == "result" else {}
    document = asked([], [resource("tool", each, "a") for each in backends], phase, **more)
    Draft202012Validator(schema("input")).validate(document)
    return document


def decide(opa: Opa, document: dict[str, Any]) -> dict[str, Any]:
    answer = opa.decide(document)
    Draft202012Validator(schema("decision")).validate(answer)
    return answer


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("phase", ["list", "request", "result"])
def test_a_malformed_grant_grants_nothing(opa: Opa, name: str, phase: str) -> None:
    answer = decide(opa, question(f"allow{name}", phase=phase))
    assert (answer["visible"], answer["granted_by"]) == ([], {})


@pytest.mark.parametrize("name", POSITIONS)
def test_a_malformed_hiding_hides_its_backend_and_no_other(opa: Opa, name: str) -> None:
    answer = decide(opa, question("good", f"hide{name}", phase="list"))
    assert (answer["visible"], answer["hidden_by"]) == ([0], {f"servers/hide{name}/broken": [1]})


@pytest.mark.parametrize("name", REFUSALS)
def test_a_malformed_refusal_refuses_in_its_phase(opa: Opa, name: str) -> None:
    for backend, phase in ((name, "request"), (f"w{name}", "result")):
        answer = decide(opa, question(backend, phase=phase))
        codes = [(denial["rule"], denial["code"]) for denial in answer["denials"]]
        assert (answer["visible"], answer["allowed"], codes) == ([0], [], [(f"servers/{backend}/broken", "malformed")])


@pytest.mark.parametrize("name", DUTIES)
def test_a_malformed_duty_is_one_that_no_gateway_knows(opa: Opa, name: str) -> None:
    answer = decide(opa, question("good", name, phase="list"))
    duty = {"rule": f"servers/{name}/broken", "type": "malformed", "code": "malformed", "properties": {}, "positions": [1]}
    assert answer["obligations"] == [duty]


@pytest.mark.parametrize("name", LOOSE_POSITIONS)
def test_a_duty_with_malformed_positions_concerns_its_whole_backend(opa: Opa, name: str) -> None:
    answer = decide(opa, question(name, name, "good", phase="list"))
    assert [duty["positions"] for duty in answer["obligations"]] == [[0, 1]]


@pytest.mark.parametrize("name", ERRORS)
def test_a_rule_that_errors_costs_nothing_where_it_is_not_asked(opa: Opa, name: str) -> None:
    status, body = opa.ask(question(name))
    assert (status, body["code"]) == (500, "internal_error")
    assert decide(opa, question("good"))["allowed"] == [0]
    assert decide(opa, question("good", name, phase="list"))["visible"] == [0, 1], "a list does not ask deny"


def test_a_question_of_another_shape_is_undefined(opa: Opa) -> None:
    for broken in ({}, {**question("good"), "version": 2}, {**question("good"), "arguments": []}):
        status, body = opa.ask(broken)
        assert (status, body.get("result")) == (200, None)

"""What version 1 of the contract promised still holds; and a change that would break it is found, whatever it is."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.policy import decision, document
from gateway.policy.contract import SERVED
from tests.adapters.opa.two_versions import BOTH, VERSION_2
from tests.policies.demo import ROOT, schema
from tools.contract import RELEASED, USES, breaks, found, main, version

Change = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize("number", SERVED)
def test_the_schemas_of_each_version_keep_what_was_released_for_it(number: int) -> None:
    assert found(SERVED[number]) == ()


def test_the_gateway_the_schemas_and_the_newest_release_are_of_one_version() -> None:
    versions = {int(folder.name.removeprefix("v")) for folder in RELEASED.iterdir()}
    assert {document.VERSION, decision.VERSION, version(), schema("decision")["properties"]["version"]["const"]} == {
        max(versions)
    }
    assert versions == set(SERVED)


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """Of two versions: the newer one lets go of a member of the facts."""
    for folder, number in ((tmp_path, 1), (tmp_path / "v2", 2)):
        folder.mkdir(exist_ok=True)
        for name in USES:
            told = schema(name)
            told["properties"]["version"]["const"] = number
            if number == 2 and name == "facts":
                del told["properties"]["blocks"]
            (folder / f"{name}.json").write_text(json.dumps(told))
    return tmp_path


def edited(file: Path, change: Change) -> None:
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


def test_each_version_is_compared_with_its_own_release(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--release"], BOTH, schemas) == 0
    assert capsys.readouterr().out == "".join(f"released as version {number}: input, decision, facts\n" for number in (1, 2))
    assert main([], BOTH, schemas) == 0
    edited(schemas / "v2/input.json", lambda said: said["properties"].pop("agent"))
    assert main(["--release"], BOTH, schemas) == 1
    assert capsys.readouterr().out.splitlines() == [
        "input.json: agent is gone",
        "version 2 promises otherwise (docs/input.md): undo it, or begin a new version",
    ]
    assert main([], SERVED, schemas) == 0


def test_a_version_that_is_served_has_schemas_of_its_own(schemas: Path) -> None:
    edited(schemas / "v2/input.json", lambda said: said["properties"]["version"].update(const=1))
    assert found(VERSION_2, schemas) == ("v2: describes version 1, and is that of version 2",)
    (schemas / "v2/input.json").unlink()
    assert found(VERSION_2, schemas) == ("v2: there are no schemas of version 2, which the gateway serves",)


@pytest.mark.parametrize("name", USES)
def test_the_released_schemas_are_schemas_and_break_nothing_of_themselves(name: str) -> None:
    released = json.loads((RELEASED / "v1" / f"{name}.json").read_text())
    Draft202012Validator.check_schema(released)
    assert breaks(released, copy.deepcopy(released), USES[name]) == ()


def renamed(properties: dict[str, Any], old: str, new: str) -> None:
    properties[new] = properties.pop(old)


BREAKING: dict[str, tuple[str, Change, str]] = {
    "a member of the subject is renamed": (
        "input",
        lambda s: renamed(s["properties"]["subject"]["properties"], "issuer", "iss"),
        "subject.issuer is gone",
    ),
    "a member is gone": ("input", lambda s: s["properties"].pop("agent"), "agent is gone"),
    "a type is another": (
        "input",
        lambda s: s["properties"]["context"]["properties"]["time_ns"].update(type="string"),
        "context.time_ns may no longer be integer",
    ),
    "a type is wider, and rules read it": (
        "input",
        lambda s: s["properties"]["context"]["properties"]["surface"].update(type=["string", "null"]),
        "context.surface may now be null: rules that read it do not expect that",
    ),
    "a word is gone": (
        "input",
        lambda s: s["properties"]["subject"]["properties"]["type"]["enum"].remove("workload"),
        "subject.type may no longer be workload",
    ),
    "what was always there may be absent": (
        "input",
        lambda s: s["properties"]["subject"]["required"].remove("groups"),
        "subject may now lack groups, which rules rely on",
    ),
    "what an author writes must have more": (
        "decision",
        lambda s: s["required"].append("reason"),
        "the document must now have reason",
    ),
    "an answer's member is gone": ("decision", lambda s: s["properties"].pop("waived"), "waived is gone"),
    "another version": (
        "decision",
        lambda s: s["properties"]["version"].update({"const": 2}),
        "version: const is new or another",
    ),
    "a refusal must say more": (
        "decision",
        lambda s: s["$defs"]["refusal"]["required"].append("details"),
        "denials.[] must now have details",
    ),
    "a fact is gone": ("facts", lambda s: s["properties"].pop("waivers"), "waivers is gone"),
    "a fact is required": ("facts", lambda s: s["required"].append("groups"), "the document must now have groups"),
    "a fact's pattern is another": (
        "facts",
        lambda s: s["properties"]["backends"]["propertyNames"].update(pattern="^x"),
        "backends.names: pattern is new or another",
    ),
    "a fact is shorter": (
        "facts",
        lambda s: s["properties"]["waivers"]["items"]["properties"]["reason"].update(maxLength=10),
        "waivers.[].reason: maxLength is narrower",
    ),
    "a list must have more": (
        "facts",
        lambda s: s["properties"]["waivers"].update(minItems=1),
        "waivers: minItems is narrower",
    ),
    "an open object is closed": (
        "input",
        lambda s: s["properties"]["subject"]["properties"]["claims"].update(additionalProperties=False),
        "subject.claims.* may no longer be there",
    ),
    "a condition on what is there": (
        "facts",
        lambda s: s["properties"]["rules"]["additionalProperties"].update(
            {"if": {"required": ["waivable"]}, "then": {"required": ["enforcement"]}}
        ),
        "rules.*: if is new or another",
    ),
    "an alternative is gone": (
        "facts",
        lambda s: s["properties"]["blocks"]["items"]["oneOf"].pop(),
        "blocks.[]: oneOf leaves less",
    ),
}


@pytest.mark.parametrize("case", BREAKING)
def test_what_breaks_authors_is_found(case: str) -> None:
    name, change, told = BREAKING[case]
    changed = copy.deepcopy(schema(name))
    change(changed)
    assert told in breaks(schema(name), changed, USES[name])


HARMLESS: dict[str, tuple[str, Change]] = {
    "a new member that may be absent": ("input", lambda s: s["properties"].update(flow={"type": "object"})),
    "a new word": ("input", lambda s: s["properties"]["action"]["properties"]["phase"]["enum"].append("sampling")),
    "a new optional fact": ("facts", lambda s: s["properties"].update(owners={"type": "object"})),
    "a longer text": ("facts", lambda s: s["properties"]["waivers"]["items"]["properties"]["reason"].pop("minLength")),
    "an answer may say more": ("decision", lambda s: s["properties"].update(advice={"type": "string"})),
    "a description": ("input", lambda s: s["properties"]["version"].update(description="another")),
    "a condition on a new member": (
        "facts",
        lambda s: s["properties"]["rules"]["additionalProperties"].update(
            {"if": {"required": ["until_ns"]}, "then": {"required": ["enforcement"]}, "else": {"properties": {"owner": False}}}
        ),
    ),
    "a new alternative": ("facts", lambda s: s["properties"]["blocks"]["items"]["oneOf"].append({"required": ["what"]})),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_breaks_nobody_passes(case: str) -> None:
    name, change = HARMLESS[case]
    changed = copy.deepcopy(schema(name))
    change(changed)
    assert changed != schema(name)
    assert breaks(schema(name), changed, USES[name]) == ()


def test_the_page_says_what_the_version_promises() -> None:
    assert "## What version 1 promises" in (ROOT / "docs" / "input.md").read_text()

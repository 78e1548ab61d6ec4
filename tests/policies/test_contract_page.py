"""The page that describes the contract is true: its examples, its fields, and the facts that ship."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.policies.demo import ROOT, Opa, pinned, schema

PAGE = (ROOT / "docs" / "input.md").read_text()
BLOCKS = re.findall(r"\*\*(.+?)\*\*\n\n```json input\n(.*?)```\n\n```json decision\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def opa(serve: Callable[[Path], Opa], tmp_path_factory: pytest.TempPathFactory) -> Opa:
    return serve(pinned(tmp_path_factory.mktemp("page")))


def test_the_page_has_its_examples() -> None:
    assert (len(BLOCKS), PAGE.count("```json")) == (5, 10)


@pytest.mark.parametrize("block", BLOCKS, ids=[block[0][:40] for block in BLOCKS])
def test_every_example_is_answered_as_the_page_says(opa: Opa, block: tuple[str, str, str]) -> None:
    question, answer = json.loads(block[1]), json.loads(block[2])
    Draft202012Validator(schema("input")).validate(question)
    Draft202012Validator(schema("decision")).validate(answer)
    assert opa.decide(question) == answer


def names(node: dict[str, Any]) -> Iterator[str]:
    """Every field that a schema names, without what lies below open objects."""
    for name, inner in node.get("properties", {}).items():
        yield name
        yield from names(inner if isinstance(inner, dict) else {})
    if "items" in node:
        yield from names(node["items"])


@pytest.mark.parametrize("document", ["input", "decision", "facts"])
def test_every_field_is_on_the_page(document: str) -> None:
    told = set(re.findall(r"[A-Za-z_]+", PAGE))
    untold = {"content", "structuredContent", "isError", "contents", "messages"}  # of MCP's results, not of the contract
    hints = {
        "title",
        "readOnlyHint",
        "destructiveHint",
        "idempotentHint",
        "openWorldHint",
        "audience",
        "priority",
        "lastModified",
    }
    assert set(names(schema(document))) - told - untold - hints == set()


@pytest.mark.parametrize("document", ["input", "decision", "facts"])
def test_the_schemas_are_schemas(document: str) -> None:
    Draft202012Validator.check_schema(schema(document))


def test_the_shipped_facts_are_as_their_schema_says() -> None:
    Draft202012Validator(schema("facts")).validate(facts())


def facts() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "policies" / "mcp" / "facts" / "data.yaml").read_text())  # type: ignore[no-any-return]


WAIVER = {"rule": "org/destructive", "issuer": "i", "subject": "s", "backends": ["crm"], "until_ns": 1_700_000_000_000_000_000}
BLOCK = {"what": "agent", "agent": "bot", "until_ns": 1_700_000_000_000_000_000}
MISTAKES: dict[str, dict[str, Any]] = {
    "a misspelt part": {"wavers": []},
    "a misspelt mode": {"rules": {"org/reviewed": {"enforcment": "observe"}}},
    "an unknown mode": {"rules": {"org/reviewed": {"enforcement": "off"}}},
    "a rule that can be none": {"rules": {"reviewed": {"waivable": True}}},
    "a waiver whose end is text": {"waivers": [WAIVER | {"until_ns": "1"}]},
    "a waiver without an end": {"waivers": [{name: value for name, value in WAIVER.items() if name != "until_ns"}]},
    "a waiver for no backend": {"waivers": [WAIVER | {"backends": []}]},
    "a block without an end": {"blocks": [{"what": "agent", "agent": "bot"}]},
    "a block of nothing": {"blocks": [BLOCK | {"what": "everything"}]},
    "a block of a tool by another name": {"blocks": [BLOCK | {"what": "item"}]},
    "an item of no type": {"items": {"crm": {"tols": {}}}},
    "a fingerprint that is none": {"items": {"crm": {"tool": {"a": {"fingerprint": "abc"}}}}},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_facts_is_refused(mistake: str) -> None:
    assert not Draft202012Validator(schema("facts")).is_valid(facts() | MISTAKES[mistake])


def test_waivers_and_blocks_as_documented_are_accepted() -> None:
    Draft202012Validator(schema("facts")).validate(facts() | {"waivers": [WAIVER], "blocks": [BLOCK]})

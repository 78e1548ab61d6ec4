"""Facts that a rule would misread are refused, with file, line and the right key."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.facts import facts
from gateway.policy.structure import Finding

RULE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"enforcement": {"enum": ["enforce", "observe"]}, "waivable": {"type": "boolean"}},
}
WAIVER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rule", "until_ns"],
    "properties": {"rule": {"type": "string"}, "until_ns": {"type": "integer"}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version"],
    "properties": {
        "version": {"const": 1},
        "rules": {"type": "object", "additionalProperties": RULE},
        "waivers": {"type": "array", "items": WAIVER},
    },
}
FILE = "mcp/facts/data.yaml"
GOOD = "version: 1\nrules:\n  org/a:\n    waivable: true\nwaivers:\n  - rule: org/a\n    until_ns: 1900000000000000000\n"


def test_proper_facts_have_no_findings() -> None:
    assert facts({FILE: GOOD}, SCHEMA, rules=("org/a",)) == ()


def test_facts_in_several_folders_are_read_as_opa_merges_them() -> None:
    waivers = "- rule: org/a\n  until_ns: 1900000000000000000\n"
    assert facts({FILE: "version: 1\n", "mcp/facts/rules/data.yaml": "org/a: {enforcement: observed}\n"}, SCHEMA) == (
        Finding("mcp/facts/rules/data.yaml", 1, "rules.org/a.enforcement is 'observed', and must be one of enforce, observe"),
    )
    assert facts({FILE: "version: 1\n", "mcp/facts/waivers/data.yaml": waivers}, SCHEMA) == (
        Finding("mcp/facts/waivers/data.yaml", 1, "is not an object"),
    )


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("{enforcement: observe, enforce_groups: [pilots]}", None),
        ("{observe_groups: [pilots]}", None),
        (
            "{enforcement: observe, observe_groups: [pilots]}",
            "rules.org/a.observe_groups has no effect: the rule only observes for everybody; set enforcement to enforce",
        ),
        (
            "{enforce_groups: [pilots]}",
            "rules.org/a.enforce_groups has no effect: the rule is enforced for everybody; set enforcement to observe",
        ),
        ("{observe_groups: []}", "rules.org/a.observe_groups: [] should be non-empty"),
    ],
)
def test_groups_that_would_not_change_how_a_rule_counts_are_a_finding(mode: str, said: str | None) -> None:
    shipped = json.loads((Path(__file__).parents[2] / "schemas/facts.json").read_text())
    expected = () if said is None else (Finding(FILE, 3, said),)
    assert facts({FILE: f"version: 1\nrules:\n  org/a: {mode}\n"}, shipped) == expected


def test_an_approval_ends_as_well_until_2100_at_the_latest_and_a_block_need_not() -> None:
    shipped = json.loads((Path(__file__).parents[2] / "schemas/facts.json").read_text())
    approval = "{issuer: i, subject: s, backend: crm, tool: t, by: b, until_ns: 4102444800000000000}"
    block = "{what: backend, backend: crm, until_ns: 18000000000000000000}"
    whole = f"version: 1\nblocks: [{block}]\nsettings:\n  destructive_needs_approval:\n    approved: [{approval}]\n"
    at = "settings.destructive_needs_approval.approved.0.until_ns"
    advice = "an exception ends: give the time of its next review, in nanoseconds since 1970"
    assert facts({FILE: whole}, shipped) == ()
    assert facts({FILE: whole.replace("4102444800000000000", "4102444800000000001")}, shipped) == (
        Finding(FILE, 5, f"{at} is 4102444800000000001, after the year 2100; {advice}"),
    )


def test_no_facts_at_all_is_a_finding() -> None:
    assert facts({}, SCHEMA) == (Finding(FILE, 1, "is missing: without facts of version 1 there is no decision"),)


BAD = {
    "misspelt key": (
        GOOD.replace("waivable: true", "waivable: true\n    enforcment: observe"),
        5,
        "rules.org/a.enforcment is not known; did you mean 'enforcement'?",
    ),
    "time as text": (
        GOOD.replace("1900000000000000000", "'1900000000000000000'"),
        7,
        "waivers.0.until_ns is text, and must be of type integer",
    ),
    "a digit too many": (
        GOOD.replace("1900000000000000000", "18000000000000000000"),
        7,
        "waivers.0.until_ns is 18000000000000000000, after the year 2100; "
        "an exception ends: give the time of its next review, in nanoseconds since 1970",
    ),
    "a number that nobody can print": (
        GOOD.replace("1900000000000000000", "-0x" + "f" * 4200),
        7,
        "is a number of 4203 characters; 40 are the most",
    ),
    "the same elsewhere": (
        GOOD.replace("version: 1", "version: 0x" + "f" * 4200),
        1,
        "is a number of 4202 characters; 40 are the most",
    ),
    "time in seconds": (
        GOOD.replace("1900000000000000000", "1900000000"),
        7,
        "waivers.0.until_ns is 1900000000, long past; times are in nanoseconds",
    ),
    "waiver of a rule that is not waivable": (
        GOOD.replace("waivable: true", "waivable: false"),
        6,
        "waives 'org/a', which is not waivable; set rules.org/a.waivable to true, or drop the waiver",
    ),
    "other version": (GOOD.replace("version: 1", "version: 2"), 1, "version: 1 was expected"),
    "version absent": ("rules: {}\n", 1, "the document lacks 'version'"),
    "key said twice": (GOOD + "version: 1\n", 8, "says 'version' twice, first in line 1; one of the two would be lost"),
    "not an object": ("- 1\n", 1, "is not an object"),
    "not YAML": ("a: b: c", 1, "is no YAML: mapping values are not allowed here"),
    "key that is no text": ("version: 1\n1: 2\n", 2, "has a key '1' that is no text; put it in quotes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_fact_that_would_be_misread_is_found(name: str) -> None:
    text, line, message = BAD[name]
    assert Finding(FILE, line, message) in facts({FILE: text}, SCHEMA)


def test_a_rule_that_does_not_exist_is_named_with_the_one_that_does() -> None:
    assert facts({FILE: "version: 1\nrules:\n  org/credental: {}\n"}, SCHEMA, rules=("org/credentials",)) == (
        Finding(FILE, 3, "rules.org/credental: there is no rule 'org/credental'; did you mean 'org/credentials'?"),
    )


def test_a_misspelt_required_key_is_told_as_such() -> None:
    text = GOOD.replace("until_ns:", "until:")
    assert [found.message for found in facts({FILE: text}, SCHEMA)] == [
        "waivers.0 lacks 'until_ns'; is 'until' meant to be it?",
        "waivers.0.until is not known; did you mean 'until_ns'?",
    ]


def test_a_block_of_a_key_names_its_id_and_nothing_else() -> None:
    shipped = json.loads((Path(__file__).resolve().parents[2] / "schemas/facts.json").read_text())
    until = "until_ns: 1900000000000000000"
    assert facts({FILE: f"version: 1\nblocks:\n  - {{what: key, key: ci, {until}}}\n"}, shipped) == ()
    for wrong in ("what: key", "what: key, subject: ci", "what: key, key: a_b", "what: agent, agent: a, key: ci"):
        assert len(facts({FILE: f"version: 1\nblocks:\n  - {{{wrong}, {until}}}\n"}, shipped)) > 0

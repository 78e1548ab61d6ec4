"""Conditions in words, from a real OPA's partial evaluation of small rules."""

import asyncio
from pathlib import Path

import pytest

from gateway.adapters.opa.snapshot import Source
from gateway.lifecycle.conditions.formula import negated
from gateway.lifecycle.conditions.opened import opened
from gateway.lifecycle.conditions.words import words
from gateway.model import JsonObject
from tools.binaries import find

WITHIN_S = 60.0
GIVEN: JsonObject = {
    "subject": {"groups": ["devs"], "scopes": [], "claims": {}},
    "resources": [{"type": "tool", "backend": "crm", "name": "search"}],
    "arguments": {},
    "context": {"time_ns": 0, "approvals": []},
}
UNKNOWNS = ("input.arguments", "input.extracted", "input.context.time_ns", "input.subject.groups")

REFUSED_WHEN = {
    "a value": ('input.arguments.to == "all"', 'arguments.to is "all"'),
    "a value that is not there counts": ("not _ok\n}\n_ok if {\n\tinput.arguments.n < 5", "arguments.n is not below 5"),
    "what a negation looks up first": (
        "not input.arguments.n > 2",
        "arguments.n is not above 2 and arguments.n is given",
    ),
    "one of several": ('input.arguments.env in {"b", "a"}', 'arguments.env is one of "a", "b"'),
    "a group": ('not "release" in input.subject.groups', "not group release"),
    "one of the subject's groups": (
        'some group in input.subject.groups\n\tgroup in {"a", "b"}',
        "group a or group b",
    ),
    "not every element": (
        'not _inside\n}\n_inside if {\n\tevery to in input.arguments.to { endswith(to, "@example.com") }',
        'arguments.to is absent or some arguments.to does not end with "@example.com"',
    ),
    "every element": (
        'every to in input.arguments.to { endswith(to, "@example.com") }',
        'arguments.to is given and every arguments.to ends with "@example.com"',
    ),
    "an element": (
        'some to in input.arguments.to\n\tnot endswith(to, "@example.com")',
        'some arguments.to does not end with "@example.com"',
    ),
    "an element that is not something": ('some to in input.arguments.to\n\tnot to == "x"', 'some arguments.to is not "x"'),
    "a call's value": ("count(input.arguments.to) == 3", "the number of arguments.to is 3"),
    "how many different ones": (
        "count({x | some x in input.arguments.to}) > 2",
        "the number of different arguments.to is above 2",
    ),
    "all but some": (
        'count({x | some x in input.arguments.to} - {"a", "b"}) == 0',
        'the number of different arguments.to other than "a", "b" is 0',
    ),
    "a set of them": (
        '{x | some x in input.arguments.to} == {"a"}',
        'the set of arguments.to is {"a"}',
    ),
    "some of them": (
        'count([x | some x in input.arguments.to; x.n > 2; not startswith(x.m, "a")]) == 2',
        'the number of `[x | x = input.arguments.to[y]; z = x.n; z > 2; u = x.m; not startswith(u, "a")]` is 2',
    ),
    "what each is called": (
        'count({name: x | some name, x in input.arguments.to; x != "a"}) == 1',
        'the number of `{x: y | y = input.arguments.to[x]; y != "a"}` is 1'
        ' and `{x: y | y = input.arguments.to[x]; y != "a"}` is given',
    ),
    "the same element twice": (
        'some to in input.arguments.to\n\tendswith(to.a, "x")\n\tto.b > 3',
        'some arguments.to.a ends with "x" and some arguments.to.b is above 3',
    ),
    "a pattern": ("regex.match(`^a\\.b$`, input.arguments.x)", r"arguments.x matches /^a\.b$/"),
    "a moment": ("input.context.time_ns > 1760000000000000000", "the time is after 2025-10-09 08:53:20 UTC"),
    "hours of a day": (
        '[hour, minute, _] := time.clock([input.context.time_ns, "Europe/Berlin"])\n'
        '\tnow := sprintf("%02d:%02d", [hour, minute])\n\tnow >= "08:00"\n\tnow < "18:00"',
        "the time of day in Europe/Berlin is between 08:00 and 18:00",
    ),
    "days of a week": (
        'time.weekday([input.context.time_ns, "UTC"]) in ["Saturday", "Sunday"]',
        'the weekday in UTC is one of "Saturday", "Sunday"',
    ),
    "not in hours": (
        'not _open\n}\n_open if {\n\t[hour, minute, _] := time.clock([input.context.time_ns, "UTC"])\n'
        '\tsprintf("%02d:%02d", [hour, minute]) < "18:00"',
        "the time of day in UTC is not before 18:00",
    ),
    "a time between two": (
        "input.context.time_ns >= 1760000000000000000\n\tinput.context.time_ns < 1760000400000000000",
        "the time is between 2025-10-09 08:53:20 UTC and 2025-10-09 09:00 UTC",
    ),
    "a helper of two bodies": (
        "_big\n}\n_big if input.arguments.n > 10\n_big if {\n\tinput.arguments.force == true",
        "arguments.n is above 10 or arguments.force is true",
    ),
    "what is known": ('input.resources[0].name == "search"', "always"),
    "what is known not to be": ('input.resources[0].name == "other"', "never"),
    "a part that is not there": ('object.get(input, "result", {}).x == 1', "never"),
    "a function that has no words": ("json.is_valid(input.arguments.x)", "`json.is_valid(input.arguments.x)`"),
}


def told(tmp_path: Path, body: str, head: str = '{"code": "c"}') -> tuple[str, str]:
    """When the rule refuses, and when it does not."""

    async def main() -> tuple[str, str]:
        async with (
            asyncio.timeout(WITHIN_S),
            opened(find("opa"), Source(tmp_path / "policies", tmp_path / "schemas")) as policy,
        ):
            partial = await policy.partial("data.mcp.org.rule.deny[said]", GIVEN, UNKNOWNS)
            return words(partial.condition), words(negated(partial.condition))

    place = tmp_path / "policies/mcp/org"
    place.mkdir(parents=True)
    (tmp_path / "schemas").mkdir()
    (place / "rule.rego").write_text(f"package mcp.org.rule\n\ndeny contains {head} if {{\n\t{body}\n}}\n")
    return asyncio.run(main())


@pytest.mark.parametrize("name", REFUSED_WHEN)
def test_a_condition_is_told_in_words(name: str, tmp_path: Path) -> None:
    body, expected = REFUSED_WHEN[name]
    when, _ = told(tmp_path, body)
    assert when == expected


def test_the_opposite_of_a_condition_on_elements_is_one_on_all_of_them(tmp_path: Path) -> None:
    _, otherwise = told(tmp_path, 'some to in input.arguments.to\n\tnot endswith(to, "@example.com")')
    assert otherwise == 'every arguments.to ends with "@example.com"'


def test_a_finding_that_may_fail_to_be_made_is_a_condition(tmp_path: Path) -> None:
    head = '{"code": "c", "message": sprintf("%v", [input.arguments.n])}'
    when, _ = told(tmp_path, 'input.resources[0].name == "search"', head)
    assert when == "arguments.n is given"


def test_a_finding_that_is_always_made_is_none(tmp_path: Path) -> None:
    head = '{"code": "c", "details": {"n": object.get(input.arguments, "n", 0)}}'
    when, _ = told(tmp_path, 'input.resources[0].name == "search"', head)
    assert when == "always"

"""The condition that a table tells is the one by which calls are then decided, whoever asks and with whatever arguments."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.lifecycle.access.asked import open_parts, question
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions import formula, terms
from gateway.lifecycle.conditions.opened import opened
from gateway.lifecycle.conditions.standing import standing
from gateway.lifecycle.explain.nearby import allowed
from gateway.lifecycle.repository import policy_source
from gateway.model import Resource
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[3]
WITHIN_S = 120.0
RULE = """package mcp.servers.wiki.made

deny contains {{"code": "c", "message": "m"}} if {{
	{body}
}}

_helper if {{
	{helper}
}}

_helper if input.arguments.b == "y"
"""
ACCESS = "package mcp.servers.wiki.access\n\nallow contains position if some position, _ in input.resources\n"
TESTS = (
    'input.arguments.a == "x"',
    'input.arguments.a != "x"',
    'input.arguments.a in {"x", "z"}',
    'not input.arguments.a in {"x", "z"}',
    "input.arguments.n > 2",
    "not input.arguments.n > 2",
    '"x" in input.arguments.l',
    'some each in input.arguments.l\n\teach in {"x", "z"}',
    'some each in input.arguments.l\n\tnot each == "x"',
    'every each in input.arguments.l { each == "x" }',
    'object.get(input.arguments, "a", "x") == "x"',
    '"g" in input.subject.groups',
    'not "g" in input.subject.groups',
    "input.arguments.force",
    "not input.arguments.force",
)
ITEM = Resource("tool", "wiki__search", "wiki", "search", id="wiki__search", listed=True, fingerprint="sha256:1")
WORDS = st.sampled_from(["x", "y", "z"])
CALLS = st.fixed_dictionaries(
    {},
    optional={"a": WORDS, "b": WORDS, "n": st.integers(0, 4), "l": st.lists(WORDS, max_size=2), "force": st.booleans()},
)


def holds(told: formula.Formula, document: Mapping[str, Any], element: int | None = None) -> bool:
    """A condition evaluated here, by hand: independent of OPA and of the words."""
    match told:
        case formula.Always(always):
            return always
        case formula.All(of):
            return all(holds(each, document, element) for each in of)
        case formula.Any(of):
            return any(holds(each, document, element) for each in of)
        case formula.Some(of, wanted):
            return any(holds(of, document, at) for at in range(3) if at < len(document["arguments"].get("l", ()))) == wanted
        case formula.Test(op, parts, wanted):
            values = [value(part, document, element) for part in parts]
            return (None not in values and OPS[op](*values)) == wanted
        case other:
            raise AssertionError(f"not evaluated here: {other}")


OPS = {
    "eq": lambda one, other: one == other,
    "neq": lambda one, other: one != other,
    "gt": lambda one, other: one > other,
    "given": lambda one: True,
    "true": lambda one: one is not False,
    "internal.member_2": lambda one, many: one in many,
}


def value(term: Any, document: Any, element: int | None) -> Any:
    """None: undefined."""
    if terms.constant(term):
        return terms.value(term)
    if terms.kind(term) == "call":
        _, whole, name, default = terms.parts(term)
        return value(whole, document, element).get(terms.value(name), terms.value(default))
    for step in terms.parts(term)[1:]:
        at = element if terms.kind(step) == "var" else step["value"]
        if isinstance(document, list):
            document = document[at] if isinstance(at, int) and at < len(document) else None
        else:
            document = document.get(at) if isinstance(document, dict) else None
    return document


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "schemas").mkdir()
    for name in ("authz.rego", "authz", "lib", "lib.rego"):
        kept = ROOT / "policies/mcp" / name
        place = tmp_path / "policies/mcp" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(kept, place) if kept.is_dir() else shutil.copy(kept, place)
    (tmp_path / "policies/mcp/servers/wiki").mkdir(parents=True)
    (tmp_path / "policies/mcp/facts").mkdir()
    (tmp_path / "policies/mcp/facts/data.yaml").write_text("version: 1\n")
    (tmp_path / "policies/mcp/servers/wiki/access.rego").write_text(ACCESS)
    return tmp_path


def test_a_call_is_allowed_just_when_its_condition_holds(repository: Path) -> None:
    made = repository / "policies/mcp/servers/wiki/made.rego"

    @settings(max_examples=10, deadline=None, phases=(Phase.generate,))
    @given(
        st.lists(st.sampled_from((*TESTS, "_helper", "not _helper")), min_size=1, max_size=3, unique=True),
        st.sampled_from(TESTS),
        st.lists(st.tuples(CALLS, st.sampled_from([("g",), ("h",), ()])), min_size=12, max_size=12),
    )
    def agrees(body: list[str], helper: str, calls: list[tuple[dict[str, Any], tuple[str, ...]]]) -> None:
        made.write_text(RULE.format(body="\n\t".join(_renamed(body)), helper=helper))
        asyncio.run(_agree(repository, calls))

    agrees()


def _renamed(body: list[str]) -> list[str]:
    """Elements of different tests are different elements."""
    return [test.replace("each", f"each{at}") for at, test in enumerate(body)]


async def _agree(repository: Path, calls: list[tuple[dict[str, Any], tuple[str, ...]]]) -> None:
    async with asyncio.timeout(WITHIN_S), opened(find("opa"), policy_source(repository)) as policy:
        for groups in {groups for _, groups in calls}:
            asked = question(Persona(name="p", groups=groups), (ITEM,), "request", 1)
            told = (await standing(policy, asked, await open_parts(policy, asked))).allowed
            for arguments in (arguments for arguments, whose in calls if whose == groups):
                document = {**asked, "arguments": arguments}
                assert await allowed(policy, document) == holds(told, document) == (not holds(formula.negated(told), document))


def test_what_is_said_of_every_element_is_not_told_of_one_that_is_among_them(repository: Path) -> None:
    made = repository / "policies/mcp/servers/wiki/made.rego"
    made.write_text(RULE.format(body='every each in input.arguments.l { each == "x" }', helper="false"))
    lists: list[dict[str, Any]] = [{}, *({"l": each} for each in ([], ["x"], ["y"], ["z", "x"], ["x", "x"]))]
    asyncio.run(_agree(repository, [(arguments, ()) for arguments in lists]))

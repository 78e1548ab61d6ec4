"""Policies that nobody would write, generated, and documents to ask them about: six backends of one set have rules of their own
each, so that one OPA answers for six policies.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions import formula, terms
from gateway.model import Resource

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = tuple(f"w{at}" for at in range(6))
NAMES = ("search", "edit", "sync")
EXISTS = """package mcp.servers.{name}.{file}

{verb} contains position if {{
	some position, resource in input.resources
	{body}
}}
"""
DENY = """package mcp.servers.{name}.{file}

deny contains {{"code": "{file}", "message": "m"}} if {{
	{body}
}}

_helper if {{
	{helper}
}}

_helper if input.arguments.b == "y"
"""
IN_ORG = 'package mcp.org.{file}\n\ndeny contains {{"code": "{file}", "message": "m", "scopes": {{"s"}}}} if {{\n\t{body}\n}}\n'
EXISTENCE = (
    '"g" in input.subject.groups',
    'not "h" in input.subject.groups',
    'some group in input.subject.groups\n\tgroup in {"g", "h"}',
    'resource.name == "search"',
    'resource.name in {"edit", "sync"}',
    'startswith(resource.name, "s")',
    'not startswith(resource.name, "se")',
    "resource.annotations.readOnlyHint == true",
    "not resource.annotations.readOnlyHint",
    "input.context.time_ns < 50",
    "input.context.time_ns >= 20",
    "not input.context.time_ns > 30",
    'count({team | some team in input.subject.groups; team in {"g", "trial"}}) > 1',
    'input.agent.id == "bot"',
    'not input.agent.id == "bot"',
    'input.subject.claims.tenant == "blue"',
    'not input.subject.claims.tenant == "blue"',
    'some label in data.mcp.facts.items[resource.backend].tool[resource.name].labels\n\tlabel == "safe"',
)
CALLS = (
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
    'not "h" in input.subject.groups',
    'not "s" in input.subject.scopes',
    'count({team | some team in input.subject.groups; team != "h"}) > 1',
    'count({word | some word in input.arguments.l; word != "x"}) == 0',
    "input.arguments.force",
    "not input.arguments.force",
    "input.context.time_ns > 20",
    "not input.context.time_ns > 40",
    "count(input.context.approvals) == 0",
    'not "c" in {approval.code | some approval in input.context.approvals}',
    'some given in input.context.approvals\n\tgiven.code == "c"',
    'input.resources[0].name == "search"',
    'not input.resources[0].name in {"search", "edit"}',
    'not input.agent.id == "bot"',
)
WORDS = st.sampled_from(["x", "y", "z"])
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={"a": WORDS, "b": WORDS, "n": st.integers(0, 4), "l": st.lists(WORDS, max_size=2), "force": st.booleans()},
)
APPROVALS = st.lists(
    st.sampled_from(["c", "d"]).map(lambda code: {"rule": "r", "code": code, "by": "b", "mode": "form", "at_ns": 1})
)
MOMENTS = st.sampled_from([10, 20, 25, 30, 35, 40, 45, 50, 60])
SOME_GROUPS = st.lists(st.sampled_from(["g", "h", "trial"]), max_size=3, unique=True)
PERSONAS = st.builds(
    Persona,
    name=st.just("p"),
    groups=SOME_GROUPS.map(tuple),
    scopes=st.sampled_from([(), ("s",)]),
    claims=st.sampled_from([{}, {"tenant": "blue"}, {"tenant": "red"}]),
    agent=st.sampled_from([None, "bot", "other"]),
    id=st.sampled_from(["ada", "bob"]),
    issuer=st.just("i"),
)


@dataclass(frozen=True, slots=True)
class Made:
    """The text of one generated policy set: its rules by path, and its facts."""

    rules: Mapping[str, str]
    facts: Mapping[str, Any]


def bodies(tests: tuple[str, ...], most: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(tests), min_size=1, max_size=most, unique=True).map(_joined)


def _joined(body: list[str]) -> str:
    """Elements of different tests are different elements."""
    names = ("each", "group", "label", "given")
    parts = []
    for at, test in enumerate(body):
        text = test
        for name in names:
            text = text.replace(f"some {name} in", f"some {name}{at} in").replace(f"every {name} in", f"every {name}{at} in")
            text = (
                text.replace(f"\t{name} ", f"\t{name}{at} ")
                .replace(f"\t{name}.", f"\t{name}{at}.")
                .replace(f"not {name} ", f"not {name}{at} ")
                .replace(f"{{ {name} ", f"{{ {name}{at} ")
            )
        parts.append(text)
    return "\n\t".join(parts)


@st.composite
def policies(draw: st.DrawFn) -> Made:
    rules: dict[str, str] = {}
    for name in BACKENDS:
        place = f"servers/{name}"
        rules[f"{place}/access.rego"] = EXISTS.format(name=name, file="access", verb="allow", body=draw(bodies(EXISTENCE, 2)))
        if draw(st.booleans()):
            rules[f"{place}/hiding.rego"] = EXISTS.format(name=name, file="hiding", verb="hide", body=draw(bodies(EXISTENCE, 2)))
        for file in draw(st.sampled_from([(), ("first",), ("first", "second")])):
            body = draw(bodies((*CALLS, "_helper", "not _helper"), 3))
            helper = draw(bodies(CALLS, 1))
            rules[f"{place}/{file}.rego"] = DENY.format(name=name, file=file, body=body, helper=helper)
    if draw(st.booleans()):
        rules["org/general.rego"] = IN_ORG.format(file="general", body=draw(bodies(CALLS, 3)))
    return Made(rules, _facts(draw, [path.removesuffix(".rego") for path in rules if path.startswith("servers/")]))


def _facts(draw: st.DrawFn, rules: list[str]) -> dict[str, Any]:
    """Rules that observe, some of them for some; one waiver; reviewed labels."""
    modes: list[dict[str, Any]] = [
        {"enforcement": "observe"},
        {"enforcement": "observe", "enforce_groups": ["trial"]},
        {"enforcement": "enforce", "observe_groups": ["trial"]},
        {"enforcement": "enforce", "waivable": True},
    ]
    told = draw(st.dictionaries(st.sampled_from(rules), st.sampled_from(modes), min_size=min(6, len(rules)), max_size=12))
    waivable = [rule for rule, mode in told.items() if mode.get("waivable")]
    waivers = [
        {"rule": rule, "issuer": "i", "subject": "ada", "backends": [rule.split("/")[1]], "until_ns": draw(MOMENTS)}
        for rule in waivable
    ]
    labels = st.sampled_from([["safe"], ["writes"], []])
    items = {name: {"tool": {tool: {"labels": draw(labels)} for tool in NAMES}} for name in BACKENDS}
    return {"version": 1, "rules": told, "waivers": waivers, "items": items}


def written(folder: Path, made: Made) -> Path:
    """The set as a repository, with the shipped entrypoint."""
    shutil.rmtree(folder / "policies", ignore_errors=True)
    (folder / "schemas").mkdir(exist_ok=True)
    for name in ("authz.rego", "authz", "lib", "lib.rego"):
        kept, place = ROOT / "policies/mcp" / name, folder / "policies/mcp" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(kept, place) if kept.is_dir() else shutil.copy(kept, place)
    for path, text in made.rules.items():
        place = folder / "policies/mcp" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (folder / "policies/mcp/facts").mkdir()
    (folder / "policies/mcp/facts/data.json").write_text(json.dumps(made.facts))
    return folder


def items() -> tuple[Resource, ...]:
    return tuple(
        Resource(
            "tool",
            f"{backend}__{name}",
            backend,
            name,
            id=f"{backend}__{name}",
            listed=True,
            annotations={"readOnlyHint": True} if name == "search" else None,
            fingerprint="sha256:1",
        )
        for backend in BACKENDS
        for name in NAMES
    )


# --- a condition evaluated here, by hand: independent of OPA and of the words -----------------------------------------


def holds(told: formula.Formula, document: Mapping[str, Any], element: int | None = None) -> bool:
    match told:
        case formula.Always(always):
            return always
        case formula.All(of):
            return all(holds(each, document, element) for each in of)
        case formula.Any(of):
            return any(holds(each, document, element) for each in of)
        case formula.Some(of, wanted):
            return any(holds(of, document, at) for at in range(_elements(of, document))) == wanted
        case formula.Test(op, parts, wanted):
            values = [_value(part, document, element) for part in parts]
            return (None not in values and OPS[op](*values)) == wanted
        case other:
            raise NotHere(f"not evaluated here: {other}")


class NotHere(AssertionError):
    """A condition of a form that only OPA evaluates."""


OPS: Mapping[str, Any] = {
    "eq": lambda one, other: one == other,
    "neq": lambda one, other: one != other,
    "gt": lambda one, other: one > other,
    "gte": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "lte": lambda one, other: one <= other,
    "given": lambda one: True,
    "true": lambda one: one is not False,
    "internal.member_2": lambda one, many: one in many,
}


def _elements(of: formula.Formula, document: Mapping[str, Any]) -> int:
    """How many there are of what is looked for an element in."""
    counts = [0]
    for leaf in formula.leaves(of):
        for term in leaf.terms if isinstance(leaf, formula.Test) else ():
            steps = terms.parts(term)
            at = next((at for at, step in enumerate(steps) if at and terms.kind(step) == "var"), None)
            if terms.kind(term) == "ref" and at is not None:
                listed = _value({"type": "ref", "value": [*steps[:at]]}, document, None)
                counts.append(len(listed) if isinstance(listed, list) else 0)
    return max(counts)


def _value(term: Any, document: Any, element: int | None) -> Any:
    """None: undefined."""
    if terms.constant(term):
        return terms.value(term)
    if terms.kind(term) == "call":
        called, *given = terms.parts(term)
        known = [_value(part, document, element) for part in given]
        match terms.operator(called):
            case "object.get":
                return known[0].get(known[1], known[2]) if isinstance(known[0], dict) else None
            case "count":
                return None if known[0] is None else len(known[0])
            case other:
                raise NotHere(f"not evaluated here: {other}")
    if terms.kind(term) != "ref":
        raise NotHere(f"not evaluated here: {terms.rego(term)}")
    for step in terms.parts(term)[1:]:
        at = element if terms.kind(step) == "var" else step["value"]
        if isinstance(document, list):
            document = document[at] if isinstance(at, int) and at < len(document) else None
        else:
            document = document.get(at) if isinstance(document, dict) else None
    return document

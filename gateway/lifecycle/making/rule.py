"""A new rule and its test, which fails: it is finished when somebody has said what is right, and the rule does it.

A rule about a tool that its backend does not have protects nothing, so none is begun by mistake.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.lifecycle.check.misnamed import UNKNOWN
from gateway.lifecycle.known import Items, instead, known_items
from gateway.lifecycle.making.repository import NotMade
from gateway.lifecycle.repository import POLICIES, SCHEMAS, TESTS
from gateway.policy.structure import BACKEND, CODE

Verb = Literal["allow", "hide", "deny", "withhold", "oblige"]
FORM = "a rule is named org/<rule> or servers/<backend>/<rule>, in small letters, digits and _"
RESERVED = frozenset({"as", "contains", "data", "default", "else", "every", "false", "if", "import", "in", "input"}) | frozenset(
    {"not", "null", "package", "some", "true", "with"}
)
TITLES: dict[Verb, str] = {
    "allow": "",
    "hide": "",
    "deny": "say here what the caller may not do, and what to do instead",
    "withhold": "say here why the result is not handed over",
    "oblige": "Say here what the gateway owes",
}
HINTS: dict[Verb, str] = {
    "allow": "say who sees it and may ask for it",
    "hide": "say for whom it does not exist, and for whom it does",
    "deny": "say who is refused, and who is not",
    "withhold": "say whose results are withheld, and whose are not",
    "oblige": "say what is owed, and for whom",
}


@dataclass(frozen=True, slots=True)
class New:
    """What to write. `tool`: whose calls the rule is about."""

    path: tuple[str, ...]  # ("servers", "crm", "refunds")
    verb: Verb
    tool: str
    typed: bool  # the tool's arguments have a schema in the repository
    early: bool = False  # the backend is known and does not have the tool, which somebody wants all the same

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def package(self) -> str:
        return ".".join(("mcp", *self.path))

    @property
    def backend(self) -> str:
        return self.path[1] if self.path[0] == "servers" else "crm"


@dataclass(frozen=True, slots=True)
class Begun:
    """What was written, by its path from the repository's root, and what to be told of it."""

    rule: str
    test: str
    note: str = ""


def add(root: Path, said: str, *, verb: Verb, tool: str | None, force: bool = False) -> Begun:
    """Write the rule and its test. Raises `NotMade`, and then nothing was written. `force`: the tool may be unknown."""
    path = _path(said)
    if path[0] == "org" and verb == "allow":
        raise NotMade("grants are written by a backend's owner: name the rule servers/<backend>/<rule>")
    written, tested = "/".join((POLICIES, "mcp", *path)) + ".rego", "/".join((TESTS, "mcp", *path)) + "_test.rego"
    for name in (written, tested):
        if (root / name).exists():
            raise NotMade(f"{name} exists already")
    new, note = _meant(root, path, verb, tool or path[-1])
    if new.early and not force:
        raise NotMade(note)
    try:
        for name, text in ((written, rule(new)), (tested, its_test(new))):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    except OSError as error:
        raise NotMade(f"cannot be written: {error}") from error
    return Begun(written, tested, "" if new.early else note)


def _meant(root: Path, path: tuple[str, ...], verb: Verb, tool: str) -> tuple[New, str]:
    """What to write, and what to say where the backend, or its tool, is not known."""
    if path[0] == "org":
        return New(path, verb, tool, typed=False), ""
    backend, known = path[1], _known(root)
    if backend not in known.by_backend:
        advice = "so no name is checked: `mcp-gateway catalog pin` brings its items"
        return New(path, verb, tool, typed=False), f"nothing is known of a backend {backend} yet, {advice}"
    if tool not in known.of(backend, "tool"):
        return New(path, verb, tool, typed=False, early=True), _unknown(backend, tool, known)
    schema = root / SCHEMAS / "tools" / backend / f"{tool}.json"
    return New(path, verb, tool, typed=schema.is_file() and verb not in {"allow", "hide"}), ""


def _known(root: Path) -> Items:
    policies = root / POLICIES
    paths = [path for path in (policies / "mcp/facts").rglob("data.*") if path.suffix in {".json", ".yaml", ".yml"}]
    try:
        return known_items({path.relative_to(policies).as_posix(): path.read_text() for path in paths}, root / SCHEMAS)
    except (OSError, UnicodeDecodeError) as error:
        raise NotMade(f"the facts cannot be read: {error}") from error


def _unknown(backend: str, tool: str, known: Items) -> str:
    tools = known.of(backend, "tool")
    which = instead(tool, tools) if tools else "no tool of it is"
    return (
        f'"{tool}" is no tool of {backend} that facts or schemas know; {which}\n'
        "Name the tool with --tool. For one that is not offered yet, say --force."
    )


def _path(said: str) -> tuple[str, ...]:
    """Raises `NotMade`."""
    path = tuple(said.removeprefix(f"{POLICIES}/").removeprefix("mcp/").removesuffix(".rego").split("/"))
    depth = {"org": 2, "servers": 3}.get(path[0])
    if len(path) != depth or CODE.fullmatch(path[-1]) is None or path[-1] in RESERVED or path[-1].endswith("_test"):
        raise NotMade(f"{said!r}: {FORM}")
    if path[0] == "servers" and (BACKEND.fullmatch(path[1]) is None or path[1] in RESERVED):
        raise NotMade(f"{said!r}: {FORM}")
    return path


def rule(new: New) -> str:
    lines = ["# METADATA", f"# title: {_title(new.name)}"]
    lines += ["# description: Say here what this rule is for, and what it stops.", "# schemas:", "#   - input: schema.input"]
    lines += [f"#   - input.arguments: schema.tools.{new.backend}.{new.tool}"] if new.typed else []
    lines += [f"package {new.package}", "", *_RULES[new.verb]]
    return (
        "\n".join(lines)
        .replace("TITLE", TITLES[new.verb])
        .replace("CODE", new.name)
        .replace("TOOL", new.tool)
        .replace("WHY", f" {UNKNOWN} it is not offered yet" if new.early else "")
        + "\n"
    )


def its_test(new: New) -> str:
    lines = [f"package {new.package}_test", "", "import data.mcp.asking_test as asking", f"import data.{new.package}", ""]
    lines += [f"_asked(groups) := {_question(new, 'groups', new.tool)}", ""]
    # Asked by whom only the tool keeps from being meant: otherwise no test would notice that its name is dropped from the rule.
    others = '["say_who_may"]' if new.verb == "allow" else "[]"
    lines += [f"_other := {_question(new, others, f'{new.tool}_not')}", ""]
    lines += ["# Fails until the rule says who is meant: write the group here and there, and the arguments that matter."]
    return "\n".join([*lines, *_TESTS[new.verb]]).replace("RULE", new.name).replace("CODE", new.name) + "\n"


def _question(new: New, groups: str, tool: str) -> str:
    called = f'asking.call({groups}, "{new.backend}", "{tool}", {{}})'
    return f'asking.answered({called}, {{"content": []}})' if new.verb == "withhold" else called


def _title(name: str) -> str:
    return re.sub("_+", " ", name).strip().capitalize()


_FINDING = ["import data.mcp.lib.finding", ""]
_ITEM = ["import data.mcp.lib.item", ""]
_WORDS = ["# METADATA", "# title: TITLE", "# custom:", "#   code: CODE"]
_PERMITTED = [
    "",
    "# Refused unless this is known to be right: what is absent or misspelt must not pass.",
    '_permitted if "whoever_may" in input.subject.groups',
]


def _refusal(verb: Verb) -> list[str]:
    return [
        *_FINDING,
        *_WORDS,
        f"{verb} contains finding.refusal(rego.metadata.rule()) if {{",
        '\tinput.resources[0].name == "TOOL"WHY',
        "\tnot _permitted",
        "}",
        *_PERMITTED,
    ]


_RULES: dict[Verb, list[str]] = {
    "deny": _refusal("deny"),
    "withhold": _refusal("withhold"),
    "hide": [
        *_ITEM,
        "hide contains position if {",
        "\tnot _permitted",
        "\tsome position, resource in input.resources",
        '\titem.among(resource, {"tool": {"TOOL"}})WHY',
        "}",
        *_PERMITTED,
    ],
    "allow": [
        *_ITEM,
        "allow contains position if {",
        "\t_permitted",
        "\tsome position, resource in input.resources",
        '\titem.among(resource, {"tool": {"TOOL"}})WHY',
        "}",
        "",
        '_permitted if "whoever_may" in input.subject.groups',
    ],
    "oblige": [
        *_FINDING,
        *_WORDS,
        'oblige contains finding.duty(rego.metadata.rule(), "rate_limit", {"key": "CODE", "limit": 10, "period_s": 60}) if {',
        '\tinput.action.phase == "request"',
        '\tinput.resources[0].name == "TOOL"WHY',
        "\tnot _permitted",
        "}",
        *_PERMITTED,
    ],
}


def _tests(verb: Verb, *, hit: str, without: str) -> list[str]:
    """Who may, who may not, and that nothing else is meant."""
    return [
        "test_who_may_is_let_through if {",
        f'\tRULE.{verb} == {without} with input as _asked(["say_who_may"])',
        "}",
        "",
        "test_nobody_else_is if {",
        f"\t{hit} with input as _asked([])",
        "}",
        "",
        "test_other_tools_are_not_meant if {",
        f"\tRULE.{verb} == set() with input as _other",
        "}",
    ]


_CODES = '{finding.code | some finding in RULE.VERB} == {"CODE"}'
_TESTS: dict[Verb, list[str]] = {
    "deny": _tests("deny", hit=_CODES.replace("VERB", "deny"), without="set()"),
    "withhold": _tests("withhold", hit=_CODES.replace("VERB", "withhold"), without="set()"),
    "oblige": [
        *_tests("oblige", hit=_CODES.replace("VERB", "oblige"), without="set()"),
        "",
        "test_the_result_is_not_counted_once_more if {",
        '\tRULE.oblige == set() with input as asking.answered(_asked([]), {"content": []})',
        "}",
    ],
    "hide": _tests("hide", hit="RULE.hide == {0}", without="set()"),
    "allow": _tests("allow", hit="RULE.allow == set()", without="{0}"),
}

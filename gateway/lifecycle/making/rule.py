"""A new rule and its test, which fails: it is finished when somebody has said what is right, and the rule does it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class New:
    """What to write. `tool`: whose calls the rule is about."""

    path: tuple[str, ...]  # ("servers", "crm", "refunds")
    verb: Verb
    tool: str
    typed: bool  # the tool's arguments have a schema in the repository

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def package(self) -> str:
        return ".".join(("mcp", *self.path))

    @property
    def backend(self) -> str:
        return self.path[1] if self.path[0] == "servers" else "crm"


def add(root: Path, said: str, *, verb: Verb, tool: str | None) -> tuple[str, str]:
    """Write the rule and its test; their paths from `root`. Raises `NotMade`, and then nothing was written."""
    path = _path(said)
    meant = tool or path[-1]
    typed = path[0] == "servers" and (root / SCHEMAS / "tools" / path[1] / f"{meant}.json").is_file()
    new = New(path, verb, meant, typed and verb not in {"allow", "hide"})
    if path[0] == "org" and verb == "allow":
        raise NotMade("grants are written by a backend's owner: name the rule servers/<backend>/<rule>")
    files = {
        "/".join((POLICIES, "mcp", *path)) + ".rego": rule(new),
        "/".join((TESTS, "mcp", *path)) + "_test.rego": its_test(new),
    }
    for name in files:
        if (root / name).exists():
            raise NotMade(f"{name} exists already")
    try:
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    except OSError as error:
        raise NotMade(f"cannot be written: {error}") from error
    written, tested = files
    return written, tested


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
    return "\n".join(lines).replace("TITLE", TITLES[new.verb]).replace("CODE", new.name).replace("TOOL", new.tool) + "\n"


def its_test(new: New) -> str:
    lines = [f"package {new.package}_test", "", "import data.mcp.asking_test as asking", f"import data.{new.package}", ""]
    lines += [f"_asked(groups) := {_question(new, 'groups', new.tool)}", ""]
    lines += [f"_other := {_question(new, '[]', f'{new.tool}_not')}", ""]
    lines += ["# Fails until the rule says who is meant: write the group here and there, and the arguments that matter."]
    return "\n".join([*lines, *_TESTS[new.verb]]).replace("RULE", new.name).replace("CODE", new.name) + "\n"


def _question(new: New, groups: str, tool: str) -> str:
    called = f'asking.call({groups}, "{new.backend}", "{tool}", {{}})'
    return f'asking.answered({called}, {{"content": []}})' if new.verb == "withhold" else called


def _title(name: str) -> str:
    return re.sub("_+", " ", name).strip().capitalize()


_FINDING = ["import data.mcp.lib.finding", ""]
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
        '\tinput.resources[0].name == "TOOL"',
        "\tnot _permitted",
        "}",
        *_PERMITTED,
    ]


_RULES: dict[Verb, list[str]] = {
    "deny": _refusal("deny"),
    "withhold": _refusal("withhold"),
    "hide": [
        "hide contains position if {",
        "\tnot _permitted",
        "\tsome position, resource in input.resources",
        '\tresource.name == "TOOL"',
        "}",
        *_PERMITTED,
    ],
    "allow": [
        "allow contains position if {",
        "\t_permitted",
        "\tsome position, resource in input.resources",
        '\tresource.name == "TOOL"',
        "}",
        "",
        '_permitted if "whoever_may" in input.subject.groups',
    ],
    "oblige": [
        *_FINDING,
        *_WORDS,
        'oblige contains finding.duty(rego.metadata.rule(), "rate_limit", {"key": "CODE", "limit": 10, "period_s": 60}) if {',
        '\tinput.action.phase == "request"',
        '\tinput.resources[0].name == "TOOL"',
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
    "oblige": _tests("oblige", hit=_CODES.replace("VERB", "oblige"), without="set()"),
    "hide": _tests("hide", hit="RULE.hide == {0}", without="set()"),
    "allow": _tests("allow", hit="RULE.allow == set()", without="{0}"),
}

"""Policy sets that OPA would load and misread, parsed by the real OPA; each finding names file, line and remedy."""

# ruff: noqa: E501 — a table reads best with one case a line

import json
import subprocess
from textwrap import dedent

import pytest

from gateway.policy.rego import PARSE
from gateway.policy.structure import Finding, check, check_yaml


def findings(opa: str, sources: dict[str, str], data_files: tuple[str, ...] = ()) -> list[tuple[str, int, str]]:
    """File, line and the first words of each finding."""
    texts = {file: dedent(source).lstrip() for file, source in sources.items()}
    done = subprocess.run([opa, *PARSE], input=json.dumps(texts), capture_output=True, text=True, timeout=30, check=True)
    return [(found.file, found.line, found.message) for found in check(texts, json.loads(done.stdout), data_files)]


LIB = """
    package mcp.lib.item

    reviewed(resource) if resource.fingerprint == data.mcp.facts.items[resource.id].fingerprint

    cautious(resource) if {
        resource.name != "x"
        input.arguments.force
    }

    given(document) if document.arguments.force
"""
GOOD = {
    "mcp/authz/decision.rego": """
        package mcp.authz

        decision := {"version": 1, "visible": _visible}

        _visible := {position | some name; some position in data.mcp.servers[name][_].allow}
    """,
    "mcp/lib/item.rego": LIB,
    "mcp/lib/finding.rego": """
        package mcp.lib.finding

        refusal(rule) := {"message": rule.title, "code": rule.custom.code}
    """,
    "mcp/servers/github/access.rego": """
        # METADATA
        # description: who may see what
        package mcp.servers.github.access

        import data.mcp.lib.item

        # METADATA
        # title: readers see everything that was reviewed
        allow contains position if {
            some position, resource in input.resources
            item.reviewed(resource)
            _reader
        }

        _reader if "mcp:read" in input.subject.scopes
        _reader if input.context.surface == "open"
    """,
    "mcp/servers/github/merging.rego": """
        package mcp.servers.github.merging

        import data.mcp.lib.finding

        # METADATA
        # title: only release managers merge to {base}
        # custom:
        #   code: protected_branch
        deny contains finding.refusal(rego.metadata.rule()) if {
            input.arguments.base == "main"
            input.action.name == "tools/call"
        }
    """,
}


def rule(body: str, *, file: str = "mcp/org/one.rego") -> dict[str, str]:
    package = file.removesuffix(".rego").replace("/", ".")
    return {**GOOD, file: f"package {package}\n\n{dedent(body).strip()}\n"}


def test_a_proper_policy_set_has_no_findings(opa_binary: str) -> None:
    assert findings(opa_binary, GOOD, ("mcp/facts/data.yaml", "mcp/canaries/data.json")) == []


ALLOW = "allow contains position if some position, resource in input.resources"
BAD_RULES = {
    "deny if": ('# METADATA\n# title: t\n# custom:\n#   code: c\ndeny if input.arguments.x', 7, "no partial set"),
    "deny as a value": ('deny := {"x"}', 3, "no partial set"),
    "deny as a function": ("deny(x) := x if x", 3, "no partial set"),
    "default allow": ("default allow := false", 3, "no partial set"),
    "allow as an object": ("allow[position] := true if some position, _ in input.resources", 3, "no partial set"),
    "allow below a name": ("allow.x contains position if some position, _ in input.resources", 3, "no partial set"),
    "misspelt verb": ("denies contains 0 if input.resources", 3, "denies would be ignored"),
    "public helper": ("helper if input.resources", 3, "helper would be ignored"),
    "test in place": ("test_it if true", 3, "test_it would be ignored"),
    "deny without METADATA": ('deny contains "x" if input.arguments.x', 3, "has no `title`"),
    "deny without a code": ('# METADATA\n# title: t\ndeny contains "x" if input.arguments.x', 5, "has no `custom.code`"),
    "withhold without METADATA": ('withhold contains "x" if input.result.x', 3, "has no `title`"),
    "oblige without METADATA": ('oblige contains "x" if input.resources', 3, "has no `title`"),
    "second body without METADATA": (
        '# METADATA\n# title: t\n# custom:\n#   code: c\ndeny contains "x" if input.arguments.x\n\ndeny contains "y" if input.arguments.y',
        9,
        "has no `title`",
    ),
    "code with blanks": ('# METADATA\n# title: t\n# custom:\n#   code: a b\ndeny contains "x" if input.arguments.x', 7, "`custom.code`"),
    "allow reads arguments": (f"{ALLOW}\n\nhide contains 0 if input.arguments.path", 5, "`hide` reaches input.arguments"),
    "allow reads validity": (f"{ALLOW}\n\nhide contains 0 if not input.arguments_valid", 5, "reaches input.arguments_valid"),
    "allow reads extracted": ("allow contains 0 if input.extracted.host", 3, "reaches input.extracted"),
    "allow reads result": ("allow contains 0 if input.result", 3, "reaches input.result"),
    "allow reads action": ('allow contains 0 if input.action.phase == "list"', 3, "reaches input.action"),
    "allow reads approvals": ("allow contains 0 if some a in input.context.approvals", 3, "reaches input.context.approvals"),
    "allow reads context whole": ("allow contains 0 if object.get(input.context, _n, 0)\n\n_n := 1", 3, "reaches input.context.approvals"),
    "allow reads by brackets": ('allow contains 0 if input["arguments"].x', 3, "reaches input.arguments"),
    "allow takes input": ("allow contains 0 if _f(input)\n\n_f(x) if x.arguments", 3, "takes `input` whole"),
    "allow takes input by a name": ("allow contains 0 if {\n  x := input\n  x.arguments\n}", 4, "takes `input` whole"),
    "allow walks input": ('allow contains 0 if input[_n]\n\n_n := "arguments"', 3, "takes `input` whole"),
    "allow through a helper": ("allow contains 0 if _helper\n\n_helper if _inner\n\n_inner if input.arguments.x", 7, "`allow` reaches input.arg"),
    "allow through a comprehension": (
        "allow contains 0 if count([x | some x in input.arguments.paths]) == 0",
        3,
        "reaches input.arguments",
    ),
    "allow through every": ("allow contains 0 if {\n  every p in input.arguments.paths { p != 1 }\n}", 4, "reaches input.arguments"),
    "allow through else": ("allow contains 0 if _f\n\n_f := false if 1 == 2\n\nelse := input.arguments.x", 7, "reaches input.arguments"),
    "allow in a head": ("allow contains input.arguments.position", 3, "reaches input.arguments"),
    "allow through the lib": (
        "import data.mcp.lib.item as thing\n\nallow contains 0 if thing.cautious(input.resources[0])",
        5,
        "reaches input.arguments.force: ",
    ),
    "allow through a full path": ("allow contains 0 if data.mcp.lib.item.cautious(input.resources[0])", 3, "reaches input.arguments"),
    "allow through an open path": ("allow contains 0 if data.mcp.lib[_n].cautious\n\n_n := 1", 3, "reaches input.arguments"),
    "reads exchange": ("hide contains 0 if input.exchange.request_id", 3, "input.exchange is for the decision log"),
    "imports input": ("import input.arguments as a\n\nallow contains 0 if a.x", 3, "imports input.arguments as a"),
    "template string": ('hide contains 0 if {\n  x := 1\n  $"a {x}" == "a 1"\n}', 5, "template strings"),
    "with": ('hide contains 0 if {\n  _x with input.subject as {}\n}\n\n_x if input.subject.type == "user"', 4, "`with` replaces"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_RULES)
def test_a_rule_that_opa_would_ignore_or_misread_is_found(opa_binary: str, name: str) -> None:
    body, line, words = BAD_RULES[name]
    found = findings(opa_binary, rule(body))
    assert [one for one in found if one[0] == "mcp/org/one.rego" and one[1] == line and words in one[2]], found


BAD_PLACES = {
    "somebody else's package": ("mcp/servers/wiki/x.rego", "mcp.lib.item", "declares package mcp.lib.item"),
    "the entrypoint's package": ("mcp/servers/wiki/x.rego", "mcp.authz", "declares package mcp.authz"),
    "folder as package": ("mcp/servers/wiki/x.rego", "mcp.servers.wiki", "declares package mcp.servers.wiki"),
    "too deep under org": ("mcp/org/a/b.rego", "mcp.org.a.b", "wrong depth"),
    "too shallow under org": ("mcp/org.rego", "mcp.org", "wrong depth"),
    "too deep under servers": ("mcp/servers/wiki/a/b.rego", "mcp.servers.wiki.a.b", "wrong depth"),
    "too shallow under servers": ("mcp/servers/wiki.rego", "mcp.servers.wiki", "wrong depth"),
    "no backend's name": ("mcp/servers/my_wiki/a.rego", "mcp.servers.my_wiki.a", "can be no backend's name"),
    "facts as rules": ("mcp/facts/x.rego", "mcp.facts.x", "asked by nobody"),
    "outside mcp": ("system/log.rego", "system.log", "asked by nobody"),
    "a test": ("mcp/lib/item_test.rego", "mcp.lib.item_test", "is a test"),
    "second entrypoint": ("mcp/authz/other.rego", "mcp.authz", "allowed is public"),
}


@pytest.mark.parametrize("name", BAD_PLACES)
def test_a_module_in_the_wrong_place_is_found(opa_binary: str, name: str) -> None:
    file, package, words = BAD_PLACES[name]
    found = findings(opa_binary, {**GOOD, file: f"package {package}\n\nallowed := 1\n"})
    assert [one for one in found if one[0] == file and words in one[2]], found


def test_a_module_that_does_not_parse_is_a_finding_and_not_absent(opa_binary: str) -> None:
    assert findings(opa_binary, {"mcp/org/one.rego": "package mcp.org.one\n\nallow contains if {"}) == [
        ("mcp/org/one.rego", 1, "does not parse; `opa check` says where")
    ]


def test_data_under_rule_roots_and_data_that_opa_would_ignore_are_found(opa_binary: str) -> None:
    outside = "is data outside mcp/facts and mcp/canaries, where it could pass for a rule; move it there"
    ignored = "would be ignored: OPA reads only data.json, data.yaml, data.yml from a bundle"
    assert findings(
        opa_binary, {}, ("data.json", "mcp/facts/blocks.yaml", "mcp/facts/data.yaml", "mcp/servers/github/data.yaml")
    ) == [
        ("data.json", 1, outside),
        ("mcp/facts/blocks.yaml", 1, ignored),
        ("mcp/servers/github/data.yaml", 1, outside),
    ]


def test_a_yaml_key_said_twice_is_found_at_any_depth_with_both_lines() -> None:
    text = "version: 1\nrules:\n  org/a:\n    enforcement: observe\n  org/b: {}\n  org/a:\n    enforcement: enforce\n"
    assert check_yaml("mcp/facts/data.yaml", text) == (
        Finding("mcp/facts/data.yaml", 6, "says 'org/a' twice, first in line 3; one of the two would be lost"),
    )


@pytest.mark.parametrize(("text", "line"), [("a: [", 1), ("a: b: c", 1), ("a: 1\n---\nb: 2", 2), ("\x00", 1), ("[" * 5_000, 1)])
def test_what_is_no_single_yaml_document_is_a_finding_and_never_a_traceback(text: str, line: int) -> None:
    found = check_yaml("f.yaml", text)
    assert [(one.file, one.line) for one in found] == [("f.yaml", line)]
    assert found[0].message.startswith("is no YAML: ")


def test_an_alias_is_a_finding_and_is_not_expanded() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    message = "is used again by an alias; write it out where it is meant"
    assert set(check_yaml("f.yaml", text)) == {Finding("f.yaml", line, message) for line in range(1, 40)}


@pytest.mark.parametrize("text", ["1: a", "true: a", "a: {2026-01-01: b}", "? [a]\n: b", "a: {<<: {b: c}}"])
def test_a_yaml_key_that_is_no_text_is_found(text: str) -> None:
    (found,) = check_yaml("f.yaml", text)
    assert found.message.endswith("that is no text; put it in quotes")

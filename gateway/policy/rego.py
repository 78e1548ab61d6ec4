"""Parsed Rego, read: packages, rules, what a rule refers to, and the line where it says so.

OPA parses all modules in one process (`PARSE`); its parser's answer has no locations, so lines come from the source text:
a finding's truth never depends on them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
import yaml

from gateway.model import Json, JsonObject

PARSE_QUERY = (
    '{name: module | some name, source in input; module := object.remove(rego.parse_module(name, source), ["comments"])}'
)
"""Path -> module for the input path -> source; a module that does not parse is not in the answer."""
PARSE = ("eval", "--format", "raw", "--stdin-input", PARSE_QUERY)
"""Arguments of `opa`; standard input is the JSON object path -> source, standard output the object path -> module."""

MEMBER = ("internal", "member_2")  # `in`, as OPA's parser calls it
_COMMENT = re.compile(r"^\s*#")
_METADATA = re.compile(r"^\s*#\s*METADATA\s*$")


Path: TypeAlias = tuple[str, ...]
"""What a rule refers to, as far as it is constant: `("input", "subject", "groups")`. Anything below it may be read."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition that whoever has the input can check without OPA: a place in it against constant texts."""

    place: tuple[str | int, ...]  # below `input`
    texts: frozenset[str]
    among: bool = True  # holds where the place has one of them; False: where it has something else, but has something

    def holds(self, document: Json) -> bool:
        """Whether it holds for this input; what is absent satisfies no condition."""
        value = document
        for name in self.place:
            inner = _inner(value, name)
            if not inner:
                return False
            value = inner[0]
        return (isinstance(value, str) and value in self.texts) == self.among


def _inner(value: Json, name: str | int) -> list[Json]:
    """The member, as one element; none: there is no such place."""
    if isinstance(name, str):
        return [value[name]] if isinstance(value, dict) and name in value else []
    return [value[name]] if isinstance(value, list) and 0 <= name < len(value) else []


@dataclass(frozen=True, slots=True)
class Step:
    """One expression of a rule's body. Where its guard fails, nothing that follows is evaluated."""

    references: tuple[Path, ...]
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    line: int
    last_line: int
    partial_set: bool
    references: tuple[Path, ...]
    template_string: bool
    with_modifier: bool
    metadata: JsonObject
    conditions: tuple[Path, ...] = ()  # those of `references` on which hangs whether it speaks; the others say what
    steps: tuple[Step, ...] = ()  # its body in the order in which OPA evaluates it, and last what it says
    digest: str = ""  # of its syntax tree, which is the same however it is laid out


@dataclass(frozen=True, slots=True)
class Module:
    file: str
    source: tuple[str, ...]
    package: Path
    package_line: int
    rules: tuple[Rule, ...]
    imports: Mapping[str, Path] = field(default_factory=dict)  # name in this file -> what it stands for

    def line_of(self, rule: Rule, *texts: str) -> int:
        """The first line of the rule that has one of the texts; else the rule's own."""
        for number in range(rule.line, rule.last_line + 1):
            if any(text in self.source[number - 1] for text in texts):
                return number
        return rule.line


def module(file: str, source: str, ast: Json) -> Module:
    """One module. Raises `ValueError` for a syntax tree of another shape than OPA's."""
    if not isinstance(ast, dict) or not isinstance(ast.get("package"), dict):
        raise ValueError(f"{file}: not a parsed module")
    lines = tuple(source.splitlines())
    package = _terms(_member(ast["package"], "path"))[1:]
    imports = dict(_imports(ast.get("imports")))
    nodes = [node for node in _list(ast.get("rules")) if isinstance(node, dict)]
    starts = _starts(lines, [_name(node) for node in nodes])
    rules: list[Rule] = []
    for index, node in enumerate(nodes):
        last = max(starts[index + 1] - 1 if index + 1 < len(starts) else len(lines), starts[index])
        rules.append(_rule(node, imports, lines, (starts[index], last)))
    package_line = next((number for number, line in enumerate(lines, 1) if line.startswith("package")), 1)
    return Module(file, lines, tuple(_constant(term) or "?" for term in package), package_line, tuple(rules), imports)


def _rule(node: JsonObject, imports: Mapping[str, Path], lines: tuple[str, ...], span: tuple[int, int]) -> Rule:
    head = node.get("head")
    head = head if isinstance(head, dict) else {}
    reference = _terms(head.get("ref"))
    return Rule(
        name=_name(node),
        line=span[0],
        last_line=span[1],
        partial_set="key" in head and "value" not in head and "args" not in head and len(reference) == 1,
        references=tuple(dict.fromkeys(_references(node, imports))),
        template_string=any(part.get("type") == "templatestring" for part in _objects(node)),
        with_modifier=any("with" in part for part in _objects(node)),
        metadata=_metadata(lines, span[0]),
        conditions=tuple(dict.fromkeys(_references({"body": node.get("body")}, imports))),
        steps=tuple(_steps(node, imports)),
        digest=hashlib.sha256(msgspec.json.encode(node, order="deterministic")).hexdigest(),
    )


def _steps(node: JsonObject, imports: Mapping[str, Path]) -> Iterator[Step]:
    """OPA moves an expression only behind those that bind its variables, and a guard has none: nothing gets before one."""
    if "else" in node:  # a body that fails is not the end of it
        yield Step(tuple(dict.fromkeys(_references(node, imports))))
        return
    for expression in _list(node.get("body")):
        if isinstance(expression, dict):
            yield Step(tuple(dict.fromkeys(_references(expression, imports))), _guard(expression))
    head = node.get("head")
    said = {name: part for name, part in head.items() if name not in ("name", "ref")} if isinstance(head, dict) else {}
    below: list[Json] = [*_terms(_member(head, "ref"))[1:]]  # its own name refers to nothing
    yield Step(tuple(dict.fromkeys(_references({"head": said, "below": below}, imports))))


def _guard(expression: JsonObject) -> Guard | None:
    """The guard that an expression is: `input.a[0].b == "x"`, `!= "x"` or `in {"x", "y"}`."""
    terms = [term for term in _list(expression.get("terms")) if isinstance(term, dict)]
    if len(terms) != 3 or "negated" in expression or "with" in expression:
        return None
    operator = tuple(_constant(term) or "?" for term in _terms(terms[0]))
    place, texts = _place(terms[1]), _texts(terms[2])
    if place is None or not texts or (len(texts) > 1 and operator != MEMBER):
        return None
    if operator == MEMBER and terms[2].get("type") == "set":
        return Guard(place, texts)
    if operator in (("equal",), ("neq",)) and terms[2].get("type") == "string":
        return Guard(place, texts, operator == ("equal",))
    return None


def _place(term: JsonObject) -> tuple[str | int, ...] | None:
    """Where in the input a reference points, if all of it is constant."""
    terms = _terms(term) if term.get("type") == "ref" else []
    if len(terms) < 2 or terms[0].get("type") != "var" or terms[0].get("value") != "input":
        return None
    found: list[str | int] = []
    for each in terms[1:]:
        value = each.get("value")
        if each.get("type") not in ("string", "number") or not isinstance(value, str | int):
            return None
        found.append(value)
    return tuple(found)


def _texts(term: JsonObject) -> frozenset[str]:
    """A constant text, or a set of nothing else; empty: it is none."""
    members = [term] if term.get("type") == "string" else [each for each in _list(term.get("value")) if isinstance(each, dict)]
    texts = [each["value"] for each in members if each.get("type") == "string" and isinstance(each.get("value"), str)]
    return frozenset(str(each) for each in texts) if len(texts) == len(members) else frozenset()


def _name(node: JsonObject) -> str:
    head = node.get("head")
    reference = _terms(head.get("ref")) if isinstance(head, dict) else []
    return (_constant(reference[0]) if reference else None) or "?"


def _objects(node: Json) -> Iterator[JsonObject]:
    """The node and everything in it, without recursion: depth is the author's."""
    waiting: list[Json] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _references(node: JsonObject, imports: Mapping[str, Path]) -> Iterator[Path]:
    heads: set[int] = set()  # variables that a reference began with are told by the reference
    told: set[int] = set()  # references that were told with what `object.get` takes of them
    for part in _objects(node):
        if (taken := _taken(part)) is not None:
            terms, keys = taken
            told.add(id(terms[0]))
            yield (*_resolved(terms, imports), *keys)
        if part.get("type") == "ref":
            terms = _terms(part)
            if terms:
                heads.add(id(terms[0]))
                if id(terms[0]) not in told:
                    yield _resolved(terms, imports)
        elif part.get("type") == "var" and id(part) not in heads:
            yield _resolved([part], imports)


def _taken(part: JsonObject) -> tuple[list[JsonObject], Path] | None:
    """What `object.get` takes, and by which constant keys: `object.get(input.arguments, "to", "")` reads no other argument."""
    call = part.get("value") if part.get("type") == "call" else part.get("terms")
    terms = [term for term in _list(call) if isinstance(term, dict)]
    if len(terms) < 3 or [_constant(term) for term in _terms(terms[0])] != ["object", "get"]:
        return None
    whole, key = _terms(terms[1]) if terms[1].get("type") == "ref" else [], terms[2]
    keys = _terms(key) if key.get("type") == "array" else [key]
    constant = [*whole[1:], *keys]
    if len(whole) < 2 or not keys or any(each.get("type") != "string" for each in constant):
        return None
    return whole, tuple(_constant(each) or "" for each in keys)


def _resolved(terms: list[JsonObject], imports: Mapping[str, Path]) -> Path:
    first = _constant(terms[0]) or "?"
    path = list(imports.get(first, (first,)))
    for term in terms[1:]:
        name = _constant(term) if term.get("type") == "string" else None
        if name is None:
            break
        path.append(name)
    return tuple(path)


def _imports(said: Json) -> Iterator[tuple[str, Path]]:
    for node in _list(said):
        terms = _terms(_member(node, "path"))
        path = tuple(_constant(term) or "?" for term in terms)
        alias = _member(node, "alias")
        if path and path[0] in ("data", "input"):
            yield (alias if isinstance(alias, str) and alias else path[-1]), path


def _terms(said: Json) -> list[JsonObject]:
    """The terms of a reference, given as OPA gives it: an array, or a term of type ref."""
    if isinstance(said, dict):
        said = said.get("value")
    return [term for term in _list(said) if isinstance(term, dict)]


def _constant(term: JsonObject) -> str | None:
    value = term.get("value")
    return value if isinstance(value, str) else None


def _member(node: Json, name: str) -> Json:
    return node.get(name) if isinstance(node, dict) else None


def _list(said: Json) -> list[Json]:
    return said if isinstance(said, list) else []


def _starts(lines: tuple[str, ...], names: list[str]) -> list[int]:
    """The line of each rule, in the order of the source; where none is found, that of the rule before."""
    starts: list[int] = []
    at = 0
    for name in names:
        begins = re.compile(rf"^(default\s+)?{re.escape(name)}(?![A-Za-z0-9_])")
        found = next((number for number in range(at, len(lines)) if begins.match(lines[number])), None)
        starts.append(found + 1 if found is not None else max(at, 1))
        at = found + 1 if found is not None else at
    return starts


def _metadata(lines: tuple[str, ...], start: int) -> JsonObject:
    """The METADATA block right above a rule, as OPA attaches it; {} where there is none or it is no YAML object."""
    number = start - 2
    while number >= 0 and not lines[number].strip():
        number -= 1
    block: list[str] = []
    while number >= 0 and _COMMENT.match(lines[number]):
        if _METADATA.match(lines[number]):
            return _yaml_object("\n".join(re.sub(r"^\s*# ?", "", line) for line in reversed(block)))
        block.append(lines[number])
        number -= 1
    return {}


def _yaml_object(text: str) -> JsonObject:
    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}

"""What types do not see: values that cannot be, labels that nothing has, codes said twice, and refusals that absence undoes.

OPA's types know that `input.action.phase` is text, not that it is never "requests". And of `not startswith(input.arguments.path,
"/srv")` OPA looks the argument up before it negates: where it is absent the line is undefined, not true, and nothing is refused.
A line that means this says so in a comment, `# absent:` and why.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from gateway.lifecycle.check import exceptions, labels, misnamed
from gateway.lifecycle.check.mutants import conditions, operator
from gateway.lifecycle.check.places import Node, Place, of_package, parsed
from gateway.lifecycle.check.report import Outcome
from gateway.lifecycle.check.steps import Bench, in_policies
from gateway.lifecycle.check.terms import ANY, Path, nodes_of, path_of, texts_of, variables_of
from gateway.lifecycle.known import known_items
from gateway.lifecycle.repository import SCHEMAS
from gateway.policy.structure import EXPLAINED, Finding

AT_ONCE = 2
REFUSING = ("deny", "hide", "withhold", "oblige")  # verbs that protect: undefined, they do nothing
DIFFERENT = ("deny", "hide", "withhold")
EQUAL = frozenset({"equal", "eq"})
MEMBER = "internal.member_2"
ABSENT = "# absent:"
FACTS = ("data", "mcp", "facts")
GIVEN = frozenset({("input", "arguments"), ("input", "arguments_valid"), ("input", "result")})  # where their verb is asked
COLLECTED = frozenset({"setcomprehension", "arraycomprehension", "objectcomprehension"})


async def kept(bench: Bench) -> Outcome:
    """Every rule file of the set, judged."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def read(file: str) -> Node | None:
        async with turn:
            return await parsed(bench.opa, bench.copy.policies / file)

    files = [each for each in bench.copy.files if each.endswith(".rego") and each.startswith(("mcp/org/", "mcp/servers/"))]
    trees = await asyncio.gather(*(read(file) for file in files))
    whole = _json(bench.copy.schema("input.json"))
    told_labels = labels.labels(bench.copy)
    facts = labels.facts(bench.copy)
    offered = known_items(facts, bench.repository.root / SCHEMAS)
    unread, notices = labels.unread(bench.copy, told_labels)
    notices += exceptions.doubtful(facts, offered, time.time_ns())
    found: list[Finding] = [*labels.unlabelled(told_labels), *unread]
    codes: dict[str, tuple[str, int]] = {}
    for file, tree in zip(files, trees, strict=True):
        if tree is None:
            continue
        lines = bench.copy.texts[file].decode(errors="replace").split("\n")
        told = _File(file, tuple(lines), _typed(whole, tree, bench), told_labels.known)
        found += told.findings(tree)
        found += misnamed.findings(file, tree, offered, lines)
        found += _twice(file, tree, codes)
    return Outcome(
        tuple(in_policies(each) for each in dict.fromkeys(found)),
        told=f"{len(files)} rules",
        notices=tuple(in_policies(each) for each in notices),
    )


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    lines: tuple[str, ...]
    schema: Node
    labels: frozenset[str]

    def findings(self, tree: Node) -> Iterator[Finding]:
        for rule in tree.get("rules") or ():
            names = variables_of(rule)
            verb = str(rule["head"]["ref"][0]["value"])
            for node in nodes_of(rule):
                terms = node.get("terms") if "terms" in node else node.get("value") if node.get("type") == "call" else None
                if isinstance(terms, list) and len(terms) == 3:
                    yield from self._values(terms, names, node)
            for condition in conditions({"rules": [{"body": rule.get("body")}]}):
                yield from self._undone(verb, condition, names)

    def _values(self, terms: list[Node], names: Mapping[str, Path], node: Node) -> Iterator[Finding]:
        asked, left, right = operator(terms), terms[1], terms[2]
        if asked not in {*EQUAL, "neq", MEMBER}:
            return
        if asked == MEMBER:
            if _are_labels(right):
                for text in texts_of(left) if self.labels else ():
                    if text not in self.labels:
                        yield self._at(node, f'nothing is labelled "{text}" in the facts{labels.meant(text, self.labels)}')
            yield from self._possible(path_of(right, names), (ANY,), texts_of(left), node)
            yield from self._possible(path_of(left, names), (), texts_of(right), node)
            return
        for one, other in ((left, right), (right, left)):
            yield from self._possible(path_of(one, names), (), texts_of(other), node)

    def _possible(self, path: Path | None, below: Path, texts: list[str], node: Node) -> Iterator[Finding]:
        if path is None or path[0] != "input" or not texts:
            return
        values = (_schema_at(self.schema, (*path, *below)[1:]) or {}).get("enum")
        if not isinstance(values, list):
            return
        known = frozenset(str(each) for each in values)
        for text in texts:
            if text not in known:
                yield self._at(node, f'{".".join(path)} is never "{text}"; it is one of {_listed(known)}')

    def _undone(self, verb: str, condition: Node, names: Mapping[str, Path]) -> Iterator[Finding]:
        """What a rule that protects says of something that may be absent, so that it then says nothing at all."""
        terms = condition.get("terms")
        place = Place.of(condition)
        if verb not in REFUSING or place is None or ABSENT in self.lines[place.row - 1]:
            return
        asked = operator(terms)
        if condition.get("negated"):
            for path in self._looked_up(terms, names, direct=asked not in EQUAL):
                text = ".".join(path)
                advice = "put it into a helper, and write `not _helper`"
                yield self._at(
                    condition, f"where {text} is absent this is not true but undefined, and `{verb}` does nothing: {advice}"
                )
        elif asked == "neq" and verb in DIFFERENT and isinstance(terms, list):
            for path in self._looked_up(terms, names, direct=True):
                text = ".".join(path)
                advice = "write `not _helper`, whose condition is `==`"
                yield self._at(condition, f"where {text} is absent nothing differs from it, and `{verb}` does nothing: {advice}")

    def _looked_up(self, terms: object, names: Mapping[str, Path], *, direct: bool) -> Iterator[Path]:
        """What may be absent among that which OPA looks up before it calls. `direct`: the call's own arguments too."""
        if isinstance(terms, dict):
            yield from self._inside(terms, names, here=False)
        elif isinstance(terms, list) and terms and operator(terms):
            for each in terms[1:]:
                yield from self._inside(each, names, here=direct)

    def _inside(self, term: Node, names: Mapping[str, Path], *, here: bool) -> Iterator[Path]:
        kind, value = term.get("type"), term.get("value")
        if kind in COLLECTED:
            return
        if kind == "ref":
            path = path_of(term, names)
            if here and path is not None and self._may_be_absent(path):
                yield path
            for each in value[1:] if isinstance(value, list) else ():
                yield from self._inside(each, names, here=True)
        elif isinstance(value, list):
            for each in value[1:] if kind == "call" else value:
                if isinstance(each, dict):
                    yield from self._inside(each, names, here=True)

    def _may_be_absent(self, path: Path) -> bool:
        if path[: len(FACTS)] == FACTS:
            return len(path) > len(FACTS)
        if path[0] != "input":
            return False
        at: Node | None = self.schema
        for depth, name in enumerate(path[1:], 2):
            if at is None:
                return True
            if name == ANY:
                at = _items(at)
                continue
            if path[:depth] not in GIVEN and name not in (at.get("required") or ()):
                return True
            at = (at.get("properties") or {}).get(name)
        return False

    def _at(self, node: Node, message: str) -> Finding:
        place = Place.of(node)
        row = place.row if place is not None else 1
        return Finding(self.name, row, message)


def _twice(file: str, tree: Node, codes: dict[str, tuple[str, int]]) -> Iterator[Finding]:
    """A code names one refusal in records, waivers and dashboards, so no two rules say the same one."""
    for rule in tree.get("rules") or ():
        if rule["head"]["ref"][0]["value"] not in EXPLAINED:
            continue
        row = int((rule.get("location") or {}).get("row", 1))
        for each in rule.get("annotations") or ():
            code = (each.get("custom") or {}).get("code")
            if not isinstance(code, str):
                continue
            first = codes.setdefault(code, (file, row))
            if first != (file, row):
                yield Finding(file, row, f"the code {code} is said in {first[0]}:{first[1]} too; each refusal has its own")


def _schema_at(schema: Node, path: Path) -> Node | None:
    at: Node | None = schema
    for name in path:
        if at is None:
            return None
        at = _items(at) if name == ANY else (at.get("properties") or {}).get(name)
    return at


def _items(schema: Node) -> Node | None:
    items = schema.get("items")
    return items if isinstance(items, dict) else None


def _are_labels(term: Node) -> bool:
    """`item.labels(…)`, a helper of that name, or the member `labels` itself."""
    value = term.get("value")
    last = value[0].get("value") if term.get("type") == "call" and isinstance(value, list) else value
    name = last[-1].get("value") if isinstance(last, list) and last else last
    return isinstance(name, str) and name.removeprefix("_") == "labels"


def _typed(whole: Node, tree: Node, bench: Bench) -> Node:
    """The schema of the input, with the arguments' own where the package names one."""
    for each in of_package(tree):
        for said in each.get("schemas") or ():
            path = [part.get("value") for part in said.get("path") or ()]
            schema = [str(part.get("value")) for part in said.get("schema") or ()]
            if path == ["input", "arguments"] and schema[:1] == ["schema"]:
                own = _json(bench.copy.schema("/".join(schema[1:]) + ".json"))
                return {**whole, "properties": {**whole.get("properties", {}), "arguments": {**own, "required": []}}}
    return whole


def _json(text: bytes | None) -> Node:
    told: Node = msgspec.json.decode(text, type=dict) if text is not None else {}
    return told


def _listed(words: frozenset[str]) -> str:
    return ", ".join(sorted(words))

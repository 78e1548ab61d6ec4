"""Names join a backend's rules to its items by their spelling alone: a rule about an item that is not there protects nothing.

In rules of `servers/<backend>/`, what is compared with the name, the id, the URI or the template of an item, and what stands in
a table for `item.among`, is an item of that backend. Only where facts or schemas know some of its kind; patterns are not judged.
A line about what is yet to come says so in a comment, `# unknown:` and why.
"""

from collections.abc import Iterator, Mapping, Sequence

from gateway.catalog.names import public_name
from gateway.lifecycle.check.mutants import operator
from gateway.lifecycle.check.places import Node, Place
from gateway.lifecycle.check.terms import Path, nodes_of, path_of, texts_of, variables_of
from gateway.lifecycle.known import Items, instead
from gateway.policy.structure import Finding

COMPARING = frozenset({"equal", "eq", "neq", "internal.member_2"})
UNKNOWN = "# unknown:"
TYPES = frozenset({"tool", "prompt", "resource", "resource_template"})
RESOURCES = ("input", "resources")
TABLES = frozenset({"set", "array"})


def findings(file: str, tree: Node, known: Items, lines: Sequence[str]) -> Iterator[Finding]:
    """Of one rule file of the set; a file that is of no backend has none."""
    parts = file.split("/")
    if parts[:2] != ["mcp", "servers"] or len(parts) != 4:
        return
    backend = parts[2]
    for term, wanted in _named(tree, _keys(known, backend)):
        place = Place.of(term)
        for text in texts_of(term):
            if text not in wanted and place is not None and UNKNOWN not in lines[place.row - 1]:
                said = f'"{text}" is no item of {backend} that facts or schemas know; {instead(text, wanted)}'
                yield Finding(file, place.row, said)


def _keys(known: Items, backend: str) -> Mapping[str, frozenset[str]]:
    """What each type of item, and each member of one, can be. What is not in here can be anything."""
    named = known.of(backend, "tool") | known.of(backend, "prompt")
    keys = {type: known.of(backend, type) for type in TYPES}
    keys |= {"name": named, "id": frozenset(public_name(backend, name) for name in named), "template": keys["resource_template"]}
    keys["uri"] = keys["resource"] = frozenset() if keys["resource_template"] else keys["resource"]  # a template makes others
    return {which: names for which, names in keys.items() if names}


def _named(tree: Node, keys: Mapping[str, frozenset[str]]) -> Iterator[tuple[Node, frozenset[str]]]:
    """Every text that is said to be an item, and what it could be."""
    for rule in tree.get("rules") or ():
        names = variables_of(rule)
        for node in nodes_of(rule):
            if node.get("type") == "object":
                yield from _in_table(node, keys)
                continue
            terms = node.get("terms") if "terms" in node else node.get("value") if node.get("type") == "call" else None
            if not isinstance(terms, list) or len(terms) != 3 or operator(terms) not in COMPARING:
                continue
            for one, other in ((terms[1], terms[2]), (terms[2], terms[1])):
                if (wanted := keys.get(_member(one, names))) is not None:
                    yield from ((each, wanted) for each in _each(other))


def _in_table(node: Node, keys: Mapping[str, frozenset[str]]) -> Iterator[tuple[Node, frozenset[str]]]:
    """`{"tool": {"search"}, "prompt": {"summarise"}}`: types of items and their keys, and nothing else."""
    members = node.get("value")
    pairs = [each for each in members if isinstance(each, list) and len(each) == 2] if isinstance(members, list) else []
    if any(key.get("type") != "string" or key.get("value") not in TYPES for key, _ in pairs):
        return
    for key, value in pairs:
        if value.get("type") in TABLES and key["value"] in keys:
            yield from ((each, keys[key["value"]]) for each in _each(value))


def _each(term: Node) -> Iterator[Node]:
    value = term.get("value")
    yield from value if term.get("type") in TABLES and isinstance(value, list) else (term,)


def _member(term: Node, names: Mapping[str, Path]) -> str:
    """The member of an item that a term looks at, such as "name"; "": something else."""
    path = path_of(term, {"resource": (*RESOURCES, "*"), **names})  # helpers get it as an argument of that name
    return path[3] if path is not None and len(path) == 4 and path[:2] == RESOURCES else ""

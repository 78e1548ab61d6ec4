"""Terms of Rego as a syntax tree has them: where in the input or the data they look, and what texts they say outright."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from gateway.lifecycle.check.mutants import operator
from gateway.lifecycle.check.places import Node

ANY = "*"  # a position

Path: TypeAlias = tuple[str, ...]


def variables_of(rule: Node) -> dict[str, Path]:
    """What the names of a rule stand for: `some position, resource in input.resources`, `tool := input.resources[0]`."""
    names: dict[str, Path] = {}
    for node in nodes_of(rule):
        terms = node.get("terms")
        if isinstance(terms, dict) and isinstance(terms.get("symbols"), list):
            for symbol in terms["symbols"]:
                said = symbol.get("value") if symbol.get("type") == "call" else None
                if isinstance(said, list) and len(said) >= 3 and said[-2].get("type") == "var":
                    path = path_of(said[-1], names)
                    if path is not None:
                        names[str(said[-2]["value"])] = (*path, ANY)
        elif isinstance(terms, list) and operator(terms) == "assign" and terms[1].get("type") == "var":
            path = path_of(terms[2], names)
            if path is not None:
                names[str(terms[1]["value"])] = path
    return names


def path_of(term: Node, names: Mapping[str, Path]) -> Path | None:
    """Where in the input or the data a term looks; None: somewhere else."""
    if term.get("type") == "var":
        return names.get(str(term.get("value")))
    value = term.get("value")
    if term.get("type") != "ref" or not isinstance(value, list) or not value or value[0].get("type") != "var":
        return None
    first = str(value[0]["value"])
    start = (first,) if first in {"input", "data"} else names.get(first)
    if start is None:
        return None
    return (*start, *(str(each["value"]) if each.get("type") == "string" else ANY for each in value[1:]))


def nodes_of(root: Node) -> Iterator[Node]:
    """Every node, those that bind names in the order of the source."""
    waiting: list[object] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(reversed([each for name, each in node.items() if name != "location"]))
        elif isinstance(node, list):
            waiting.extend(reversed(node))


def texts_of(term: Node) -> list[str]:
    """The text, or the texts of a set or an array, that a term says outright."""
    parts = term.get("value") if term.get("type") in {"set", "array"} else [term]
    return [str(each["value"]) for each in parts or () if isinstance(each, dict) and each.get("type") == "string"]

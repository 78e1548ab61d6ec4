"""Rego with its places: a file's syntax tree in which every node knows its row, its column and its own text."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from gateway.adapters.opa.command import run

Node: TypeAlias = dict[str, Any]
"""A node as OPA tells it: its own JSON of its own version, which nothing but a pinned OPA promises."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands: row and column begin at 1, in bytes."""

    row: int
    column: int
    text: bytes

    @staticmethod
    def of(node: object) -> "Place | None":
        """None: the node stands nowhere, since OPA made it."""
        location = node.get("location") if isinstance(node, dict) else None
        if not isinstance(location, dict):
            return None
        row, column, text = location.get("row"), location.get("col"), location.get("text")
        if not isinstance(row, int) or not isinstance(column, int) or not isinstance(text, str) or not text:
            return None
        return Place(row, column, base64.b64decode(text))


async def parsed(opa: str, path: Path) -> Node | None:
    """The file's syntax tree; None: it does not parse, of which other checks tell."""
    done = await run(opa, ["parse", "--format", "json", "--json-include", "locations,-comments", str(path)])
    if done.status != 0:
        return None
    tree: Node = msgspec.json.decode(done.stdout, type=dict)
    return tree


def of_package(tree: Node) -> list[Node]:
    """The METADATA of the file's package."""
    return [each for each in tree.get("annotations") or () if each.get("scope") in {"package", "subpackages"}]

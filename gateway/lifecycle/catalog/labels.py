"""Labels that could follow from what backends say of their own items. Nobody verified it, so they are only ever proposed."""

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from gateway.lifecycle.catalog.names import Key
from gateway.lifecycle.catalog.offered import CatalogFailed, Offer
from gateway.lifecycle.catalog.words import visible
from gateway.model import ItemType, JsonObject
from gateway.policy.structure import LOADER

HEADING = (
    "# What the backends say of themselves, which nobody has verified. Copy what you find true into",
    "# mcp/facts/data.yaml; an answer that holds data of persons is `personal`, and no backend says so.",
    "# items:",
)


def labelled(facts: Path) -> Mapping[Key, tuple[str, ...]]:
    """The items that somebody gave labels, or said that none fit, in the facts file. Raises `CatalogFailed`."""
    try:
        told: Any = yaml.load(facts.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 — a safe loader
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CatalogFailed(f"{facts}: not YAML: {str(error).splitlines()[0]}") from error
    items = told.get("items") if isinstance(told, dict) else None
    return {
        Key(backend, cast(ItemType, type), name): tuple(str(label) for label in said["labels"])
        for backend, types in _members(items)
        for type, named in _members(types)
        for name, said in _members(named)
        if isinstance(said, dict) and isinstance(said.get("labels"), list)
    }


def unlabelled(offers: Iterable[Offer], known: Container[Key]) -> list[Offer]:
    """The tools of which nobody said what they do: the shipped rules take them for destructive."""
    tools = [each for each in offers if each.key.type == "tool" and each.key not in known]
    return sorted(tools, key=lambda each: each.key)


def suggested(offers: Iterable[Offer], known: Container[Key]) -> Iterator[str]:
    """Comments of YAML for the tools that have no labels."""
    backend = ""
    for offer in unlabelled(offers, known):
        if not backend:
            yield from HEADING
        if offer.key.backend != backend:
            backend = offer.key.backend
            yield f"#   {backend}:"
            yield "#     tool:"
        label, because = _label(offer.definition)
        yield f"#       {visible(offer.key.name)}: {{labels: [{label}]}} # {because}"


def _label(definition: JsonObject) -> tuple[str, str]:
    """By 2026-07-28, schema, ToolAnnotations: a tool that says nothing may write, and may destroy."""
    told = definition.get("annotations")
    hints = told if isinstance(told, dict) else {}
    if hints.get("readOnlyHint") is True:
        return "safe", "it says that it only reads"
    if hints.get("destructiveHint") is False:
        return "writes", "it says that it destroys nothing"
    if hints.get("destructiveHint") is True:
        return "destructive", "it says that it may destroy"
    return "destructive", "it says nothing, so it may destroy"


def _members(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()

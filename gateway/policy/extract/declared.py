"""Which arguments hold what, as a backend's owner says in the facts. The declarations belong to one policy set.

`items.<backend>.<tool or prompt>.<name>.extract: {<argument>: {kind: …}}`; an argument is a name, or a JSON pointer
(`/files/*/path`). A resource has no arguments but its URI: `items.<backend>.resource_template.<template>.extract.uri` is about
every URI that is read as one of this template. URIs are read whole: RFC 6570 does not say how one is taken apart into variables.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from gateway.model import ItemType, Json, JsonObject, Resource
from gateway.policy.extract.paths import is_root
from gateway.policy.extract.sql import DIALECTS

Kind = Literal["path", "sql", "url", "address"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DECLARING: tuple[ItemType, ...] = ("tool", "prompt", "resource_template")  # whose facts may declare something
URI = "uri"  # what is declared for a template
OF_URIS: tuple[Kind, ...] = ("path", "url")
ANY = "*"
ESCAPES = re.compile(r"~(?![01])")

Token: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Declared:
    """One argument, or the places that a pointer names, and what the texts in it are."""

    argument: str  # as the facts name it
    tokens: tuple[Token, ...]  # the way to it; `*`: every member
    kind: Kind
    roots: tuple[str, ...] = ()  # path: the folders that count
    base: str | None = None  # path: where relative ones begin; None: nobody knows
    dialect: str = ""  # sql
    of_uri: bool = False  # path: of the URI that it is in


@dataclass(frozen=True, slots=True)
class Extractions:
    """All declarations of one policy set, by backend, type and name, and the revision of that set; None: none is in force."""

    revision: str | None = None
    by_item: Mapping[tuple[str, ItemType, str], tuple[Declared, ...]] = field(default_factory=dict)

    def of(self, resource: Resource) -> tuple[Declared, ...]:
        """What is declared for a call of this item; empty: nothing."""
        if not self.by_item or resource.backend is None:
            return ()
        if resource.type == "resource":
            return self.by_item.get((resource.backend, "resource_template", resource.template or ""), ())
        if resource.type == "resource_template":  # a completion: there is no URI yet
            return ()
        return self.by_item.get((resource.backend, resource.type, resource.name or ""), ())


def told(resource: Resource, arguments: JsonObject) -> JsonObject:
    """What declarations are about: the arguments, and of a resource its URI."""
    return {URI: resource.uri} if resource.type == "resource" else arguments


def declarations(facts: Json, revision: str) -> Extractions:
    """The declarations in checked facts. Raises `ValueError` for facts that were not checked."""
    found: dict[tuple[str, ItemType, str], tuple[Declared, ...]] = {}
    for (backend, type, name), extract in _extracts(facts):
        for argument, said in extract.items():
            wrong = problems(argument, said, type)
            if wrong:
                raise ValueError(f"items.{backend}.{type}.{name}.extract.{argument}: {wrong[0]}")
        if extract:
            found[backend, type, name] = tuple(_declared(argument, said, type) for argument, said in extract.items())
    return Extractions(revision, found)


def _extracts(facts: Json) -> Iterator[tuple[tuple[str, ItemType, str], dict[str, Json]]]:
    items = facts.get("items") if isinstance(facts, dict) else None
    for backend, types in items.items() if isinstance(items, dict) else ():
        for type in DECLARING:
            named = types.get(type) if isinstance(types, dict) else None
            for name, said in named.items() if isinstance(named, dict) else ():
                extract = said.get("extract") if isinstance(said, dict) else None
                if isinstance(extract, dict):
                    yield (backend, type, name), extract


def _declared(argument: str, said: Json, type: ItemType) -> Declared:
    assert isinstance(said, dict)
    kind, roots, base = said["kind"], said.get("roots"), said.get("base")
    assert kind in KINDS
    return Declared(
        argument=argument,
        tokens=_tokens(argument),
        kind=kind,
        roots=tuple(str(root) for root in roots) if isinstance(roots, list) else (),
        base=base if isinstance(base, str) else None,
        dialect=str(said.get("dialect", "")),
        of_uri=type == "resource_template",
    )


def _tokens(argument: str) -> tuple[Token, ...]:
    if not argument.startswith("/"):
        return (argument,)
    return tuple(raw.replace("~1", "/").replace("~0", "~") for raw in argument.split("/")[1:])


def problems(argument: str, said: Json, type: ItemType = "tool") -> tuple[str, ...]:
    """What is wrong with one declaration, beyond its shape (which the schema of the facts says)."""
    if not isinstance(said, dict) or said.get("kind") not in KINDS:
        return (f"has no kind; there are {', '.join(KINDS)}",)
    kind = said["kind"]
    found = []
    if type == "resource_template" and (argument != URI or kind not in OF_URIS):
        found.append(f"is for a template: all that is read there is {URI!r}, as one of the kinds {', '.join(OF_URIS)}")
    if argument.startswith("/") and ESCAPES.search(argument):
        found.append("is a JSON pointer with a '~' that is neither '~0' nor '~1'")
    if "**" in _tokens(argument):
        found.append("has '**'; name each level, '*' is any one member")
    belongs = {"roots": "path", "base": "path", "dialect": "sql"}
    found += [f"has {name!r}, which belongs to kind {own}" for name, own in belongs.items() if name in said and own != kind]
    if kind == "sql" and said.get("dialect") not in DIALECTS:
        found.append(f"has no dialect that can be read; there are {', '.join(sorted(DIALECTS))}")
    if kind == "path":
        found += _path_problems(said)
    return tuple(found)


def _path_problems(said: dict[str, Json]) -> Iterator[str]:
    roots = said.get("roots")
    if not isinstance(roots, list) or not roots:
        yield "has no roots: the folders that paths may lie in"
        return
    for root in (*roots, *([said["base"]] if "base" in said else [])):
        if not isinstance(root, str) or not is_root(root):
            yield "has a root or base that is no absolute, plain path: write /srv/data or C:/data, without a slash at its end"
    drives = {isinstance(root, str) and root[1:2] == ":" for root in roots}
    if len(drives) > 1:
        yield "mixes roots with and without a drive letter"

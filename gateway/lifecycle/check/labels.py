"""Labels join facts to rules by their spelling alone: one that only one side knows protects nothing.

A label that the settings of a rule name and no item has is a finding; so is one that no rule reads and that is spelt like one
that is. Any other label that no rule reads may be for people: it is told, and is no failure.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
import yaml

from gateway.adapters.opa.inspect import FACTS, FACTS_SCHEMA
from gateway.adapters.opa.snapshot import Snapshot
from gateway.policy.fact_names import Named, item_labels, named
from gateway.policy.structure import Finding

ALIKE = 0.75  # of difflib's ratio: "sfae" is like "safe", "staff" is not
READERS = ("mcp/org/", "mcp/servers/", "mcp/lib/")
COMMENT = re.compile(r"^\s*#.*$", re.M)
SHIPPED = frozenset({"safe", "writes", "destructive", "personal"})  # what the shipped rules mean, also while no item has it
LITERAL = re.compile(r'"([a-z][a-z0-9_]*)"|`([a-z][a-z0-9_]*)`')


@dataclass(frozen=True, slots=True)
class Labels:
    of_items: tuple[Named, ...] = ()
    in_settings: tuple[Named, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        """Nothing where nothing is labelled at all."""
        return frozenset(each.text for each in self.of_items) | SHIPPED if self.of_items else frozenset()


def labels(copy: Snapshot) -> Labels:
    """Those of the facts, as the repository's own schema finds them; none where the facts are broken, of which others tell."""
    texts = facts(copy)
    try:
        schema = msgspec.json.decode(copy.schema(FACTS_SCHEMA) or b"{}", type=dict)
        return Labels(item_labels(texts), named(texts, schema, "label"))
    except (ValueError, yaml.YAMLError, msgspec.DecodeError):
        return Labels()


def facts(copy: Snapshot) -> dict[str, str]:
    """The files of facts, by name."""
    return {
        file: text.decode(errors="replace")
        for file, text in copy.texts.items()
        if file.startswith(FACTS) and not file.endswith(".rego")
    }


def unlabelled(told: Labels) -> Iterator[Finding]:
    """Settings that are about nothing."""
    for each in told.in_settings:
        if each.text not in told.known:
            said = f'{each.path}: nothing is labelled "{each.text}" in the facts'
            yield Finding(each.file, each.line, said + meant(each.text, told.known))


def unread(copy: Snapshot, told: Labels) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Labels of items, beside the shipped ones, that no rule reads: those that are most likely misspelt, and the others."""
    settled = frozenset(each.text for each in told.in_settings)
    read = (_literals(copy) | settled) & told.known
    places: dict[str, list[Named]] = {}
    for each in told.of_items:
        if each.text not in read | SHIPPED:
            places.setdefault(each.text, []).append(each)
    wrong, rest = [], []
    for label, items in places.items():
        close = difflib.get_close_matches(label, sorted(read), n=1, cutoff=ALIKE)
        if close:
            said = f'no rule reads the label "{label}"; did you mean "{close[0]}"?'
            wrong += [Finding(each.file, each.line, f"{each.path}: {said}") for each in items]
        else:
            which = f"{len(items)} items have" if len(items) > 1 else "one item has"
            rest.append(Finding(items[0].file, items[0].line, f'no rule reads the label "{label}", which {which}'))
    return tuple(wrong), tuple(rest)


def meant(label: str, known: Iterable[str]) -> str:
    """What there is instead, in a clause."""
    close = difflib.get_close_matches(label, sorted(known), n=1, cutoff=ALIKE)
    return f'; did you mean "{close[0]}"?' if close else f"; there are {', '.join(sorted(known)) or 'none'}"


def _literals(copy: Snapshot) -> frozenset[str]:
    """Every word that a rule says outright. More than it compares with labels: what may be read is not called unread."""
    found: set[str] = set()
    for file, text in copy.texts.items():
        if file.endswith(".rego") and file.startswith(READERS):
            for literal in LITERAL.finditer(COMMENT.sub("", text.decode(errors="replace"))):
                found.add(literal[1] or literal[2])
    return frozenset(found)

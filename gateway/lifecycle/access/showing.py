"""A table of access for a terminal, a spreadsheet, a pull request and a machine. Conditions are numbered, and told once below."""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.lifecycle.access.table import ACCESSES, Access, Cell, Table
from gateway.lifecycle.printing import plain
from gateway.model import Json, JsonObject, Resource

MAX_COLUMNS = 8  # of personas side by side; more are told by name in each row
WORDS: dict[Access, str] = {"allowed": "yes", "when": "when", "denied": "no", "hidden": "-", "unknown": "?"}


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as text: its notes are numbered in the cells."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def rows(table: Table) -> Rows:
    """One row an item; a column for each persona, or where those are many, one for each answer."""
    notes: dict[str, int] = {}
    names = [persona.name for persona in table.personas]
    if len(names) <= MAX_COLUMNS:
        shown = [
            (item_name(item), *(_marked(table.cell(name, item_name(item)), notes) for name in names)) for item in table.items
        ]
        return Rows(("item", *names), tuple(shown), _numbered(notes))
    shown = [(item_name(item), *(_who(table, item_name(item), answer, notes) for answer in ACCESSES)) for item in table.items]
    return Rows(("item", *ACCESSES), tuple(shown), _numbered(notes))


def _who(table: Table, item: str, answer: Access, notes: dict[str, int]) -> str:
    """The personas with this answer, those with the same condition together."""
    told: dict[str, list[str]] = {}
    for persona in table.personas:
        cell = table.cell(persona.name, item)
        if cell.access == answer:
            told.setdefault(_marked(cell, notes).removeprefix(WORDS[answer]), []).append(persona.name)
    if answer == "hidden" and (count := sum(len(names) for names in told.values())) > MAX_COLUMNS:
        return f"{count} others" if count < len(table.personas) else "all"
    return "; ".join(", ".join(names) + mark for mark, names in told.items())


def _marked(cell: Cell, notes: dict[str, int]) -> str:
    text = note(cell)
    if not text:
        return WORDS[cell.access]
    return f"{WORDS[cell.access]} [{notes.setdefault(text, len(notes) + 1)}]"


def note(cell: Cell) -> str:
    """What a reader wants to know beyond the word; "": nothing."""
    if cell.access == "denied":
        return f"refused by {', '.join(cell.rules)}" if cell.rules else "refused"
    return cell.when


def _numbered(notes: dict[str, int]) -> tuple[str, ...]:
    return tuple(f"[{number}] {text}" for text, number in notes.items())


def counts(table: Table) -> str:
    found = {answer: sum(1 for cell in table.cells.values() if cell.access == answer) for answer in ACCESSES}
    said = ", ".join(f"{count} {answer}" for answer, count in found.items() if count)
    return f"{len(table.personas)} personas, {len(table.items)} items: {said} (policy {table.revision})"


def as_csv(table: Table) -> str:
    """One line a persona and item."""
    lines: list[Sequence[str]] = [("persona", "backend", "type", "item", "access", "when", "rules")]
    for persona in table.personas:
        for item in table.items:
            cell = table.cell(persona.name, item_name(item))
            whose = (persona.name, item.backend or "", item.type, item_name(item))
            lines.append((*whose, cell.access, cell.when, ", ".join(cell.rules)))
    return lines_of_csv(lines)


def lines_of_csv(lines: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([_inert(each) for each in line] for line in lines)
    return written.getvalue()


def _inert(text: str) -> str:
    """A spreadsheet takes these for formulas, some also behind blanks or in wide characters."""
    said = plain(text)
    return f"'{said}" if unicodedata.normalize("NFKC", said).strip().startswith(("=", "+", "-", "@")) else said


def as_markdown(told: Rows, title: str, last: str) -> str:
    lines = [
        f"### {_escaped(title)}",
        "",
        _line(told.headers),
        _line(["---"] * len(told.headers)),
        *(_line(row) for row in told.rows),
        "",
    ]
    lines += [f"- {_escaped(each)}" for each in told.notes]
    return "\n".join([*lines, *([""] if told.notes else []), _escaped(last), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    """Names come from backends: nothing of them is markup. What calls somebody or becomes a link without any is shown as code,
    where no backslash would help.
    """
    said = plain(text)
    if _LIVE.search(unicodedata.normalize("NFKC", said)):
        return f"`{said.replace('`', chr(39)).replace('|', '/')}`"
    return "".join(f"\\{each}" if each in "\\|`*_<>[]#~!" else each for each in said)


_LIVE = re.compile(r"@|://|www\.|mailto:|xmpp:|\bGH-\d", re.IGNORECASE)


def members(table: Table) -> JsonObject:
    cells: list[Json] = []
    for (persona, item), cell in table.cells.items():
        told: JsonObject = {"persona": persona, "item": item, "access": cell.access}
        if cell.when:
            told["when"] = cell.when
        cells.append({**told, "rules": list[Json](cell.rules)} if cell.rules else told)
    return {
        "revision": table.revision,
        "personas": [persona.name for persona in table.personas],
        "items": [{"id": item_name(item), "backend": item.backend, "type": item.type} for item in table.items],
        "cells": cells,
    }


def item_name(item: Resource) -> str:
    return item.id or item.public_name

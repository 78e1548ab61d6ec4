"""What changes between two tables: for whom an item opens, closes, appears or goes, or gets another condition."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.lifecycle.access.showing import WORDS, Rows, note
from gateway.lifecycle.access.table import Cell, Table
from gateway.model import Json, JsonObject

Kind = Literal["wider", "narrower", "changed", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RANK = {"hidden": 0, "denied": 1, "when": 2, "allowed": 3}


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` is the other set's answer. An item that only one of the catalogs has is hidden in the other."""

    kind: Kind
    persona: str
    item: str
    before: Cell
    after: Cell

    def members(self) -> JsonObject:
        def told(cell: Cell) -> JsonObject:
            return {"access": cell.access, "when": cell.when, "rules": list[Json](cell.rules)}

        return {
            "kind": self.kind,
            "persona": self.persona,
            "item": self.item,
            "before": told(self.before),
            "after": told(self.after),
        }


def differences(before: Table, after: Table) -> tuple[Difference, ...]:
    """By item, then by persona, in the order of the table. Both are of the same personas."""
    return tuple(_differences(before, after))


def _differences(before: Table, after: Table) -> Iterator[Difference]:
    ids = dict.fromkeys(id for table in (after, before) for _, id in table.cells)
    gone = Cell("hidden", rules=("not in this catalog",))
    for id in ids:
        for persona in after.personas:
            old, new = before.cells.get((persona.name, id), gone), after.cells.get((persona.name, id), gone)
            if (old.access, old.when, old.unsaid) != (new.access, new.when, new.unsaid):
                yield Difference(_kind(old, new), persona.name, id, old, new)


def _kind(old: Cell, new: Cell) -> Kind:
    if "unknown" in (old.access, new.access):
        return "unknown"
    if old.access == new.access:
        return "changed"
    return "wider" if RANK[new.access] > RANK[old.access] else "narrower"


def rows(found: tuple[Difference, ...]) -> Rows:
    """One row for each change of an item, with everybody whom it concerns."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for each in found:
        before, after = _told(each.before), _told(each.after)
        after += ", by a rule that changed" if before == after else ""
        alike.setdefault((each.item, each.kind, before, after), []).append(each.persona)
    shown = tuple((item, kind, ", ".join(who), before, after) for (item, kind, before, after), who in alike.items())
    return Rows(("item", "change", "for", "before", "after"), shown, ())


def _told(cell: Cell) -> str:
    text = note(cell)
    return f"{WORDS[cell.access]}: {text}" if text else "hidden" if cell.access == "hidden" else WORDS[cell.access]

"""`catalog diff`: what the backends offer now against what was reviewed, item by item, with what to look at twice."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.lifecycle.catalog.accepting import Accepted, changes
from gateway.lifecycle.catalog.differences import Difference, differences
from gateway.lifecycle.catalog.names import Key
from gateway.lifecycle.catalog.offered import Live
from gateway.lifecycle.catalog.reviewed import Reviewed
from gateway.lifecycle.catalog.signals import Names, Signal, gained, names
from gateway.model import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Change:
    """One item that is not offered as it was pinned. Of one whose definition was not kept, nothing can be compared."""

    accepted: Accepted
    pinned: str | None
    offered: str | None
    before: JsonObject | None  # as reviewed; None: new, or not kept
    now: JsonObject | None  # None: gone
    differences: tuple[Difference, ...]
    signals: tuple[Signal, ...]

    @property
    def key(self) -> Key:
        return self.accepted.key

    def members(self) -> JsonObject:
        told: JsonObject = {**self.accepted.members(), "id": self.key.id}
        if self.pinned is not None:
            told["pinned"] = self.pinned
        if self.offered is not None:
            told["offered"] = self.offered
        if self.now is not None:
            told["now"] = self.now
        told["compared"] = self.before is not None and self.now is not None
        told["differences"] = list[Json](each.members() for each in self.differences)
        told["signals"] = list[Json](each.members() for each in self.signals)
        return told


def compared(before: Reviewed, now: Live, chosen: Callable[[Key], bool], others: Iterable[Key] = ()) -> tuple[Change, ...]:
    """`others`: items of other backends, of which a text may speak."""
    known = names(name for key in (*now.offers, *others) if key.type in {"tool", "prompt"} for name in (key.name, key.id))
    return tuple(_change(each, before, now, known) for each in changes(before, now) if chosen(each.key))


def _change(accepted: Accepted, before: Reviewed, now: Live, known: Names) -> Change:
    key = accepted.key
    offer = now.offers.get(key)
    old, new = before.definitions.get(key), offer.definition if offer is not None else None
    return Change(
        accepted,
        before.pins.get(key),
        offer.fingerprint if offer is not None else None,
        old,
        new,
        differences(old, new) if old is not None and new is not None else (),
        gained(old, new, known) if new is not None else (),
    )

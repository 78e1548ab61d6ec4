"""How much one caller may have under way at a time. Held by a `with`, so that whatever ends an exchange frees its place."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from gateway.errors import Kind, Refusal

Slot = Literal["exchanges", "streams"]

_MESSAGES: Mapping[Slot, str] = {
    "exchanges": "You have {cap} requests under way, which is the most one caller may have: wait until one has ended.",
    "streams": "You have {cap} subscription streams open, which is the most one caller may have: close one first.",
}


class Concurrency:
    """Counts by caller. A caller with nothing under way takes no memory."""

    def __init__(self, caps: Mapping[Slot, int]) -> None:
        self._caps = dict(caps)
        self._held: dict[tuple[Slot, str], int] = {}
        self._totals: dict[Slot, int] = dict.fromkeys(caps, 0)

    @contextmanager
    def slot(self, kind: Slot, key: str) -> Iterator[None]:
        """Take a place for as long as the block runs. Raises `Refusal(BUSY)` at the cap."""
        held = self._held.get((kind, key), 0)
        cap = self._caps[kind]
        if held >= cap:
            raise Refusal(Kind.BUSY, _MESSAGES[kind].format(cap=cap), cause=f"too_many_{kind}")
        self._held[kind, key] = held + 1
        self._totals[kind] += 1
        try:
            yield
        finally:
            self._totals[kind] -= 1
            left = self._held[kind, key] - 1
            if left:
                self._held[kind, key] = left
            else:
                del self._held[kind, key]

    def under_way(self, kind: Slot) -> int:
        """Of all callers together."""
        return self._totals[kind]

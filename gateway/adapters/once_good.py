"""Tokens that were good once, by their hash and until their own end: what strangers do must not shut them out.

Having been good is no proof: each use is verified as before. It only says that this token is no guess.
"""

from collections import OrderedDict

MAX_KEPT = 50_000  # 0.2 KB each; only who holds a good token adds to them


class OnceGood:
    """At most `max_kept`; the one used longest ago goes first."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self._until_s: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until_s)

    def add(self, digest: bytes, *, until_s: float) -> None:
        self._until_s[digest] = until_s
        self._until_s.move_to_end(digest)
        if len(self._until_s) > self._max_kept:
            self._until_s.popitem(last=False)

    def drop(self, digest: bytes) -> None:
        """It does not verify any more: from now on it is a guess like any other."""
        self._until_s.pop(digest, None)

    def holds(self, digest: bytes, *, now_s: float) -> bool:
        return now_s < self._until_s.get(digest, 0.0)

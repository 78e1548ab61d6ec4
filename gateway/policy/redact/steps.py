"""How much one value may cost: all its texts and all duties together, so that nobody's size multiplies anybody's limit.

Whatever is left when the steps are spent is withheld without a look, so the cost of the worst value is known.
"""

from typing import Final

MAX_STEPS: Final = 200_000  # 1 to 2 µs each
MATCH_STEPS: Final = 1  # to find one
CHECKED_STEPS: Final = 6  # to find one that is checked, beside what its check looks at
FOUND_STEPS: Final = 1  # to take it out


class Steps:
    """What is left of them."""

    __slots__ = ("begun", "left")

    def __init__(self, left: int) -> None:
        self.begun = self.left = left

    def take(self, count: int) -> bool:
        """False: they are spent."""
        self.left -= count
        return self.left >= 0

    @property
    def taken(self) -> int:
        return self.begun - self.left

    @property
    def spent(self) -> bool:
        return self.left < 0

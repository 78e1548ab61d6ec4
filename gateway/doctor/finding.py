"""What an examination finds: one thing, how it is, and what to do about it. No secret is ever in it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]
"""`warn`: it works, and somebody should look at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    state: State
    detail: str
    advice: str = ""  # what to do; "" where there is nothing to do

    def members(self) -> dict[str, str]:
        return {"what": self.what, "state": self.state, "detail": self.detail, "advice": self.advice}


def remaining(what: str, seconds: float, *, soon_s: float) -> tuple[State, str]:
    """The state of something that ends in `seconds`, and when that is in words."""
    days = seconds / 86_400
    if seconds <= 0:
        return "fail", f"{what} ended {-days:.0f} days ago" if days <= -1 else f"{what} has ended"
    told = f"{days:.0f} days" if days >= 2 else f"{seconds / 3600:.0f} hours"
    return ("warn" if seconds < soon_s else "ok"), f"{what} ends in {told}"

"""What a check says: how it went, what it found and where, and how long it took."""

from dataclasses import dataclass
from typing import Literal

from gateway.policy.structure import Finding

State = Literal["ok", "failed", "not run", "left out"]
"""`left out`: somebody asked for that, so it is no failure; `not run`: it could not, so nothing is known, and that is one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a check, before anybody looked at the clock."""

    findings: tuple[Finding, ...] = ()
    told: str = ""  # in a word: how much was looked at, or why it was not run
    ran: bool = True
    notices: tuple[Finding, ...] = ()  # worth knowing, and no failure


@dataclass(frozen=True, slots=True)
class Row:
    check: str
    state: State
    findings: tuple[Finding, ...]
    told: str
    took_s: float
    notices: tuple[Finding, ...] = ()

    @property
    def fine(self) -> bool:
        return self.state in {"ok", "left out"}


def row(check: str, outcome: Outcome, took_s: float) -> Row:
    state: State = "not run" if not outcome.ran else "failed" if outcome.findings else "ok"
    return Row(check, state, outcome.findings, outcome.told, took_s, outcome.notices)


def left_out(check: str, why: str = "as asked") -> Row:
    return Row(check, "left out", (), why, 0.0)

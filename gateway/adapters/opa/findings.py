"""Why a policy set is refused: findings with file and line, never a bare "failed"."""

from collections.abc import Sequence
from typing import Final

from gateway.policy.structure import Finding

__all__ = ["Finding", "PolicyRejected", "on_a_line"]

SHOWN_ON_A_LINE: Final = 3


class PolicyRejected(Exception):
    """A policy set is not put in force."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("\n".join(str(found) for found in findings))
        self.findings = findings


def on_a_line(findings: Sequence[Finding | str]) -> str:
    """The first of them, and how many more there are: whoever wants all of them reads the log."""
    more = [f"… and {len(findings) - SHOWN_ON_A_LINE} more"] if len(findings) > SHOWN_ON_A_LINE else []
    return "; ".join([*map(str, findings[:SHOWN_ON_A_LINE]), *more])

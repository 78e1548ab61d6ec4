"""How the policy in force is told of: to readiness and metrics as a status, to the audit as events."""

from dataclasses import dataclass
from typing import Literal

from gateway.adapters.opa.findings import Finding


@dataclass(frozen=True, slots=True)
class Rejection:
    """An attempt that failed: what was in force stayed."""

    at_s: float  # Unix time
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """For readiness and metrics. Ready: `revision` is set and `problem` is empty."""

    revision: str | None
    since_s: float | None  # Unix time from which `revision` is in force
    problem: str  # why decisions fail now; "": they do not
    canaries: Literal["right", "wrong", "unknown"]
    restarts: int
    rejection: Rejection | None  # of the newest edit, until one is accepted
    pinned: str | None = None  # the revision that was gone back to: newer sets wait

    @property
    def ready(self) -> bool:
        return self.revision is not None and not self.problem and self.canaries == "right"


@dataclass(frozen=True, slots=True)
class PolicyEvent:
    """Something the audit and the metrics should know."""

    kind: Literal["enforced", "rejected", "restarted"]
    revision: str | None  # in force after it
    previous: str | None  # in force before it
    findings: tuple[Finding, ...] = ()
    detail: str = ""
    took_s: float = 0.0
    signed_by: str | None = None  # the id of the key

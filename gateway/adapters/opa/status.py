"""How the policy in force is told of: to readiness and metrics as a status, to the audit as events."""

from dataclasses import dataclass
from typing import Literal

from gateway.adapters.opa.findings import Finding

Piece = Literal["rules", "facts"]
"""What a set is put together of, where its facts come apart; otherwise all of it is "rules"."""


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
    facts_pinned: str | None = None  # the same of facts that come apart
    fallback: tuple[Piece, ...] = ()  # what is from the history, since the newest is refused; () it is not
    signed_s: float | None = None  # Unix time of the older of the signatures in force; None: nothing is signed
    expires_s: float | None = None  # when the first of them counts no more; None: never

    @property
    def ready(self) -> bool:
        return self.revision is not None and not self.problem and self.canaries == "right"


@dataclass(frozen=True, slots=True)
class PolicyEvent:
    """Something the audit and the metrics should know."""

    kind: Literal["enforced", "renewed", "rejected", "restarted"]  # renewed: the same, signed anew
    revision: str | None  # in force after it
    previous: str | None  # in force before it
    findings: tuple[Finding, ...] = ()
    detail: str = ""
    took_s: float = 0.0
    signed_by: str | None = None  # the id of the key
    facts: str | None = None  # the revision of facts that came apart
    facts_signed_by: str | None = None
    fallback: tuple[Piece, ...] = ()  # as in `PolicyStatus`

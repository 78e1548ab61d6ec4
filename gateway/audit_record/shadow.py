"""What a candidate policy set would have done otherwise, and of how much that was found. The live lines stand apart."""

from dataclasses import dataclass

from gateway.audit_record.members import present, word
from gateway.model import JsonObject, Phase

MAX_NAMED = 20  # items of one difference that are named; all are counted


@dataclass(frozen=True, slots=True)
class Diverged:
    """One decision that the candidate would have made otherwise. It was the live one that counted."""

    decision_id: str  # of the live decision
    exchange_id: str
    surface: str
    method: str
    phase: Phase
    subject: JsonObject  # as in the other records
    agent: str | None
    revision: str  # of the live policy set
    candidate: str  # of the other one
    differences: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]  # (kind, rules, items)
    cause: str | None = None  # why the candidate gave no decision, one of `errors.UNDECIDED_CAUSES`

    def record(self) -> JsonObject:
        return present(
            {
                "type": "shadow",
                "exchange_id": self.exchange_id,
                "surface": self.surface,
                "method": word(self.method),
                "phase": self.phase,
                "subject": self.subject,
                "agent": self.agent,
                "decision_id": self.decision_id,
                "revision": self.revision,
                "candidate": self.candidate,
                "cause": self.cause,
                "differences": [
                    {
                        "kind": kind,
                        "rules": [*rules],
                        "items": [word(name) for name in items[:MAX_NAMED]],
                        "count": len(items),
                    }
                    for kind, rules, items in self.differences
                ],
            }
        )


@dataclass(frozen=True, slots=True)
class ShadowPeriod:
    """How many decisions were compared since the last such line, and how many were not."""

    candidate: str | None  # revision; None: none was in place
    counts: tuple[tuple[str, int], ...]  # same, different, failed, dropped
    unwritten: int  # differences that were counted without a line of their own

    def record(self) -> JsonObject:
        counts: JsonObject = dict(self.counts)
        return present({"type": "shadow_period", "candidate": self.candidate, "compared": counts, "unwritten": self.unwritten})

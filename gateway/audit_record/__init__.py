"""What the audit log says: one noun per type of record, so that nothing misshapen can be written (`schemas/audit.json`).

A record holds what is needed to explain the decision (decision ids, revision, rules, codes) and, at the levels the
policy asks for, to put the same question to another policy. Pure, on the floor of the model.
"""

from gateway.audit_record.fitting import fitted
from gateway.audit_record.members import Asked, Duty, End, Head, Level, Outcome, Ruling, Who
from gateway.audit_record.records import (
    Changed,
    Exchange,
    Fetch,
    Intent,
    Listing,
    Record,
    Refused,
    Settled,
    Started,
    Stopped,
    Strangers,
    Stream,
    Subsystem,
)
from gateway.audit_record.shadow import Diverged, ShadowPeriod

__all__ = [
    "Asked",
    "Changed",
    "Diverged",
    "Duty",
    "End",
    "Exchange",
    "Fetch",
    "Head",
    "Intent",
    "Level",
    "Listing",
    "Outcome",
    "Record",
    "Refused",
    "Ruling",
    "Settled",
    "ShadowPeriod",
    "Started",
    "Stopped",
    "Strangers",
    "Stream",
    "Subsystem",
    "Who",
    "fitted",
]

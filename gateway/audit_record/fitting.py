"""A record is never larger than its limit: what is too large is replaced by its size and its SHA-256, visibly."""

import hashlib
from collections.abc import Mapping

import msgspec

from gateway.model import Json, JsonObject

GIVING_WAY = (
    "result",
    "arguments",
    "documents",  # within `decisions`, with their answers
    "items",
    "detail",
    "denials",
    "observed",
    "waived",
    "dropped",
    "differences",
    "duties",
    "counts",
    "claims",  # within `subject`
    "claimed",
    "item",
    "decisions",
)
"""What gives way, in this order; who asked, the outcome and the exchange stay."""


def fitted(record: Mapping[str, Json], max_bytes: int) -> JsonObject:
    """`record`, with members replaced until it fits."""
    fitting = dict(record)
    for name in GIVING_WAY:
        if len(msgspec.json.encode(fitting)) <= max_bytes:
            break
        match name, fitting:
            case "documents", {"decisions": list(decisions)}:
                fitting["decisions"] = [_without(_without(one, "document"), "answer") for one in decisions]
            case "claims", {"subject": dict(subject)}:
                fitting["subject"] = _without(subject, "claims")
            case _:
                fitting = _without(fitting, name)
    return fitting


def _without(members: Json, name: str) -> JsonObject:
    assert isinstance(members, dict)
    if name not in members:
        return members
    content = msgspec.json.encode(members[name])
    return {**members, name: {"omitted": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}}

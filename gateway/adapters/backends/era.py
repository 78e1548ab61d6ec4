"""Which era a backend speaks, judged from its answer to `server/discover` and from nothing else.

A tool call would not do: some legacy servers carry it out without an `initialize`. What says nothing about the era
(no credential, overload, a failure of its own) raises, and nothing is remembered.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.adapters.backends import rpc
from gateway.errors import BackendFailed
from gateway.model import LEGACY_VERSIONS, MODERN_VERSIONS, Era, Fault, Json, JsonObject

OLDER_VERSIONS = ("2025-03-26",)  # Streamable HTTP too; we never send batches, and accept none
INITIALIZE_VERSIONS = (*LEGACY_VERSIONS, *OLDER_VERSIONS)
NO_VERDICT_STATUS = frozenset({408, 425, 429})  # later, not never


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and what a modern backend said it can do."""

    era: Era
    capabilities: JsonObject


LEGACY = Judgement("legacy", {})


def judge(outcome: JsonObject | Fault) -> Judgement | Literal["again"]:
    """The verdict on a JSON-RPC answer; "again": it named a version that we had offered. Raises `BackendFailed`."""
    if isinstance(outcome, Fault):
        return _judge_fault(outcome)
    versions = outcome.get("supportedVersions")
    if outcome.get("resultType") != "complete" or not isinstance(versions, list):
        return LEGACY  # not a DiscoverResult
    if _mutual(versions, MODERN_VERSIONS):
        capabilities = outcome.get("capabilities")
        return Judgement("modern", capabilities if isinstance(capabilities, dict) else {})
    if _mutual(versions, INITIALIZE_VERSIONS):
        return LEGACY
    raise rpc.not_mcp("it speaks no protocol version that this gateway speaks", sent=False)


def judge_status(status: int) -> Judgement:
    """The verdict on an HTTP status that came without a JSON-RPC answer. Raises `BackendFailed`."""
    if 400 <= status < 500 and status not in NO_VERDICT_STATUS:
        return LEGACY
    raise BackendFailed("status", f"HTTP {status} to server/discover", sent=False)


def _judge_fault(fault: Fault) -> Judgement | Literal["again"]:
    if fault.code in (rpc.HEADER_MISMATCH, rpc.MISSING_CAPABILITY):
        return Judgement("modern", {})  # no legacy server knows these codes
    if fault.code == rpc.UNSUPPORTED_VERSION:
        supported = fault.data.get("supported") if isinstance(fault.data, dict) else None
        if isinstance(supported, list):
            if _mutual(supported, MODERN_VERSIONS):
                return "again"
            if _mutual(supported, INITIALIZE_VERSIONS):
                return LEGACY
        raise rpc.not_mcp("it speaks no protocol version that this gateway speaks", sent=False)
    return LEGACY


def _mutual(offered: list[Json], ours: tuple[str, ...]) -> bool:
    return any(version in offered for version in ours)

"""Results as they leave the gateway under the duties of an answer: its own reading, planning and redaction, nothing made up."""

from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.policy import decision
from gateway.policy.obligations import plan
from gateway.policy.redact import compile_redactions

KEY = b"0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Handed:
    """What is handed over, as JSON, and the rules that took something out of it."""

    over: str
    rules: frozenset[str]


def handed(answer: dict[str, Any], result: dict[str, Any]) -> Handed:
    """`result` under the duties of this answer about it."""
    said = decision.read(answer, asked=1, phase="result", revision="r", decision_id="d")
    duties = plan(said, phase="result", position=0)
    done = compile_redactions(duties.result_redactions, KEY).result(result)
    return Handed(msgspec.json.encode(done.value).decode(), frozenset(hit.rule for hit in done.hits))

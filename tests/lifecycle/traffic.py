"""An audit made by hand: questions about the demo backends, answered by a real policy set, recorded as the gateway does."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.adapters.audit.files import file_name
from gateway.adapters.opa.snapshot import Source
from gateway.lifecycle.replay.policy import Policy
from gateway.ports import Verdict
from gateway.shipped import SHIPPED

WRITER = "0" * 32


def source(policies: Path) -> Source:
    return Source(policies, SHIPPED.schemas, SHIPPED.capabilities)


async def decision(policy: Policy, document: dict[str, Any], number: int = 0, stand_ins: Iterable[str] = ()) -> dict[str, Any]:
    """One recorded decision: the question with its answer, as level `replay` keeps it."""
    answer = await policy.answer(msgspec.json.encode({"input": document}))
    assert isinstance(answer, Verdict)
    said = {"decision_id": f"d{number}", "phase": document["action"]["phase"], "revision": policy.revision}
    marks = {"stand_ins": [*stand_ins]} if stand_ins else {}
    return {**said, "document": document, "answer": answer.result, **marks}


def written(folder: Path, decisions: Iterable[Mapping[str, Any]], more: Iterable[str] = ()) -> Path:
    """An audit with one exchange for each decision, and `more` lines as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"type": "exchange", "decisions": [one]}) for one in decisions]
    path = folder / file_name("audit", begun_ns=1_700_000_000_000_000_000, writer=WRITER, sequence=1)
    path.write_text("".join(f"{line}\n" for line in (*lines, *more)))
    return folder

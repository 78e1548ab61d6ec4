"""A candidate policy set beside the live one in a running gateway: what it would have done is told, and no more comes of it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import Caller, backend, children, gateway, lines, metric, ready, stopped, works
from tests.flows.running import ROOT, Running, soon

CLOSED = """\
# METADATA
# title: crm1 is closed for now
package mcp.servers.crm1.closing

import data.mcp.lib.finding

# METADATA
# title: crm1 is closed for now
# custom:
#   code: closed
deny contains finding.refusal(rego.metadata.rule()) if {
	input.resources[0].name == "act"
}
"""
DIFFERENT = 'mcp_gateway_shadow_decisions_total{outcome="different"}'


@dataclass(frozen=True)
class Stage:
    gateway: Running
    ada: Caller
    candidate: Path

    def shadows(self) -> list[dict[str, Any]]:
        return [each for each in lines(self.gateway.folder / "audit") if each["type"] == "shadow"]

    def told(self) -> str:
        """What readiness says of the candidate."""
        status, text = ready(self.gateway)
        assert status == 200
        return next(line for line in text.splitlines() if " policy-shadow: " in line)

    def try_out(self) -> None:
        """Put a candidate that refuses every call into its folder, whole."""
        half = self.candidate.with_name("half")
        shutil.rmtree(self.candidate, ignore_errors=True)
        shutil.copytree(self.gateway.folder / "policies", half)
        (half / "mcp/servers/crm1/closing.rego").write_text(CLOSED)
        half.rename(self.candidate)
        soon(lambda: ": candidate " in self.told())


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("shadow")
    candidate = folder / "candidate"
    policy = {
        "folder": str(folder / "policies"),
        "schemas": str(ROOT / "schemas"),
        "shadow": {"folder": str(candidate), "deadline_ms": 500},
    }
    with backend("crm1") as crm, gateway(folder, {"crm1": crm.url}, policy=policy) as running, Caller(running) as ada:
        yield Stage(running, ada, candidate)


def test_a_candidate_that_is_not_there_is_a_note_and_harms_nobody(stage: Stage) -> None:
    soon(lambda: "no such folder" in stage.told())
    assert works(stage.ada, "crm1__act")
    assert metric(stage.gateway, "mcp_gateway_shadow_up") == 0


def test_what_a_candidate_would_have_refused_passes_and_is_told_everywhere(stage: Stage) -> None:
    stage.try_out()
    before = metric(stage.gateway, DIFFERENT)
    assert works(stage.ada, "crm1__act")
    soon(lambda: metric(stage.gateway, DIFFERENT) == before + 1)
    assert metric(stage.gateway, 'mcp_gateway_shadow_divergences_total{kind="newly-denied"}') >= 1
    shadow = stage.shadows()[-1]
    assert shadow["differences"] == [
        {"kind": "newly-denied", "rules": ["servers/crm1/closing closed"], "items": ["crm1__act"], "count": 1}
    ]
    intent = [each for each in lines(stage.gateway.folder / "audit") if each["type"] == "intent"][-1]
    decided = [(each["decision_id"], each["revision"]) for each in intent["decisions"]]
    assert (shadow["decision_id"], shadow["revision"]) in decided
    assert (shadow["exchange_id"], shadow["subject"]["id"]) == (intent["exchange_id"], "ada")
    (change,) = [each for each in lines(stage.gateway.folder / "audit") if each.get("subsystem") == "shadow" and each["accepted"]]
    assert change["after"] == shadow["candidate"] != shadow["revision"]


def test_a_candidates_opa_that_hangs_does_not_delay_a_call(stage: Stage) -> None:
    stage.try_out()
    below = children(stage.gateway.process.pid)
    (shadow,) = [pid for pid, command in below.items() if "run --server" in command and _niceness(pid) == 19]
    failed = 'mcp_gateway_shadow_decisions_total{outcome="failed"}'
    before = metric(stage.gateway, failed)
    with stopped(shadow):
        for _ in range(20):
            assert works(stage.ada, "crm1__act")
        soon(lambda: metric(stage.gateway, failed) > before)
        assert ready(stage.gateway)[0] == 200


def _niceness(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])

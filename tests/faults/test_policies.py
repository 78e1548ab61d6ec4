"""The policy is edited, broken and mended while requests flow: the last good set decides until a better one has proved itself,
no request is undecided meanwhile, and a rule that fails at run time costs its own backend's items only.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import Backend, Caller, backend, forwarded, gateway, last_outcome, lines, metric, ready, works
from tests.flows.running import PATIENCE_S, ROOT, Running, soon

CANARIES = json.loads((ROOT / "policies/mcp/canaries/data.json").read_text())
CLOSED = """\
# METADATA
# title: closed for now
# schemas:
#   - input: schema.input
package mcp.servers.crm1.closing

import data.mcp.lib.finding

# METADATA
# title: crm1 is closed {since}
# custom:
#   code: closed
deny contains finding.detailed(rego.metadata.rule(), {"since": "GENERATION"}) if {
	input.resources[0].name == "act"
}
"""
FAILING = """\
# METADATA
# title: fails for whoever it is asked about
package mcp.servers.frail.numbers

hide contains position if {
	some position, resource in input.resources
	resource.name == "weird"
	to_number(resource.name) > 0
}
"""


@dataclass(frozen=True)
class Stage:
    gateway: Running
    crm: Backend
    ada: Caller

    def path(self, name: str) -> Path:
        return self.gateway.folder / "policies/mcp" / name

    def write(self, name: str, text: str) -> None:
        """As an editor saves: whole, under its name at once."""
        half = self.gateway.folder / "half"
        half.write_text(text)
        self.path(name).parent.mkdir(exist_ok=True)
        half.rename(self.path(name))

    def rejected(self) -> float:
        return metric(self.gateway, "mcp_gateway_policy_rejections_total")

    def changes(self) -> list[dict[str, Any]]:
        told = lines(self.gateway.folder / "audit")
        return [each for each in told if each["type"] == "change" and each["subsystem"] == "policy"]

    def revisions(self) -> list[str]:
        """Those that came into force, as the audit tells."""
        return [each["after"] for each in self.changes() if each["accepted"]]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with backend("crm1") as crm, backend("frail") as frail:
        frail.tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("act", "weird")]
        with (
            gateway(tmp_path_factory.mktemp("policies"), {"crm1": crm.url, "frail": frail.url}) as running,
            Caller(running) as ada,
        ):
            yield Stage(running, crm, ada)


@contextmanager
def calls_flow(stage: Stage) -> Iterator[list[dict[str, Any]]]:
    """Calls, one after the other, for as long as the block runs; their answers."""
    answers: list[dict[str, Any]] = []
    ended = threading.Event()

    def go_on() -> None:
        with Caller(stage.gateway, "ben") as ben:
            while not ended.is_set():
                answers.append(ben.call("crm1__act"))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join(PATIENCE_S)


BROKEN = {
    "a syntax error": (
        "servers/crm1/closing.rego",
        CLOSED.replace("deny contains", "deny contanis"),
        "servers/crm1/closing.rego:",
    ),
    "a type error": (
        "servers/crm1/closing.rego",
        CLOSED.replace("input.resources[0].name", "input.resources[0].nmae"),
        "servers/crm1/closing.rego:",
    ),
    "a wrong package": (
        "servers/crm1/closing.rego",
        CLOSED.replace("crm1.closing", "frail.closing"),
        "servers/crm1/closing.rego:",
    ),
    "a wrong canary": (
        "canaries/data.json",
        json.dumps([{**each, "expect": {"visible": [], "allowed": []}} for each in CANARIES[:1]] + CANARIES[1:]),
        "canaries/data.json:",
    ),
    "misspelt facts": ("facts/data.yaml", "versoin: 1\n", "facts/data.yaml"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_policy_leaves_the_last_good_one_in_force_and_says_where_it_is_broken(stage: Stage, name: str) -> None:
    file, broken, place = BROKEN[name]
    before = stage.path(file).read_text() if stage.path(file).exists() else None
    rejected = stage.rejected()
    with calls_flow(stage) as answers:
        stage.write(file, broken)
        try:
            soon(lambda: stage.rejected() == rejected + 1)
            status, said = ready(stage.gateway)
        finally:
            stage.path(file).unlink() if before is None else stage.write(file, before)
        soon(lambda: "not in force" not in ready(stage.gateway)[1])
    assert status == 200, "the last good set decides, so the gateway is ready"
    assert "the newest edit is not in force: " in said and place in said
    assert f"policy refused, revision {stage.changes()[-1]['after']} stays in force: " in stage.gateway.log
    told = stage.changes()[-1]
    assert (told["accepted"], told["before"]) == (False, told["after"])
    assert place in str(told["detail"]["findings"])
    assert answers and all("result" in each and not each["result"].get("isError") for each in answers)


def test_an_edit_is_enforced_within_a_second_while_requests_flow_and_none_is_undecided(stage: Stage) -> None:
    undecided, before = _undecided(stage), stage.revisions()
    took_s = []
    with calls_flow(stage) as answers:
        for generation in ("spring", "summer", "autumn"):
            stage.write("servers/crm1/closing.rego", CLOSED.replace("GENERATION", generation))
            saved_s = time.monotonic()
            soon(lambda: generation in str(stage.ada.call("crm1__act")))  # noqa: B023 — used at once
            took_s.append(time.monotonic() - saved_s)
        stage.path("servers/crm1/closing.rego").unlink()
        soon(lambda: works(stage.ada, "crm1__act"))
    assert min(took_s) < 1.5, took_s  # a second on a quiet machine
    assert answers and all("result" in each for each in answers)
    assert _undecided(stage) == undecided
    soon(lambda: len(stage.revisions()) == len(before) + 4)
    *edits, last = stage.revisions()[len(before) :]
    assert len({*edits, last}) == 4, "every edit is a revision of its own, and each is recorded"
    assert last == before[-1], "the same files are the same revision"


def _undecided(stage: Stage) -> float:
    causes = ("unreachable", "late", "status", "undefined", "garbage", "misshapen", "no_policy", "revision")
    return sum(metric(stage.gateway, f'mcp_gateway_undecided_total{{cause="{cause}"}}') for cause in causes)


def test_one_backends_rule_that_fails_at_run_time_costs_that_backends_items_only(stage: Stage) -> None:
    assert stage.ada.names() == ["crm1__act", "frail__act", "frail__weird"]
    status = 'mcp_gateway_undecided_total{cause="status"}'
    stage.write("servers/frail/numbers.rego", FAILING)
    try:
        soon(lambda: stage.ada.names() == ["crm1__act"])
        listed = stage.ada.tools()["result"]
        assert listed["_meta"]["mcp-gateway/missing"] == ["frail"]
        assert listed["ttlMs"] == 0
        assert metric(stage.gateway, 'mcp_gateway_list_missing_total{backend="frail"}') >= 1
        assert works(stage.ada, "crm1__act")
        assert works(stage.ada, "frail__act"), "its rule does not fail for this item alone"
        counted, sent = metric(stage.gateway, status), len(forwarded(stage.gateway))
        refused = stage.ada.call("frail__weird")
        assert refused["error"]["code"] == -32603 and "The policy gave no decision" in refused["error"]["message"]
        assert last_outcome(stage.gateway) == ("undecided", "status")
        assert metric(stage.gateway, status) == counted + 1
        assert len(forwarded(stage.gateway)) == sent
    finally:
        stage.path("servers/frail/numbers.rego").unlink()
    soon(lambda: stage.ada.names() == ["crm1__act", "frail__act", "frail__weird"])

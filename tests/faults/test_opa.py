"""The gateway's own OPA dies or stands still: nothing is forwarded meanwhile, and it goes on by itself afterwards."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.stage import (
    Backend,
    Caller,
    backend,
    done,
    forwarded,
    gateway,
    last_outcome,
    metric,
    opa_pid,
    ready,
    stopped,
    text,
    works,
)
from tests.flows.running import PATIENCE_S, Running, soon

DEADLINE_MS = 300
INSPECTED = """\
# METADATA
# title: results of other0 are looked at before they are handed over
package mcp.servers.other0.inspected

import data.mcp.lib.finding

# METADATA
# title: this result stays here
# custom:
#   code: kept
withhold contains finding.refusal(rego.metadata.rule()) if input.result.isError == "never"
"""
OTHERS = tuple(f"other{number}" for number in range(9))


@dataclass(frozen=True)
class Stage:
    gateway: Running
    crm: Backend
    ada: Caller


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        backend("crm1") as crm,
        gateway(
            tmp_path_factory.mktemp("opa"),
            dict.fromkeys(("crm1", *OTHERS), crm.url),
            rules={"other0/inspected.rego": INSPECTED},
            opa={"deadline_ms": DEADLINE_MS},
        ) as running,
        Caller(running) as ada,
    ):
        yield Stage(running, crm, ada)


def test_while_opa_is_dead_nothing_is_forwarded_and_it_is_replaced_by_itself(stage: Stage) -> None:
    assert works(stage.ada, "crm1__act")
    calls, intents = len(stage.crm.calls), len(forwarded(stage.gateway))
    killed = opa_pid(stage.gateway)
    os.kill(killed, signal.SIGKILL)
    refused = 0

    def serves_again() -> bool:
        nonlocal refused
        answer = stage.ada.call("crm1__act")
        if "error" not in answer:
            return True
        refused += 1
        assert answer["error"]["code"] == -32603
        assert "The policy gave no decision, so nothing was done" in answer["error"]["message"]
        assert len(stage.crm.calls) == calls
        return False

    soon(serves_again)
    assert len(stage.crm.calls) == calls + 1
    assert len(forwarded(stage.gateway)) == intents + 1
    assert opa_pid(stage.gateway) != killed
    assert metric(stage.gateway, "mcp_gateway_opa_restarts_total") >= 1
    undecided = sum(
        metric(stage.gateway, f'mcp_gateway_undecided_total{{cause="{cause}"}}') for cause in ("unreachable", "no_policy", "late")
    )
    assert undecided == refused
    soon(lambda: ready(stage.gateway)[0] == 200)


def test_while_opa_is_stopped_every_answer_is_a_refusal_within_the_deadline_and_readiness_is_red(stage: Stage) -> None:
    soon(lambda: works(stage.ada, "crm1__act"))
    calls, intents = len(stage.crm.calls), len(forwarded(stage.gateway))
    with stopped(opa_pid(stage.gateway)):
        called = stage.ada.call("crm1__act")
        assert called["error"]["code"] == -32603
        assert "The policy gave no decision" in called["error"]["message"]
        assert last_outcome(stage.gateway) == ("undecided", "late")
        # An unknown tool is not told apart from one that exists, nor is a list answered as empty.
        unknown = stage.ada.call("crm1__none")
        assert unknown["error"] == called["error"]
        listed = stage.ada.modern("resources/templates/list").json()
        assert "result" in listed or listed["error"]["code"] == -32603
        soon(lambda: ready(stage.gateway)[0] == 503)
        assert "FAIL policy" in ready(stage.gateway)[1]
    soon(lambda: works(stage.ada, "crm1__act"))
    assert len(stage.crm.calls) == calls + 1
    assert len(forwarded(stage.gateway)) == intents + 1
    soon(lambda: ready(stage.gateway)[0] == 200)


def test_an_undecided_list_is_an_error_and_never_an_empty_list(stage: Stage) -> None:
    soon(lambda: works(stage.ada, "crm1__act"))
    with Caller(stage.gateway, "ben") as ben, stopped(opa_pid(stage.gateway)):  # nobody asked for ben's list before
        began_s = time.monotonic()
        answer = ben.tools()
        took_s = time.monotonic() - began_s
    assert answer["error"]["code"] == -32603
    assert "The policy gave no decision on this list" in answer["error"]["message"]
    assert last_outcome(stage.gateway) == ("undecided", "late")
    assert took_s < (1 + len(OTHERS)) * DEADLINE_MS / 1000, "ten backends do not wait one after the other"
    soon(lambda: works(stage.ada, "crm1__act"))


def test_when_opa_stops_before_it_judged_a_result_the_result_is_withheld_and_the_action_said_to_be_carried_out(
    stage: Stage,
) -> None:
    soon(lambda: works(stage.ada, "other0__act"))
    stage.crm.on_call = stage.crm.hold
    calls = len(stage.crm.calls)
    pending = stage.ada.later("other0__act")
    soon(lambda: len(stage.crm.calls) == calls + 1)
    with stopped(opa_pid(stage.gateway)):
        stage.crm.release.set()
        answer = pending.result(PATIENCE_S)
    stage.crm.on_call = done
    assert answer["result"]["isError"] is True
    assert text(answer) == (
        "The action was carried out and its result withheld; do not repeat it. Reason: the policy could not judge it."
    )
    assert (forwarded(stage.gateway)[-1][1], last_outcome(stage.gateway)) == ("withheld", ("withheld", "late"))
    soon(lambda: works(stage.ada, "other0__act"))

"""What one backend does wrong costs one call: the caller learns what kind of thing failed and whether something was done."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.stage import ACT, DONE, Asked, Backend, Caller, backend, done, forwarded, gateway, last_outcome, metric, works
from tests.flows.running import MODERN, PATIENCE_S, Running, said, soon

QUICK = {"connect_s": 1, "first_byte_s": 0.5, "idle_s": 0.5, "total_s": 1.5}
MAX_RESULT_BYTES = 200_000


@dataclass(frozen=True)
class Stage:
    gateway: Running
    crm: Backend
    docs: Backend
    ada: Caller


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("backends")
    with backend("crm1") as crm, backend("docs1") as docs:
        docs.tools = [ACT, {"name": "bad", "inputSchema": "no schema"}, {"description": "no name"}, ACT]
        told: dict[str, str | dict[str, Any]] = {
            "crm1": {"url": crm.url, "timeouts": QUICK, "max_result_bytes": MAX_RESULT_BYTES},
            "docs1": {"url": docs.url, "timeouts": QUICK},
        }
        with (
            gateway(folder, told) as running,
            Caller(running) as ada,
        ):
            yield Stage(running, crm, docs, ada)


def endless(asked: Asked) -> None:
    asked.stream()
    while True:
        asked.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 1000}})


def dripping(asked: Asked) -> None:
    """Slow beyond its time, though never silent for long."""
    asked.stream()
    while not asked.server.backend.release.wait(0.1):
        asked.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "on my way"}})


def truncated(asked: Asked) -> None:
    asked.stream()
    asked.wfile.write(b'data: {"jsonrpc": "2.0", "id": 1, "resu')


def cut_body(asked: Asked) -> None:
    asked.send_response(200)
    asked.send_header("Content-Type", "application/json")
    asked.send_header("Content-Length", "1000")
    asked.end_headers()
    asked.wfile.write(b'{"jsonrpc": "2.0", ')
    asked.close_connection = True


def silent(asked: Asked) -> None:
    asked.server.backend.release.wait(3 * PATIENCE_S)
    asked.close_connection = True


def wrong_id(asked: Asked) -> None:
    asked.result(DONE, id="another")


def challenged(asked: Asked) -> None:
    asked.raw(b"", status=401, WWW_Authenticate='Bearer resource_metadata="https://evil.example/.well-known"')


def huge(asked: Asked) -> None:
    asked.result({"resultType": "complete", "content": [{"type": "text", "text": "x" * 2 * MAX_RESULT_BYTES}]})


def redirected(asked: Asked) -> None:
    asked.raw(b"", status=307, Location=asked.server.backend.url + "/elsewhere")


@dataclass(frozen=True)
class Fault:
    on_call: Callable[[Asked], None]
    cause: str
    says: str


FAULTS = {
    "garbage": Fault(lambda asked: asked.raw(b"<html>it works</html>", kind="text/html"), "not_mcp", "not MCP"),
    "json that is no message": Fault(lambda asked: asked.raw(b"[1, 2]"), "not_mcp", "not MCP"),
    "a result that is none": Fault(lambda asked: asked.result({"resultType": "complete", "content": 7}), "not_mcp", "not MCP"),
    "NaN": Fault(
        lambda asked: asked.raw(b'{"jsonrpc": "2.0", "id": %s, "result": {"x": NaN}}' % json.dumps(asked.message["id"]).encode()),
        "not_mcp",
        "not MCP",
    ),
    "wrong id": Fault(wrong_id, "not_mcp", "not MCP"),
    "truncated stream": Fault(truncated, "closed", "ended its answer early"),
    "truncated body": Fault(cut_body, "closed", "ended its answer early"),
    "endless stream": Fault(endless, "too_large", "over the size limit"),
    "huge result": Fault(huge, "too_large", "over the size limit"),
    "hung": Fault(silent, "late", "did not answer in time"),
    "slow": Fault(dripping, "late", "did not answer in time"),
    "500": Fault(lambda asked: asked.raw(b"broken", status=500, kind="text/plain"), "status", "an HTTP error"),
    "redirect": Fault(redirected, "status", "an HTTP error"),
    "401": Fault(challenged, "unauthorized", "the gateway's own credential"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_backend_that_fails_costs_one_call_and_says_what_kind_of_thing_failed(stage: Stage, name: str) -> None:
    fault = FAULTS[name]
    counted = f'mcp_gateway_backend_failures_total{{backend="crm1",cause="{fault.cause}"}}'
    before, calls, failures = len(forwarded(stage.gateway)), len(stage.crm.calls), metric(stage.gateway, counted)
    stage.crm.on_call = fault.on_call
    try:
        answer = stage.ada.modern("tools/call", {"name": "crm1__act", "arguments": {}})
    finally:
        stage.crm.on_call = done
    assert answer.status_code == 200
    assert "www-authenticate" not in answer.headers and "evil" not in answer.text
    problem = said(answer)["error"]
    assert problem["code"] == -32603
    assert problem["message"].startswith("The backend crm1 ") and fault.says in problem["message"]
    assert "carried out" in problem["message"]
    assert len(stage.crm.calls) == calls + 1, "a call that may have been carried out is not sent again"
    assert [outcome for _, outcome in forwarded(stage.gateway)][before:] == ["backend_failed"]
    assert last_outcome(stage.gateway) == ("backend_failed", fault.cause)
    assert metric(stage.gateway, counted) == failures + 1
    assert works(stage.ada, "docs1__act"), "the other backend goes on"
    soon(lambda: works(stage.ada, "crm1__act"))


def test_a_call_to_a_hung_backend_keeps_nobody_else_waiting(stage: Stage) -> None:
    stage.crm.release.clear()
    stage.crm.on_call = silent
    try:
        hung = stage.ada.later("crm1__act")
        soon(lambda: bool(stage.crm.calls))
        assert works(stage.ada, "docs1__act")
        assert not hung.done()
    finally:
        stage.crm.on_call = done
    assert "did not answer in time" in hung.result(PATIENCE_S)["error"]["message"]


def test_an_invalid_tool_among_good_ones_is_left_out_and_logged(stage: Stage) -> None:
    assert stage.ada.names() == ["crm1__act", "docs1__act"]
    assert "docs1: tool 'bad' is not offered" in stage.gateway.log
    answer = stage.ada.call("docs1__bad")
    assert answer["error"]["message"] == "Unknown tool: docs1__bad"
    assert "docs1: tool 'act' is not offered: " in stage.gateway.log  # the second of that name


def test_a_backend_never_gets_the_callers_credential(stage: Stage) -> None:
    seen: list[dict[str, str]] = []

    def noted(asked: Asked) -> None:
        seen.append({name.lower(): value for name, value in asked.headers.items()})
        done(asked)

    stage.crm.on_call = noted
    try:
        assert works(stage.ada, "crm1__act")
    finally:
        stage.crm.on_call = done
    (headers,) = seen
    assert "authorization" not in headers
    assert stage.gateway.tokens["ada"] not in str(headers)
    assert headers["mcp-protocol-version"] == MODERN

"""A backend dies and comes back: its own items are missing meanwhile, the list and the metric say so, and it heals by itself."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.stage import Backend, Caller, backend, forwarded, gateway, lines, metric, ready, stopped
from tests.flows.running import Running, soon
from tests.peers.sdk_server import started_server

TIMEOUTS = {"connect_s": 1, "first_byte_s": 1, "idle_s": 1, "total_s": 2}


@dataclass(frozen=True)
class Stage:
    gateway: Running
    port: int  # of the server that dies
    lives: Backend
    ada: Caller
    server: ExitStack  # ends it


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with backend("lives") as lives, ExitStack() as server:
        dies = server.enter_context(started_server("--era", "legacy"))
        with (
            gateway(
                tmp_path,
                {"dies": {"url": dies.url, "timeouts": TIMEOUTS}, "lives": lives.url},
                catalog={"refresh_s": 0.5, "stale_s": 0.5},
            ) as running,
            Caller(running) as ada,
        ):
            yield Stage(running, dies.port, lives, ada, server)


def missing(ada: Caller) -> list[str]:
    named: list[str] = ada.tools()["result"].get("_meta", {}).get("mcp-gateway/missing", [])
    return named


def test_a_killed_backend_costs_its_own_items_is_named_and_counted_and_heals(stage: Stage) -> None:
    ada, counted = stage.ada, 'mcp_gateway_list_missing_total{backend="dies"}'
    assert "dies__echo" in ada.names() and "lives__act" in ada.names()
    assert missing(ada) == [] and metric(stage.gateway, counted) == 0
    assert ada.call("dies__echo", text="hello")["result"]["content"][0]["text"] == "hello"

    calls = len(forwarded(stage.gateway))
    stage.server.close()
    problem = ada.call("dies__echo", text="hello")["error"]
    if problem["code"] == -32603:  # not yet known to be gone
        assert problem["message"] == "The backend dies cannot be reached. Nothing was carried out."
        assert [outcome for _, outcome in forwarded(stage.gateway)][calls:] == ["backend_failed"]
    soon(lambda: missing(ada) == ["dies"])
    listed = ada.tools()["result"]
    assert [tool["name"] for tool in listed["tools"]] == ["lives__act"]
    assert (listed["ttlMs"], listed["cacheScope"]) == (0, "private")
    assert metric(stage.gateway, counted) >= 2
    recorded = [each for each in lines(stage.gateway.folder / "audit") if each["type"] == "listing"][-1]
    assert recorded["items"]["missing"] == ["dies"]
    assert ada.call("lives__act")["result"]["content"][0]["text"] == "done"
    assert ada.call("dies__echo", text="hello")["error"]["message"] == "Unknown tool: dies__echo"
    status, said = ready(stage.gateway)
    assert status == 200 and "backend dies: down" in said

    with started_server("--era", "legacy", port=stage.port):
        soon(lambda: missing(ada) == [] and "dies__echo" in ada.names())
        soon(lambda: ada.call("dies__echo", text="again").get("result", {}).get("content", [{}])[0].get("text") == "again")


def test_a_stopped_backend_is_late_for_its_own_callers_only_and_goes_on(tmp_path: Path) -> None:
    with (
        backend("lives") as lives,
        started_server("--era", "modern") as hangs,
        gateway(tmp_path, {"hangs": {"url": hangs.url, "timeouts": TIMEOUTS}, "lives": lives.url}) as running,
        Caller(running) as ada,
    ):
        assert ada.call("hangs__echo", text="hello")["result"]["content"][0]["text"] == "hello"
        with stopped(hangs.process.pid):
            answer = ada.later("hangs__echo", text="hello")
            assert ada.call("lives__act")["result"]["content"][0]["text"] == "done"
            problem = answer.result(10)["error"]
        assert problem["message"] == "The backend hangs did not answer in time. The action may have been carried out."
        soon(lambda: ada.call("hangs__echo", text="again").get("result", {}).get("content", [{}])[0].get("text") == "again")
        assert sorted(outcome for _, outcome in forwarded(running)[:3]) == ["backend_failed", "ok", "ok"]

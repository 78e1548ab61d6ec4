"""One greedy caller is told so with 1429 and costs nobody else anything; its places are free again when it lets go of them.
An end of the gateway ends streams in order, within its grace, and the audit has its last line.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx2
import pytest

from tests.faults.stage import Backend, Caller, alive, backend, children, forwarded, gateway, lines, works
from tests.flows.running import ACCEPT, LEGACY, META, MODERN, PATIENCE_S, Running, said, soon

LIMITS = {"exchanges_per_caller": 2, "streams_per_caller": 2, "sessions_per_caller": 2}


@dataclass(frozen=True)
class Stage:
    gateway: Running
    crm: Backend
    ada: Caller
    ben: Caller


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        backend("crm1") as crm,
        gateway(tmp_path_factory.mktemp("greedy"), {"crm1": crm.url}, limits=LIMITS) as running,
        Caller(running) as ada,
        Caller(running, "ben") as ben,
    ):
        yield Stage(running, crm, ada, ben)


def test_a_caller_with_too_many_calls_under_way_is_told_so_and_another_is_served(stage: Stage) -> None:
    stage.crm.release.clear()
    stage.crm.on_call = stage.crm.hold
    calls = len(stage.crm.calls)
    try:
        held = [stage.ada.later("crm1__act") for _ in range(2)]
        soon(lambda: len(stage.crm.calls) == calls + 2)
        over = stage.ada.modern("tools/call", {"name": "crm1__act", "arguments": {}})
        assert over.status_code == 200
        assert said(over)["error"] == {
            "code": 1429,
            "message": "You have 2 requests under way, which is the most one caller may have: wait until one has ended.",
        }
        assert stage.ben.names() == ["crm1__act"]
        served = stage.ben.later("crm1__act")
        soon(lambda: len(stage.crm.calls) == calls + 3)
    finally:
        stage.crm.release.set()
    assert [each.result(PATIENCE_S)["result"]["content"][0]["text"] for each in (*held, served)] == ["done"] * 3
    assert works(stage.ada, "crm1__act")
    refusals = [each for each in lines(stage.gateway.folder / "audit") if each["type"] == "refusal"]
    assert [(each["kind"], each["code"], each["subject"]["id"]) for each in refusals] == [("busy", 1429, "ada")]
    assert {outcome for _, outcome in forwarded(stage.gateway)} == {"ok"}


def test_a_call_that_its_caller_abandons_frees_its_place(stage: Stage) -> None:
    stage.crm.release.clear()
    stage.crm.on_call = stage.crm.hold
    calls = len(stage.crm.calls)
    for _ in range(2):
        with Caller(stage.gateway) as impatient:
            impatient.client.timeout = 0.5
            with pytest.raises(httpx2.TimeoutException):
                impatient.call("crm1__act")
    assert len(stage.crm.calls) == calls + 2
    stage.crm.release.set()
    stage.crm.on_call = lambda asked: asked.result({"resultType": "complete", "content": [{"type": "text", "text": "done"}]})
    soon(lambda: works(stage.ada, "crm1__act"))
    soon(lambda: sorted(outcome for _, outcome in forwarded(stage.gateway))[:2] == ["cancelled", "cancelled"])


@contextmanager
def listening(caller: Caller) -> Iterator[httpx2.Response]:
    """An open `subscriptions/listen`, its first event read."""
    params = {"notifications": {"toolsListChanged": True}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": params}
    headers = {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen"}
    with caller.client.stream("POST", caller.url, json=body, headers=headers) as answer:
        yield answer


def test_a_caller_with_too_many_streams_is_told_so_and_another_is_served(stage: Stage) -> None:
    with ExitStack() as open_ones:
        for _ in range(2):
            answer = open_ones.enter_context(listening(stage.ada))
            assert answer.headers["content-type"].startswith("text/event-stream")
        with listening(stage.ada) as over:
            over.read()
            assert over.status_code == 200
            assert over.json()["error"]["code"] == 1429
            assert "2 subscription streams open" in over.json()["error"]["message"]
        with listening(stage.ben) as other:
            assert other.headers["content-type"].startswith("text/event-stream")
        assert works(stage.ada, "crm1__act"), "streams do not count as calls"

    def opens() -> bool:
        with listening(stage.ada) as again:
            return again.headers["content-type"].startswith("text/event-stream")

    soon(opens)


def test_a_caller_with_too_many_sessions_is_told_so_and_another_is_served(stage: Stage) -> None:
    stage.ada.begin()
    first = stage.ada.session
    stage.ada.begin()
    stage.ada.session = {}
    client = {"name": "test", "version": "1"}
    begin = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
    over = stage.ada.legacy("initialize", begin)
    assert over.status_code == 200 and "mcp-session-id" not in over.headers
    assert over.json()["error"]["code"] == 1429
    assert "session" in over.json()["error"]["message"]
    stage.ben.begin()
    assert said(stage.ben.legacy("tools/list"))["result"]["tools"][0]["name"] == "crm1__act"
    assert works(stage.ada, "crm1__act"), "a modern call needs no session"
    assert stage.ada.client.delete(stage.ada.url, headers=first).status_code == 200
    stage.ada.begin()
    assert said(stage.ada.legacy("tools/list"))["result"]["tools"][0]["name"] == "crm1__act"


def test_sigterm_ends_open_streams_within_the_grace_and_the_audit_has_its_last_line(stage: Stage) -> None:
    """The last test here: it ends the gateway."""
    ended = threading.Event()
    stage.crm.release.clear()
    stage.crm.on_call = stage.crm.hold
    calls = len(stage.crm.calls)

    def listen() -> None:
        with Caller(stage.gateway, "ben") as ben, listening(ben) as answer:
            opened.set()
            for _ in answer.iter_bytes():
                pass
            ended.set()

    opened = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert opened.wait(PATIENCE_S)
    pending = stage.ada.later("crm1__act")
    soon(lambda: len(stage.crm.calls) == calls + 1)
    below = children(stage.gateway.process.pid)
    stage.gateway.process.terminate()
    assert ended.wait(PATIENCE_S), "the stream ends as a whole answer, not as a broken connection"
    stage.crm.release.set()
    began_s = time.monotonic()
    assert pending.result(PATIENCE_S)["result"]["content"][0]["text"] == "done", "what is under way may finish"
    assert stage.gateway.process.wait(PATIENCE_S) == 0
    assert time.monotonic() - began_s < PATIENCE_S
    thread.join(PATIENCE_S)
    records = lines(stage.gateway.folder / "audit")
    assert records[-1]["type"] == "stop"
    assert forwarded(stage.gateway)[-1][1] == "ok"
    soon(lambda: not any(alive(pid) for pid in below))

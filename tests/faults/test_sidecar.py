"""A sidecar that answers wrongly, late or not at all: nothing is forwarded, and right answers are enough to go on."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.faults.stage import Backend, Caller, backend, forwarded, gateway, last_outcome, metric, ready, works
from tests.flows.running import PATIENCE_S, ROOT, Running, soon

CANARIES = [(each["input"], each["expect"]) for each in json.loads((ROOT / "policies/mcp/canaries/data.json").read_text())]
PROVENANCE = {"version": "1.21.1", "bundles": {"main": {"revision": "sha256:r1"}}}
EMPTY: dict[str, Any] = {"granted_by": {}, "hidden_by": {}, "denials": [], "observed": {}, "waived": [], "obligations": []}


class Question(BaseHTTPRequestHandler):
    server: "Sidecar"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answered(b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.startswith("/v1/data/mcp/facts?"):
            self.answered(json.dumps({"result": {"version": 1}, "provenance": PROVENANCE}).encode())
            return
        asked = body["input"]
        expected = [expect for written, expect in CANARIES if written == asked]
        if expected:
            self.decided(expected[0])
        elif self.server.fault == "late":
            self.server.released.wait(3 * PATIENCE_S)
            self.close_connection = True
        elif self.server.fault == "closed":
            self.close_connection = True
        elif self.server.fault is not None:
            status, body = FAULTS[self.server.fault][0]
            self.answered(body, status)
        else:
            everything = list(range(len(asked["resources"])))
            self.decided({"visible": everything, "allowed": everything})

    def decided(self, positions: dict[str, Any]) -> None:
        self.answered(json.dumps({"result": {"version": 1, **EMPTY, **positions}, "provenance": PROVENANCE}).encode())

    def answered(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Sidecar(ThreadingHTTPServer):
    daemon_threads = True
    fault: str | None = None
    released = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The gateway closes what is late."""


def _answer(**result: Any) -> bytes:
    return json.dumps(
        {"result": {"version": 1, "visible": [0], "allowed": [0], **EMPTY, **result}, "provenance": PROVENANCE}
    ).encode()


FAULTS: dict[str, tuple[tuple[int, bytes], str]] = {
    "500": ((500, b'{"code": "internal_error", "message": "eval_builtin_error"}'), "status"),
    "not JSON": ((200, b"<html>it works</html>"), "garbage"),
    "undefined": ((200, json.dumps({"provenance": PROVENANCE}).encode()), "undefined"),
    "late": ((0, b""), "late"),
    "closed": ((0, b""), "unreachable"),
    "allow as text": ((200, _answer(allowed="yes")), "misshapen"),
    "allow is true": ((200, _answer(allowed=True)), "misshapen"),
    "allowed is null": ((200, _answer(allowed=None)), "misshapen"),
    "a position out of range": ((200, _answer(visible=[0, 1], allowed=[0, 1])), "misshapen"),
    "allowed but not visible": ((200, _answer(visible=[])), "misshapen"),
    "true as a position": ((200, _answer(visible=[True], allowed=[True])), "misshapen"),
    "a misspelt member": ((200, _answer(obligation=[])), "misshapen"),
    "another version": ((200, _answer(version=2)), "misshapen"),
    "a bare true": ((200, json.dumps({"result": True, "provenance": PROVENANCE}).encode()), "misshapen"),
    "an unknown duty": (
        (200, _answer(obligations=[{"rule": "org/x", "type": "shred", "code": "shred", "properties": {}}])),
        "unknown_duty",
    ),
}


@dataclass(frozen=True)
class Stage:
    gateway: Running
    sidecar: Sidecar
    crm: Backend
    ada: Caller


@contextmanager
def sidecar() -> Iterator[Sidecar]:
    server = Sidecar(("127.0.0.1", 0), Question)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        backend("crm1") as crm,
        sidecar() as asked,
        gateway(
            tmp_path_factory.mktemp("sidecar"),
            {"crm1": crm.url},
            opa={"url": f"http://127.0.0.1:{asked.server_port}", "deadline_ms": 300},
        ) as running,
        Caller(running) as ada,
    ):
        yield Stage(running, asked, crm, ada)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sidecar_without_a_usable_answer_lets_nothing_pass_and_heals(stage: Stage, fault: str) -> None:
    cause = FAULTS[fault][1]
    counted = f'mcp_gateway_undecided_total{{cause="{cause}"}}'
    soon(lambda: works(stage.ada, "crm1__act"))
    calls, intents, before = len(stage.crm.calls), len(forwarded(stage.gateway)), metric(stage.gateway, counted)
    stage.sidecar.fault = fault
    try:
        answer = stage.ada.call("crm1__act")
        listed = stage.ada.tools() if fault in {"undefined", "not JSON"} else None
    finally:
        stage.sidecar.fault = None
    assert answer["error"]["code"] == -32603
    assert "The policy gave no decision, so nothing was done" in answer["error"]["message"]
    assert len(stage.crm.calls) == calls
    assert len(forwarded(stage.gateway)) == intents
    assert last_outcome(stage.gateway) == ("undecided", cause)
    assert metric(stage.gateway, counted) == before + (1 if listed is None else 2)
    assert listed is None or listed["error"]["code"] == -32603
    assert works(stage.ada, "crm1__act")
    assert ready(stage.gateway)[0] == 200

"""A gateway whose OPA is a sidecar reads in arguments what that sidecar's facts declare, and follows when they change.

The sidecar is the real one, closed as in compose: it loads the bundle of `deploy/opa/bundle_server` and lets nobody read more
than the decision and the facts.
"""

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from deploy.opa.bundle_server import BUNDLE, BundleServer
from examples.demo.stack import first_line, started
from gateway.adapters.opa.snapshot import Source
from tests.flows.running import ROOT, gateway, granting
from tests.flows.test_extraction import CALLERS, READING, SQL, Place, patient, write
from tools.binaries import find


@contextmanager
def bundles(policies: Path) -> Iterator[int]:
    """The port of a server of these policies as a bundle."""
    server = BundleServer(0, Source(policies, ROOT / "schemas"), ROOT / "deploy/opa/authz.rego")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def sidecar(port: int, log: Path) -> Iterator[str]:
    """The URL of an OPA that loads the bundle of the server at `port`, and looks for a new one each second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = {
        "services.bundles.url": f"http://127.0.0.1:{port}",
        "bundles.main.service": "bundles",
        "bundles.main.resource": BUNDLE.removeprefix("/"),
        "bundles.main.polling.min_delay_seconds": "1",
        "bundles.main.polling.max_delay_seconds": "1",
    }
    told = [argument for name, value in options.items() for argument in ("--set", f"{name}={value}")]
    command = [find("opa"), "run", "--server", "--authorization=basic", "--disable-telemetry", f"--addr={address}", *told]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("sidecar")
    policies = granting(folder, "notes")
    (policies / "mcp/servers/notes/reading.rego").write_text(READING)
    with ExitStack() as stopping:
        log = folder / "notes.log"
        process = started(["-m", "tests.flows.notes_server"], log, stopping)
        url = f"http://127.0.0.1:{first_line(process, log, 'port').split()[1]}/mcp"
        opa = stopping.enter_context(sidecar(stopping.enter_context(bundles(policies)), folder / "opa.log"))
        running = stopping.enter_context(
            gateway(folder, {"notes": url}, CALLERS, policies=policies, opa={"url": opa, "deadline_ms": 5_000})
        )
        there = Place(running, policies)
        there.declare(SQL)
        patient(lambda: "only read" in write(there, "modern", {"text": "delete from t"}))
        yield there
        assert "Traceback" not in running.log


def test_a_rule_of_a_sidecar_judges_what_a_text_does(place: Place) -> None:
    assert write(place, "modern", {"text": "select 'delete' from t"}) == "select 'delete' from t"
    assert "this would not only read" in write(place, "modern", {"text": "with a as (delete from t returning *) select * from a"})
    assert "cannot be read with certainty" in write(place, "modern", {"text": "explain analyze delete from t"})


def test_a_change_of_its_facts_is_followed_and_never_half_seen(place: Place) -> None:
    answers = set()
    place.declare({"kind": "address"})

    def another() -> bool:
        answers.add(write(place, "modern", {"text": "select 1"}))
        return any("it is no address" in each for each in answers)

    patient(another)
    place.declare(SQL)
    patient(lambda: write(place, "modern", {"text": "select 1"}) == "select 1")
    assert not [each for each in answers if "did not look into it" in each]


def test_the_sidecar_tells_its_facts_and_no_other_data(place: Place) -> None:
    settings = (place.running.folder / "gateway.yaml").read_text()
    found = re.search(r"url: (http://127\.0\.0\.1:\d+)\n", settings.split("opa:")[1])
    assert found is not None
    answers = {
        path: httpx2.post(f"{found[1]}/v1/data/{path}", json={}, timeout=5).status_code
        for path in ("mcp/facts", "mcp", "mcp/org")
    }
    assert answers == {"mcp/facts": 200, "mcp": 401, "mcp/org": 401}

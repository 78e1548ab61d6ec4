"""One real OPA per module, on a bundle that is made for it, asked as the gateway asks: over HTTP, strict about errors."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.policies.demo import ROOT, Opa

START_S = 20.0


@pytest.fixture(scope="session")
def opa_binary() -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "binaries.py"), "opa"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def serve(opa_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Opa]]:
    """Starts an OPA on a folder of policies; it ends with the module."""
    started: list[tuple[subprocess.Popen[bytes], httpx2.Client]] = []

    def start(policies: Path) -> Opa:
        path = tmp_path_factory.mktemp("opa") / "s"
        arguments = [opa_binary, "run", "--server", "--addr", f"unix://{path}", "--skip-version-check", "--bundle", str(policies)]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://opa", timeout=10)
        started.append((process, client))
        deadline = time.monotonic() + START_S
        while not (_listening(path) and client.get("/health?bundles").status_code == 200):
            assert process.poll() is None, "OPA ended at its start"
            assert time.monotonic() < deadline, "OPA did not become healthy"
            time.sleep(0.02)
        return Opa(client)

    yield start
    for process, client in started:
        client.close()
        process.kill()
        process.wait()


def _listening(path: Path) -> bool:
    """Tried with a bare socket: the client leaves one open where it is refused."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True

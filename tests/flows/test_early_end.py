"""The gateway told to stop before its start is over."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.running import ROOT, settled


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_gateway_told_to_stop_while_it_starts_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        backends = {"silent": f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"}
        settings, _ = settled(tmp_path, backends, {"ann": {}}, catalog={"start_wait_s": 60})
        command = [sys.executable, "-m", "gateway.cli", "serve", "--settings", str(settings)]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        silent.settimeout(60)
        asked, _ = silent.accept()  # the start is under way: it asks its backend
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
        asked.close()
    assert (process.returncode, said, "Traceback" in (tmp_path / "log").read_text()) == (0, "", False)
    lines = [json.loads(line) for file in (tmp_path / "audit").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert [lines[0]["type"], lines[-1]["type"]] == ["start", "stop"]

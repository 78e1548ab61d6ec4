"""The audit cannot be written: nothing is forwarded, readiness is red, and what was carried out unrecorded is withheld and
said to be so. When there is room again, everything goes on by itself and the log tells of the gap.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import (
    Backend,
    Caller,
    alive,
    backend,
    children,
    forwarded,
    full,
    gateway,
    lines,
    metric,
    ready,
    text,
    works,
)
from tests.flows.running import PATIENCE_S, Running, soon

ROOM_BYTES = 256 * 1024


@dataclass(frozen=True)
class Stage:
    gateway: Running
    crm: Backend
    ada: Caller
    disk: Path

    def fill(self) -> None:
        """Take every byte that is left."""
        with (self.disk / "filler").open("ab", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    continue

    def free(self) -> None:
        (self.disk / "filler").unlink()

    def refuses(self) -> bool:
        """Whether all that tells of a full disk does. Not at once: a line shorter than a call's may fit into what is left."""
        refused = "error" in self.ada.call("crm1__act")
        status, said = ready(self.gateway)
        writable = metric(self.gateway, "mcp_gateway_audit_writable")
        return refused and (status, writable) == (503, 0) and "FAIL audit: No space left on device" in said

    def audit(self) -> list[dict[str, Any]]:
        return lines(self.disk / "audit")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own, of 256 KiB."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        pytest.skip(f"no small file system can be mounted here: {error}")
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Iterator[Stage]:
    with (
        backend("crm1") as crm,
        gateway(tmp_path_factory.mktemp("audit"), {"crm1": crm.url}, audit={"folder": str(disk / "audit")}) as running,
        Caller(running) as ada,
    ):
        yield Stage(running, crm, ada, disk)


def test_with_a_full_disk_nothing_is_forwarded_and_it_heals_when_there_is_room(stage: Stage) -> None:
    assert works(stage.ada, "crm1__act")
    stage.fill()
    soon(lambda: "error" in stage.ada.call("crm1__act"))  # the file's last block has room for a line or two
    calls = len(stage.crm.calls)
    refused = stage.ada.call("crm1__act")
    assert refused["error"]["code"] == -32603
    assert refused["error"]["message"] == "The audit log cannot be written, so nothing was done."
    assert stage.ada.tools()["error"]["message"] == "The audit log cannot be written, so nothing was done."
    assert len(stage.crm.calls) == calls
    soon(stage.refuses)
    stage.free()
    soon(lambda: ready(stage.gateway)[0] == 200)
    assert works(stage.ada, "crm1__act")
    assert len(stage.crm.calls) == calls + 1
    assert metric(stage.gateway, "mcp_gateway_audit_writable") == 1
    told = [each for each in stage.audit() if each["type"] == "change" and each["subsystem"] == "audit"]
    detail = told[-1]["detail"]
    assert detail == {"event": "recovered", "refused": detail["refused"], "after": "No space left on device"}
    assert detail["refused"] >= 2
    sequences = [each["sequence"] for each in stage.audit()]
    assert sequences == list(range(1, len(sequences) + 1)), "every acknowledged record is there"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("limited")
    with backend("crm1") as crm, gateway(folder, {"crm1": crm.url}) as running, Caller(running) as ada:
        yield Stage(running, crm, ada, folder)


def test_when_no_file_may_grow_nothing_is_forwarded_in_either_era(limited: Stage) -> None:
    ada = limited.ada
    assert works(ada, "crm1__act")
    calls = len(limited.crm.calls)
    ada.begin()
    with full(limited.gateway):
        refused = ada.call("crm1__act")
        assert refused["error"]["message"] == "The audit log cannot be written, so nothing was done."
        refused = ada.legacy("tools/call", {"name": "crm1__act", "arguments": {}}).json()
        assert refused["error"] == {"code": -32603, "message": "The audit log cannot be written, so nothing was done."}
        assert "error" in ada.modern("server/discover").json()
        assert ready(limited.gateway)[0] == 503
    assert len(limited.crm.calls) == calls
    soon(lambda: ready(limited.gateway)[0] == 200)
    assert works(ada, "crm1__act")


def test_when_the_outcome_cannot_be_recorded_the_result_is_withheld_and_the_action_said_to_be_carried_out(
    limited: Stage,
) -> None:
    crm = limited.crm
    crm.on_call = crm.hold
    calls = len(crm.calls)
    pending = limited.ada.later("crm1__act")
    soon(lambda: len(crm.calls) == calls + 1)  # so its intent stands in the log
    with full(limited.gateway):
        crm.release.set()
        answer = pending.result(PATIENCE_S)
    assert answer["result"]["isError"] is True
    assert text(answer) == (
        "The action was carried out and its result withheld; do not repeat it. Reason: it could not be recorded in the audit log."
    )
    assert forwarded(limited.gateway)[-1][1] == "open", "an intent without an outcome is what tells of it"
    soon(lambda: ready(limited.gateway)[0] == 200)
    soon(lambda: works(limited.ada, "crm1__act"))


def test_kill_9_in_the_middle_of_a_call_loses_no_acknowledged_record_and_leaves_no_process(tmp_path: Path) -> None:
    stdio = {
        "command": [sys.executable, "-m", "tests.peers.sdk_server", "--stdio"],
        "cwd": str(Path(__file__).resolve().parents[2]),
    }
    with backend("crm1") as crm, gateway(tmp_path, {"crm1": crm.url, "local": stdio}) as running, Caller(running) as ada:
        assert ada.call("local__echo", text="hello")["result"]["content"][0]["text"] == "hello"
        crm.on_call = crm.hold
        pending = ada.later("crm1__act")
        soon(lambda: len(crm.calls) == 1)
        below = children(running.process.pid)
        assert any("run --server" in command for command in below.values())
        assert any("sdk_server" in command for command in below.values())
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(PATIENCE_S)
        soon(lambda: not any(alive(pid) for pid in below))
        assert pending.exception(PATIENCE_S) is not None
        crm.release.set()
        assert [outcome for _, outcome in forwarded(running)] == ["ok", "open"]
        sequences = [each["sequence"] for each in lines(tmp_path / "audit")]
        assert sequences == list(range(1, len(sequences) + 1))

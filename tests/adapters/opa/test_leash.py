"""Nothing outlives the gateway, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.adapters.opa import leash

GATEWAY = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.snapshot import Source

async def main():
    folder = Path(sys.argv[2])
    decider = PolicySetDecider(Source(folder, folder.with_name("schemas")), sys.argv[1], Limits(), print)
    await decider.start()
    print("opa", decider.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:  # an orphan that nobody has reaped yet
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_kill_9_of_the_gateway_leaves_no_opa_behind(opa: str, policies: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", GATEWAY, opa, str(policies)], stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        pid = next(int(line.split()[1]) for line in gateway.stdout if line.startswith("opa "))
        assert not gone(pid)
        gateway.send_signal(signal.SIGKILL)
        gateway.wait(5)
        wait_until_gone(pid)


def test_where_the_kernel_makes_no_promise_a_watcher_kills_with_the_end_of_its_input() -> None:
    source = "import sys; from gateway.adapters.opa.leash import watched; sys.exit(watched(sys.argv[1:]))"
    told = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", source, sys.executable, "-c", told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdin is not None
        pid = int(watcher.stdout.readline())
        watcher.stdin.close()
        assert watcher.wait(5) != 0
        wait_until_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_program_whose_parent_is_already_gone_is_not_started(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    done = subprocess.run([sys.executable, leash.__file__, "1", "/usr/bin/touch", str(mark)], timeout=10, check=False)
    assert (done.returncode, mark.exists()) == (1, False)

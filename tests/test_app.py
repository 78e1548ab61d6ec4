"""The gateway put together, inside the test's own process."""

import asyncio
import gc
from pathlib import Path

import pytest

from gateway.adapters.operations import Check
from gateway.adapters.sessions import MemorySessions
from gateway.app import Gateway
from gateway.settings.load import load
from tools.binaries import find

SETTINGS = """
opa: {binary: "%s"}
backends:
  crm: {url: "http://127.0.0.1:1/mcp"}
identity:
  api_keys: [{id: ci, sha256: "%s", subject: ci}]
"""


def test_a_loop_that_crashed_is_begun_again_and_told_by_readiness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(SETTINGS % (find("opa"), "0" * 64))
    again = asyncio.Event()
    swept = 0

    def sweep(sessions: MemorySessions) -> None:
        nonlocal swept
        swept += 1
        if swept == 1:
            raise ZeroDivisionError
        again.set()

    monkeypatch.setattr(MemorySessions, "sweep", sweep)

    async def main() -> None:
        gateway = Gateway(load(file, {}), "http://127.0.0.1:8080")
        try:
            async with asyncio.timeout(20):
                await gateway.start()
                await again.wait()
            told = [check for check in gateway.checks() if check.name.startswith("task")]
        finally:
            await gateway.close()
            gc.unfreeze()  # what the start froze is not for good here
        assert told == [
            Check("task upkeep", True, "begun again after an internal error (ZeroDivisionError), see the log", note=True)
        ]

    asyncio.run(main())

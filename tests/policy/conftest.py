"""The pinned OPA, found or built once for all tests of the policy floor."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def opa_binary() -> str:
    command = [sys.executable, str(ROOT / "tools" / "binaries.py"), "opa"]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout.strip()

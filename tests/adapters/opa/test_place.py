"""What a killed gateway left is swept; what a living one or somebody else has is not touched."""

import os
import subprocess
import sys
from pathlib import Path

from gateway.adapters.opa.place import private_folder, sweep


def test_the_folder_of_a_dead_process_is_swept_and_others_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f"mcp-opa-{dead.pid}-abc", f"mcp-opa-{os.getpid()}-abc", "mcp-opa-x-abc", "other"):
        (tmp_path / name).mkdir()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"mcp-opa-{os.getpid()}-abc", "mcp-opa-x-abc", "other"])


def test_a_private_folder_is_0700() -> None:
    with private_folder() as folder:
        assert oct(Path(folder).stat().st_mode & 0o777) == "0o700"

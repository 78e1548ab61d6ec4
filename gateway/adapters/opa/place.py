"""The private folder of one gateway's policy sets: 0700, gone with the gateway, and swept by the next one after a kill."""

import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "mcp-opa-"
MAX_BYTES = 60  # of the folder of temporary files: a socket's whole path has at most 103


def private_folder() -> "tempfile.TemporaryDirectory[str]":
    """A fresh one, named after this process."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > MAX_BYTES:
        parent = "/tmp"  # noqa: S108  # what is made below it is fresh and private
    sweep(Path(parent))
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=parent, ignore_cleanup_errors=True)


def sweep(parent: Path) -> None:
    """Delete what gateways of ours left here that were killed."""
    for left in parent.glob(f"{PREFIX}*-*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        try:
            ours = left.lstat().st_uid == os.getuid()
        except FileNotFoundError:  # somebody else sweeps as well
            continue
        if ours and pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""The folder of the audit: 0700, its files 0600, one process at a time, and never half a line left behind.

A file's name carries when it was begun, its writer and its first sequence number; it is never renamed, so a reader that
follows a file reads all of it.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

LOCK = ".writer"

_NAME = re.compile(r"(?P<kind>[a-z]+)-\d{8}T\d{12}Z-[0-9a-f]{32}-\d{12}\.jsonl")
_TAIL_STEP_BYTES = 64 * 1024


class AuditBusy(Exception):
    """Another process writes into this folder."""


def file_name(kind: str, *, begun_ns: int, writer: str, sequence: int) -> str:
    begun = datetime.fromtimestamp(begun_ns / 1e9, UTC)
    return f"{kind}-{begun:%Y%m%dT%H%M%S%f}Z-{writer.replace('-', '')}-{sequence:012d}.jsonl"


def files(folder: Path, kind: str) -> list[Path]:
    """The files of one kind, oldest first."""
    return sorted(path for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)) and match["kind"] == kind)


def prepare(folder: Path) -> None:
    """Make the folder, for nobody but us. Raises `OSError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def claim(folder: Path) -> int:
    """The descriptor that holds the folder's lock until it is closed or the process dies. Raises `AuditBusy`."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise AuditBusy(f"{folder}: another gateway (process {holder or 'unknown'}) writes its audit there") from error
    with contextlib.suppress(OSError):  # the number is for the message above: a full disk must not stop us here
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def create(path: Path, *, sync: bool) -> int:
    """A new file, only ours, appended to; with `sync` its name survives a power cut, too. Raises `OSError`."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    if sync:
        sync_folder(path.parent)
    return descriptor


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mend(folder: Path) -> Iterator[tuple[str, int]]:
    """Cut the half line that a killed writer may have left; yields the file's name and the bytes cut.

    Such a line was never acknowledged, so nothing was forwarded on its strength.
    """
    for path in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(descriptor).st_size
            whole = _end_of_last_line(descriptor, size)
            if whole != size:
                os.ftruncate(descriptor, whole)
                yield path.name, size - whole
        finally:
            os.close(descriptor)


def _end_of_last_line(descriptor: int, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - _TAIL_STEP_BYTES)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0

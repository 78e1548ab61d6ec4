"""The audit as it was written, read back: file by file, line by line, oldest first. A line that cannot be read is counted.

A file that is being written to may end in half a line; that is no damage, and is left for the next reading.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.adapters.audit import files
from gateway.model import JsonObject


class NoAudit(Exception):
    """The folder holds no audit that could be read: the message says why."""


@dataclass(slots=True)
class Reading:
    """How the reading went."""

    files: int = 0
    lines: int = 0
    bad_lines: int = 0


_line: msgspec.json.Decoder[JsonObject] = msgspec.json.Decoder(dict)


def records(folder: Path, told: Reading) -> Iterator[JsonObject]:
    """Every record of the audit in `folder`, in the order of writing. Raises `NoAudit`."""
    try:
        paths = files.files(folder, "audit")
    except OSError as error:
        raise NoAudit(f"{folder}: {error.strerror or error}") from error
    if not paths:
        raise NoAudit(f"{folder}: there is no file of the audit (audit-….jsonl) in this folder")
    for path in paths:
        told.files += 1
        yield from _records(path, told)


def _records(path: Path, told: Reading) -> Iterator[JsonObject]:
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                told.lines += 1
                try:
                    yield _line.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    told.bad_lines += 1
    except OSError as error:
        raise NoAudit(f"{path}: {error.strerror or error}") from error

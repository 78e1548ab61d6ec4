"""Appends whole lines, in order, each with its envelope. Synchronous: one thread at a time calls it.

Either every line of a call is in the file, or none is: what a full disk cut short is taken back before anything else is
written. A sequence number is given to a line only when it is there, so a gap always means loss.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.adapters.audit.files import create, file_name, files
from gateway.audit_record import Changed
from gateway.model import JsonObject


@dataclass(frozen=True, slots=True)
class BookSpec:
    folder: Path
    kind: str  # first word of the files' names
    rotate_bytes: int
    rotate_s: float
    keep_files: int  # closed ones
    sync: bool  # each append reaches the disk before it returns


class Book:
    """One sequence of lines by one writer, over as many files as it takes."""

    def __init__(self, spec: BookSpec, *, writer: str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._spec = spec
        self._writer = writer
        self._clock_ns = clock_ns
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._size = 0  # of whole lines; what lies beyond is a torn one
        self._torn = False
        self._suspect = False
        self._begun_ns = 0
        self._notes: list[bytes] = []  # our own lines, to be written with the next append
        self.sequence = 0  # of the last line

    @property
    def path(self) -> Path | None:
        return self._path

    def note(self, detail: JsonObject) -> None:
        """Have the log itself tell what happened to it, in front of the next line."""
        self._notes.append(msgspec.json.encode(Changed("audit", True, detail=detail).record()))

    def append(self, bodies: Sequence[bytes]) -> None:
        """Write one line for each body (a serialised object without envelope). Raises `OSError`; then none is there."""
        now_ns = self._clock_ns()
        self._ready(now_ns)
        notes = len(self._notes)
        lines = [self._line(body, self.sequence + 1 + at, now_ns) for at, body in enumerate((*self._notes, *bodies))]
        self._write(b"".join(lines))
        self.sequence += len(lines)
        del self._notes[:notes]

    def sync(self) -> None:
        """Have what was written reach the disk, at the end. Not at each rotation: that would hold the event loop for long."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _line(self, body: bytes, sequence: int, time_ns: int) -> bytes:
        assert body[:1] == b"{" and len(body) > 2
        head = f'{{"version":1,"writer":"{self._writer}","sequence":{sequence},"previous":null,"time_ns":{time_ns},'
        return head.encode() + body[1:] + b"\n"

    def _ready(self, now_ns: int) -> None:
        """An open file that may grow: a fresh one at the start, at its size or age, or when somebody removed ours."""
        if self._descriptor is not None and self._torn:
            os.ftruncate(self._descriptor, self._size)
            self._torn = False
        if self._descriptor is None or self._suspect:
            self._begin(now_ns)
            self._suspect = False
            return
        if os.fstat(self._descriptor).st_nlink == 0:
            self.note({"event": "removed", "file": self._path.name if self._path else ""})
            self._begin(now_ns)
        elif self._size >= self._spec.rotate_bytes or now_ns - self._begun_ns >= self._spec.rotate_s * 1e9:
            self._begin(now_ns)
            self._retire()

    def _begin(self, now_ns: int) -> None:
        """Open the new file first: if that fails the old one stays in use, and the caller learns it."""
        path = self._spec.folder / file_name(self._spec.kind, begun_ns=now_ns, writer=self._writer, sequence=self.sequence + 1)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # of an attempt that failed after creating it: it holds no line, or the sequence would be higher
        descriptor = create(path, sync=self._spec.sync)
        unused = self._path if self._size == 0 else None
        self.close()
        if unused is not None:
            with contextlib.suppress(OSError):
                unused.unlink()
        self._descriptor, self._path, self._size, self._begun_ns = descriptor, path, 0, now_ns

    def _retire(self) -> None:
        """Remove what is beyond retention, and say so in the log."""
        kept = files(self._spec.folder, self._spec.kind)
        for path in kept[: max(0, len(kept) - 1 - self._spec.keep_files)]:
            with contextlib.suppress(OSError):
                path.unlink()
                self.note({"event": "retired", "file": path.name})

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if self._spec.sync:
                self._suspect = True  # after a sync that failed the kernel may forget its pages: such a file takes no more
                os.fdatasync(self._descriptor)
                self._suspect = False
        except OSError:
            self._torn = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                self._torn = False
            raise
        self._size += len(data)

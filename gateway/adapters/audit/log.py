"""The port `Audit`: a record is acknowledged when it is as durable as the settings say, or `Unrecorded` is raised.

`write`: one system call on the event loop hands the line to the kernel, which a killed process does not take back.
`fsync`: a thread of its own writes what has gathered and syncs once for all of it (group commit).
Strangers' refusals go to a small file of their own: nobody without a credential can push the others out of retention.
"""

import asyncio
import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gateway.adapters.audit.book import Book, BookSpec
from gateway.adapters.audit.commit import Committer
from gateway.adapters.audit.files import claim, mend, prepare
from gateway.adapters.audit.strangers import Tally
from gateway.adapters.tasks import Tasks
from gateway.audit_record import Changed, Stopped, fitted
from gateway.errors import Unrecorded
from gateway.model import Json, JsonObject

log = logging.getLogger("gateway.audit")

ENVELOPE_BYTES = 256  # room for version, writer, sequence, previous and time


@dataclass(frozen=True, slots=True)
class AuditSpec:
    folder: Path
    durability: Literal["write", "fsync"] = "write"
    rotate_bytes: int = 256 * 1024 * 1024
    rotate_s: float = 24 * 3600
    keep_files: int = 64
    max_record_bytes: int = 1024 * 1024
    commit_deadline_s: float = 10.0  # a disk that takes longer to sync counts as failed
    strangers_bytes: int = 4 * 1024 * 1024  # size of one of the two files of strangers' refusals
    strangers_period_s: float = 60.0
    strangers_singles: int = 20  # per period written one by one; the others are counted
    probe_s: float = 1.0  # while it fails, how often it is tried anew without being asked


@dataclass(frozen=True, slots=True)
class AuditState:
    """For readiness and metrics."""

    ok: bool
    detail: str
    failures: int  # records refused since the start
    sequence: int


class AuditLog:
    """Opened by `start`, which claims the folder; ended by `close`."""

    def __init__(self, spec: AuditSpec, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._spec = spec
        self.writer = str(uuid.uuid4())
        self._book = Book(
            BookSpec(spec.folder, "audit", spec.rotate_bytes, spec.rotate_s, spec.keep_files, sync=spec.durability == "fsync"),
            writer=self.writer,
            clock_ns=clock_ns,
        )
        self._strangers_book = Book(
            BookSpec(spec.folder, "strangers", spec.strangers_bytes, spec.rotate_s, keep_files=1, sync=False),
            writer=str(uuid.uuid4()),
            clock_ns=clock_ns,
        )
        self._tally = Tally(singles=spec.strangers_singles)
        self._committer = Committer(self._book) if spec.durability == "fsync" else None
        self._tasks = Tasks()
        self._lock: int | None = None
        self._failing: str | None = None
        self._failures = 0
        self._refused = 0  # since the last line that could be written
        self._window_began_s = 0.0

    async def start(self, first: Mapping[str, Json]) -> None:
        """Claim the folder, mend what a killed writer left, write `first`. Raises `AuditBusy`, `OSError` or `Unrecorded`."""
        await asyncio.to_thread(self._open)
        if self._committer is not None:
            self._committer.start()
        self._window_began_s = time.monotonic()
        await self.write(first)
        self._tasks.keep(self._upkeep, "audit upkeep")
        self._tasks.keep(self._summarise, "audit of strangers")

    async def write(self, record: Mapping[str, Json]) -> None:
        """Acknowledge `record`, or raise `Unrecorded`. A stranger's refusal never raises: nothing hangs on it."""
        if record.get("type") == "refusal" and _nobody(record.get("subject")):
            self._stranger(record)
            return
        if self._lock is None:
            raise Unrecorded("the audit is closed")
        await self._acknowledged(self._serialised(record))

    def state(self) -> AuditState:
        detail = self._failing or f"{self._spec.durability} to {self._spec.folder}"
        return AuditState(self._failing is None, detail, self._failures, self._book.sequence)

    async def close(self, cause: str = "stopped") -> None:
        """Write the last line, if the disk lets us, and give the folder up."""
        await self._tasks.close()
        if self._lock is None:
            return
        self._count_strangers()
        try:
            await self.write(Stopped(cause).record())
        except Unrecorded:
            log.error("the audit's last line could not be written: %s", self._failing)
        if self._committer is not None:
            await self._committer.close()
        for book in (self._book, self._strangers_book):
            await asyncio.to_thread(book.sync)
            book.close()
        os.close(self._lock)
        self._lock = None

    def _open(self) -> None:
        prepare(self._spec.folder)
        self._lock = claim(self._spec.folder)
        for name, size_bytes in mend(self._spec.folder):
            self._book.note({"event": "mended", "file": name, "bytes": size_bytes})

    def _serialised(self, record: Mapping[str, Json]) -> bytes:
        body = msgspec.json.encode(record)
        limit = self._spec.max_record_bytes - ENVELOPE_BYTES
        return body if len(body) <= limit else msgspec.json.encode(fitted(record, limit))

    async def _acknowledged(self, *bodies: bytes) -> None:
        """Write `bodies`, in front of them the news of a gap if there was one. Raises `Unrecorded`."""
        lines = (self._gap(), *bodies) if self._failing is not None else bodies
        try:
            if self._committer is None:
                self._book.append(lines)
            else:
                async with asyncio.timeout(self._spec.commit_deadline_s):
                    await self._committer.commit(lines)
        except TimeoutError as error:
            raise self._failed(f"the disk did not sync within {self._spec.commit_deadline_s:g} s", len(bodies)) from error
        except OSError as error:
            raise self._failed(error.strerror or str(error), len(bodies)) from error
        if self._failing is not None:
            log.warning("the audit can be written again; %d records were refused", self._refused)
            self._failing, self._refused = None, 0

    def _failed(self, detail: str, records: int) -> Unrecorded:
        self._failures += records
        self._refused += records
        if self._failing is None:
            log.error("the audit cannot be written, so nothing is forwarded: %s", detail)
        self._failing = detail
        return Unrecorded(detail)

    def _gap(self) -> bytes:
        detail: JsonObject = {"event": "recovered", "refused": self._refused, "after": self._failing}
        return msgspec.json.encode(Changed("audit", True, detail=detail).record())

    async def _upkeep(self) -> None:
        """While the log fails, try it without waiting for traffic, so that readiness tells when it is mended."""
        while True:
            await asyncio.sleep(self._spec.probe_s)
            if self._failing is not None:
                with contextlib.suppress(Unrecorded):
                    await self._acknowledged()

    # --- strangers ------------------------------------------------------------------------------------------------

    def _stranger(self, record: Mapping[str, Json]) -> None:
        if self._tally.single(record):
            self._append_stranger(record)

    async def _summarise(self) -> None:
        while True:
            await asyncio.sleep(self._spec.strangers_period_s)
            self._count_strangers()

    def _count_strangers(self) -> None:
        now_s = time.monotonic()
        summary = self._tally.summary(now_s - self._window_began_s)
        self._window_began_s = now_s
        if summary is not None:
            self._append_stranger(summary.record())

    def _append_stranger(self, record: Mapping[str, Json]) -> None:
        try:
            self._strangers_book.append((self._serialised(record),))
        except OSError as error:
            self._failures += 1
            log.warning("a stranger's refusal could not be recorded: %s", error.strerror)


def _nobody(subject: Json) -> bool:
    """No subject, or an anonymous one: on an open surface anybody can be that."""
    return subject is None or (isinstance(subject, dict) and subject.get("type") == "anonymous")

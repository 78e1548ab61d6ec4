"""The key file on disk: read only where nobody else can write it, replaced whole under a lock, watched while in use.

A file that cannot be read as keys stops the start. Later it changes nothing: the last good one stays in force, and
readiness says so, since an editor's slip must neither let a stranger in nor lock every workload out.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.tasks import Crashed, Tasks, attempted
from gateway.identity.key_file import BadKeyFile, Difference, KeyRecord, difference, read, text

log = logging.getLogger("gateway.keys")

MAX_FILE_BYTES = 16 * 1024 * 1024
POLL_S = 0.2  # a revoked key is out within a second, a busy machine included
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

Records = tuple[KeyRecord, ...]


class KeyFileFailed(Exception):
    """The file cannot be used; the message is for the operator and begins with its path."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What the file says, and a digest that tells one state of it from the next."""

    records: Records
    digest: str


@dataclass(frozen=True, slots=True)
class KeyChange:
    """The file changed: what is in force now, or why nothing changed."""

    before: str | None  # None: this is the start
    after: str | None  # None: it could not be read
    difference: Difference | None
    problem: str | None = None


def load(path: Path) -> KeyFile:
    """Raises `KeyFileFailed`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileFailed(f"{path}: not a regular file")
            if mode & WRITABLE_BY_OTHERS:
                raise KeyFileFailed(f"{path}: others than its owner may write it (mode {stat.S_IMODE(mode):04o}): chmod go-w it")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileFailed(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileFailed(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    try:
        return KeyFile(read(content.decode()), "sha256:" + hashlib.sha256(content).hexdigest())
    except UnicodeDecodeError as error:
        raise KeyFileFailed(f"{path}: not UTF-8") from error
    except BadKeyFile as error:
        raise KeyFileFailed(f"{path}: {error}") from error


def edit(path: Path, change: Callable[[Records], Records]) -> None:
    """Put `change` of what the file says in its place, while nobody else does; a file that is not there has no keys yet.

    Raises `KeyFileFailed`, and whatever `change` raises; the file is then as it was.
    """
    place = Path(os.path.realpath(path))
    try:
        owner = _owner(place)
        with _locked(place, owner):
            before = load(place).records if place.exists() else ()
            _replace(place, text(change(before)).encode(), owner)
    except OSError as error:
        raise KeyFileFailed(f"{path}: cannot be written ({error.strerror or error})") from error


def _owner(path: Path) -> tuple[int, int]:
    """User and group whose the file is and stays; a new one is its folder's, so that root can make it for the gateway.

    Raises `KeyFileFailed` for who is neither: in a file of somebody else's a revoked key would stay good, since the gateway
    could not read it.
    """
    if path.exists() and not path.is_file():
        raise KeyFileFailed(f"{path}: not a regular file")
    found = (path if path.exists() else path.parent).stat()
    if os.geteuid() == 0:
        return found.st_uid, found.st_gid
    if path.exists() and found.st_uid != os.geteuid():
        raise KeyFileFailed(f"{path}: belongs to another user (uid {found.st_uid}): run this as that user")
    return os.geteuid(), found.st_gid if path.exists() else os.getegid()


@contextlib.contextmanager
def _locked(path: Path, owner: tuple[int, int]) -> Iterator[None]:
    """One writer at a time. The lock is a file beside it: the file itself is replaced while the lock is held."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            os.fchown(lock, *owner)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(path: Path, content: bytes, owner: tuple[int, int]) -> None:
    """Whole or not at all, also in a power cut; owner and readers stay as they were."""
    before = path.stat() if path.exists() else None
    fresh = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()  # of a writer that was killed: the lock is ours
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), *owner)
            if before is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) & 0o644 | 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class WatchedKeyFile:
    """The file's keys in force from the first reading on, and each later state of it a moment after it is written.

    `enforce` puts keys in force and raises `ValueError` when they cannot be; `told` hears of every change.
    """

    def __init__(self, path: Path, enforce: Callable[[Records], None], told: Callable[[KeyChange], None]) -> None:
        """Raises `KeyFileFailed` or `ValueError`."""
        self._path = path
        self._enforce = enforce
        self._told = told
        self._tasks = Tasks()
        self._stamp = _stamp(path)
        self._in_force = load(path)
        self.failure: str | None = None  # of the newest state, for readiness
        enforce(self._in_force.records)

    @property
    def in_force(self) -> KeyFile:
        return self._in_force

    def start(self) -> None:
        self._told(KeyChange(None, self._in_force.digest, None))
        self._tasks.keep(self._watch, "key file")

    async def close(self) -> None:
        await self._tasks.close()

    async def _watch(self) -> None:
        logged = ""
        while True:
            await asyncio.sleep(POLL_S)
            stamp = await asyncio.to_thread(_stamp, self._path)
            if stamp == self._stamp:
                continue
            try:
                await attempted(self._reload(), "taking over the key file", logged=logged)
            except Crashed as crash:  # tried again at the next look: a revoked key must end
                self.failure, logged = str(crash), repr(crash.__cause__)
            else:
                self._stamp, logged = stamp, ""  # taken before the reading: what is written meanwhile is seen the next time

    async def _reload(self) -> None:
        before = self._in_force
        try:
            after = await asyncio.to_thread(load, self._path)
            if after.digest != before.digest:
                self._enforce(after.records)
        except (KeyFileFailed, ValueError) as error:
            self.failure = str(error)
            log.warning("the key file is not in force, the last good one stays: %s", error)
            self._told(KeyChange(before.digest, None, None, str(error)))
            return
        self.failure = None
        if after.digest != before.digest:
            self._in_force = after
            self._told(KeyChange(before.digest, after.digest, difference(before.records, after.records)))


def _stamp(path: Path) -> tuple[int, ...]:
    """Differs when the file was written, replaced, or its mode changed; () while it is not there."""
    try:
        seen = path.stat()
    except OSError:
        return ()
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_size

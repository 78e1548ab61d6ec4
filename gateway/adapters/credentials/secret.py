"""A secret as it is now: a value, or a file that is read again when it changes.

A file is looked at off the event loop and at most once a second. One that is gone or unreadable leaves nothing to show:
what it once held may have been revoked for a reason.
"""

import asyncio
import logging
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from gateway.adapters.credentials.credential import unavailable
from gateway.adapters.shared import Shared
from gateway.adapters.tasks import Tasks

log = logging.getLogger("gateway.credentials")

LOOK_S = 1.0
MAX_SECRET_BYTES = 64 * 1024
READ_S = 3.0  # a file on a dead network drive must not hold a call for ever

Stamp: TypeAlias = tuple[int, int, int]
Readable: TypeAlias = Callable[[str], object]
"""Raises `ValueError`, without showing it, for a text that is not such a secret."""


class Secret(Protocol):
    async def current(self) -> str:
        """Raises `BackendFailed("credential")`."""
        ...

    async def changed(self) -> bool:
        """Whether it is another one than before: looked at now, whenever that was done last."""
        ...

    async def close(self) -> None: ...


class Fixed:
    """Known from the start, from an environment variable. Raises `ValueError` for a text that is of no use."""

    def __init__(self, value: str, *, readable: Readable | None = None) -> None:
        (readable or checked)(value)
        self._value = value

    async def current(self) -> str:
        return self._value

    async def changed(self) -> bool:
        return False

    async def close(self) -> None:
        return


class FileSecret:
    """The text of a file, without its final line break. `readable` raises `ValueError` for a text that is of no use."""

    def __init__(self, path: Path, *, clock_s: Callable[[], float] = time.monotonic, readable: Readable | None = None) -> None:
        self._path = path
        self._clock_s = clock_s
        self._readable = readable or checked
        self._tasks = Tasks()
        self._looking: Shared[bool] = Shared(self._tasks, f"secret file {path.name}")
        self._looked_s = float("-inf")
        self._stamp: Stamp | None = None
        self._value: str | None = None
        self._problem = ""

    async def current(self) -> str:
        if self._clock_s() - self._looked_s >= LOOK_S:
            await self._looking.run(self._look)
        if self._value is None:
            raise unavailable(f"the secret file {self._path}: {self._problem}")
        return self._value

    async def changed(self) -> bool:
        return await self._looking.run(self._look)

    async def close(self) -> None:
        await self._tasks.close()

    async def _look(self) -> bool:
        before, problem = self._value, ""
        try:
            async with asyncio.timeout(READ_S):
                found = await asyncio.to_thread(_read_if_other, self._path, self._stamp)
            if found is not None:
                self._readable(found[1])
                self._stamp, self._value = found
        except TimeoutError:
            problem = "it could not be read in time"
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except ValueError as error:  # UnicodeDecodeError as well, whose text would show a byte of it
            problem = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        if problem:
            self._stamp = self._value = None
            if problem != self._problem:
                log.error("the secret file %s cannot be used, so nothing is sent that needs it: %s", self._path, problem)
        elif self._problem:
            log.info("the secret file %s can be used again", self._path)
        self._problem = problem
        self._looked_s = self._clock_s()
        return self._value is not None and self._value != before


def checked(value: str) -> str:
    """Raises `ValueError`, without showing the value, unless it can stand in a header."""
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError("it is empty, has a line break within, or is not ASCII")
    return value


def _read_if_other(path: Path, stamp: Stamp | None) -> tuple[Stamp, str] | None:
    """The text with the file's stamp; None: it has not changed. Runs in a thread."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is not a regular file")
    now = (found.st_mtime_ns, found.st_size, found.st_ino)
    if now == stamp:
        return None
    with path.open("rb") as file:
        text = file.read(MAX_SECRET_BYTES + 1)
    if len(text) > MAX_SECRET_BYTES:
        raise ValueError(f"it is larger than {MAX_SECRET_BYTES} bytes")
    return now, text.decode("utf-8").rstrip("\r\n")

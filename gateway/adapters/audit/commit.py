"""Group commit: a thread writes and syncs what has gathered while it synced the lines before.

Whoever waits is told how it ended, also by an error that nobody foresaw: that ends the thread, and the next lines begin another.
"""

import asyncio
import threading
from collections.abc import Sequence
from typing import TypeAlias

from gateway.adapters.audit.book import Book

MAX_WAITING = 10_000  # lines; more than a healthy disk ever has waiting

CRASHED = "an internal error, see the log"

Waiting: TypeAlias = tuple[Sequence[bytes], asyncio.Future[None]]


class Committer:
    """Owns the thread. Only that thread touches the book while it runs."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._running = False  # the thread takes what waits
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin()

    async def commit(self, bodies: Sequence[bytes]) -> None:
        """Returns when the lines are on the disk. Raises `OSError`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self._closing or self._thread is None:
                raise OSError("the audit is closed")
            if len(self._waiting) >= MAX_WAITING:
                raise OSError("too many lines wait for the disk")
            if not self._running:
                self._begin()
            self._waiting.append((bodies, done))
            self._changed.notify()
        await done

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 30)

    def _begin(self) -> None:
        self._running = True
        self._thread = threading.Thread(target=self._run, name="audit commit", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._commit_on()
        finally:
            with self._changed:
                self._running = False
                left, self._waiting = self._waiting, []
            self._tell(left, OSError(CRASHED))

    def _commit_on(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                batch, self._waiting = self._waiting, []
            error: OSError | None = OSError(CRASHED)  # unless it ends well, or in a way that is known
            try:
                self._book.append([body for bodies, _ in batch for body in bodies])
                error = None
            except OSError as failure:
                error = failure
            finally:
                self._tell(batch, error)

    def _tell(self, batch: Sequence[Waiting], error: OSError | None) -> None:
        assert self._loop is not None
        if batch:
            self._loop.call_soon_threadsafe(_settle, [done for _, done in batch], error)


def _settle(waiters: list[asyncio.Future[None]], error: OSError | None) -> None:
    for done in waiters:
        if done.done():  # its caller went away; the line stands all the same
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

"""One child process that speaks newline-delimited JSON-RPC: what comes from it is bounded and sorted by request.

It gets a scrubbed environment and a process group of its own, which is ended whole. Its standard error goes to the
operator's log, a bounded number of bounded lines.
"""

import asyncio
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress

from gateway.adapters.backends import rpc
from gateway.adapters.backends.specs import StdioSpec
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed
from gateway.model import Json, JsonObject

INHERITED = ("PATH", "HOME", "LANG")
GRACE_S = 2.0  # after its input was closed, and again after SIGTERM
CHUNK_BYTES = 64 * 1024
UNREAD_BYTES = 64 * 1024  # of what we wrote; a child that asks and does not read gets no further answers
WAITING = 1000  # notifications that wait for one caller; more are dropped, a response never
STDERR_CHARS = 2000
STDERR_LINES = 100  # in each STDERR_WINDOW_S
STDERR_WINDOW_S = 10.0
SUBSCRIPTION_ID = rpc.META + "subscriptionId"

Sized = tuple[JsonObject, int]


class Mailbox:
    """The messages that belong to one request, in order. Ends with `BackendFailed`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Sized | BackendFailed] = asyncio.Queue()

    def put(self, message: Sized) -> None:
        if "method" not in message[0] or self._queue.qsize() < WAITING:
            self._queue.put_nowait(message)

    def end(self, failed: BackendFailed) -> None:
        self._queue.put_nowait(failed)

    async def next(self) -> Sized:
        message = await self._queue.get()
        if isinstance(message, BackendFailed):
            raise message
        return message


class Child:
    """A running process and its open requests."""

    def __init__(self, spec: StdioSpec, process: Process, tasks: Tasks, told: Callable[[JsonObject], None]) -> None:
        self._spec = spec
        self._process = process
        self._told = told  # takes notifications of no request
        self._open: dict[int, Mailbox] = {}
        self._calls: set[int] = set()  # those among the open ones that a caller waits for
        self._end_cause: tuple[str, str] | None = None
        self.ended = asyncio.Event()
        self.stopping = False
        self._readers = (
            tasks.spawn(self._read(), f"output of {spec.name}"),
            tasks.spawn(self._log_errors(), f"stderr of {spec.name}"),
        )

    def open(self, id: int, *, call: bool = True) -> Mailbox:
        """Where the messages of request `id` will come. Raises `BackendFailed` when the process has ended."""
        mailbox = self._open[id] = Mailbox()
        if call:
            self._calls.add(id)
        if self._end_cause is not None:
            mailbox.end(BackendFailed(*self._end_cause, sent=False))
        return mailbox

    def forget(self, id: int) -> None:
        self._open.pop(id, None)
        self._calls.discard(id)

    async def write(self, message: bytes) -> None:
        """Send one message. Raises `BackendFailed`."""
        stdin = self._process.stdin
        assert stdin is not None
        if self._end_cause is not None:
            raise BackendFailed(*self._end_cause, sent=False)
        try:
            stdin.write(message + b"\n")
            await stdin.drain()
        except (OSError, RuntimeError) as error:
            raise BackendFailed("closed", "its process has ended", sent=True) from error

    async def stop(self) -> None:
        """End the whole process group: by closing its input, then SIGTERM, then SIGKILL. Safe to call twice."""
        self.stopping = True
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError, RuntimeError):
            stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await self._process.wait()
                    break
            self._signal(number)
        await self._process.wait()
        self._signal(signal.SIGKILL)  # whatever it left behind
        with suppress(TimeoutError):  # its pipes close when all of it is gone
            async with asyncio.timeout(GRACE_S):
                await asyncio.gather(*self._readers)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    # --- what it says ---

    async def _read(self) -> None:
        """Until its output ends: every line to whom it belongs."""
        stdout = self._process.stdout
        assert stdout is not None
        cause = ("closed", "its process ended")
        pending = bytearray()
        try:
            while chunk := await stdout.read(CHUNK_BYTES):
                *lines, rest = chunk.split(b"\n")
                for line in lines:
                    self._line(bytes(pending) + line)
                    pending.clear()
                pending += rest
                if len(pending) > self._spec.max_result_bytes:
                    raise BackendFailed("too_large", f"a message of more than {self._spec.max_result_bytes} bytes", sent=True)
        except BackendFailed as failed:
            cause = (failed.cause, failed.detail)
            self._signal(signal.SIGTERM)  # what follows could not be told from the rest of this line
        finally:
            self._finish(cause)

    def _line(self, line: bytes) -> None:
        if not line.strip():
            return
        if len(line) > self._spec.max_result_bytes:
            raise BackendFailed("too_large", f"a message of more than {self._spec.max_result_bytes} bytes", sent=True)
        try:
            message = rpc.decode(line)
        except BackendFailed as failed:
            if len(self._calls) == 1:  # whose else could it be
                self._open[next(iter(self._calls))].end(failed)
            else:
                logging.getLogger(f"gateway.backends.{self._spec.name}").warning("a line that is not MCP: %s", failed.detail)
            return
        self._sort(message, len(line))

    def _sort(self, message: JsonObject, size_bytes: int) -> None:
        if "method" not in message:
            mailbox = self._open.get(_integer(message.get("id")))
            if mailbox is not None:
                mailbox.put((message, size_bytes))
            return
        if "id" in message:
            self._reply(message)
            if message["method"] == "ping":
                return
        owner = self._owner(message)
        if owner is not None:
            self._open[owner].put((message, size_bytes))
        elif "id" not in message:
            self._told(message)

    def _owner(self, message: JsonObject) -> int | None:
        """The request that a message names; else the only one there is; None: none, or nobody can tell."""
        params = message.get("params")
        meta = params.get("_meta") if isinstance(params, dict) else None
        if isinstance(meta, dict) and (id := _integer(meta.get(SUBSCRIPTION_ID))) in self._open:
            return id
        method = message["method"]
        if method == "notifications/progress":
            token = _integer(params.get("progressToken")) if isinstance(params, dict) else -1
            return token if token in self._calls else None
        if (method == "notifications/message" or "id" in message) and len(self._calls) == 1:
            return next(iter(self._calls))
        return None

    def _reply(self, message: JsonObject) -> None:
        """Without waiting for room, or each question of a child that reads nothing would leave a task behind."""
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError, RuntimeError):  # it has ended
            if stdin.transport.get_write_buffer_size() < UNREAD_BYTES:
                stdin.write(rpc.reply_to(message) + b"\n")

    def _finish(self, cause: tuple[str, str]) -> None:
        self._end_cause = cause
        for mailbox in self._open.values():
            mailbox.end(BackendFailed(*cause, sent=True))
        self.ended.set()

    async def _log_errors(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        log = logging.getLogger(f"gateway.backends.{self._spec.name}")
        clock = asyncio.get_running_loop().time
        began_s, lines, pending = clock(), 0, b""
        while chunk := await stderr.read(CHUNK_BYTES):
            *whole, pending = (pending[:STDERR_CHARS] + chunk).split(b"\n")
            if clock() - began_s > STDERR_WINDOW_S:
                began_s, lines = clock(), 0
            for line in whole[: max(0, STDERR_LINES - lines)]:
                log.info("%s", line.decode("utf-8", "backslashreplace")[:STDERR_CHARS])
            lines += len(whole)


async def start(spec: StdioSpec, tasks: Tasks, told: Callable[[JsonObject], None]) -> Child:
    """Start the backend's program. Raises `BackendFailed`."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            spec.command,
            *spec.args,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**environment, **spec.env},
            cwd=spec.cwd,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise BackendFailed("unreachable", f"its program could not be started: {error}", sent=False) from error
    return Child(spec, process, tasks, told)


def _integer(value: Json) -> int:
    """An id of ours; -1, which is never one, for anything else."""
    return value if type(value) is int else -1

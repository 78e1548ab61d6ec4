"""One OPA process on one immutable bundle, on a private unix socket. It is restarted when it dies, and dies when we do."""

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.opa import leash
from gateway.adapters.opa.client import Client, Limits, Target
from gateway.adapters.opa.command import OpaUnusable, scrubbed
from gateway.adapters.opa.findings import PolicyRejected
from gateway.adapters.tasks import Crashed, Tasks, attempted
from gateway.errors import Undecided
from gateway.ports import Verdict

log = logging.getLogger("gateway.opa")

START_S = 10.0  # until it listens; a quiet machine needs 0.1
STOP_S = 2.0  # between the request to end and the kill
FIRST_PAUSE_S = 0.05  # before a restart; doubles with each death in a row
LONGEST_PAUSE_S = 5.0
STEADY_S = 30.0  # alive for so long: the next death is a new story
GOGC = "400"  # a collection less in two, some 15 % of its time, for some 20 MB more
LINE_BYTES = 4096
LINES_KEPT = 20
LINES_LOGGED = 500  # of one process; what it says beyond is read and dropped


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. `folder` is private (0700), exists, and belongs to this process alone."""

    binary: str
    bundle: Path
    folder: Path
    limits: Limits

    @property
    def socket_path(self) -> Path:
        return self.folder / "s"  # short: a socket's path has at most 104 to 108 bytes

    def environment(self) -> dict[str, str]:
        """What Go's runtime is told."""
        return {"GOGC": GOGC, **({"GOMAXPROCS": "1"} if self.limits.background else {})}

    def arguments(self) -> list[str]:
        decoding = f"server.decoding.max_length={self.limits.max_document_bytes}"
        return [
            "run",
            "--server",
            "--bundle",
            str(self.bundle),
            "--addr",
            f"unix://{self.socket_path}",
            "--unix-socket-perm",
            "0600",
            "--skip-version-check",
            "--log-level",
            "error",
            "--optimize-store-for-read-speed",
            "--shutdown-grace-period",
            "1",
            "--set",
            f"{decoding},server.decoding.gzip.max_length={self.limits.max_document_bytes}",
        ]


class OpaProcess:
    """Decides by its bundle while it is up. `prove` runs after every start and raises when it must not decide."""

    def __init__(
        self,
        launch: Launch,
        *,
        prove: Callable[["OpaProcess"], Awaitable[None]],
        on_restart: Callable[[str], None],
    ) -> None:
        self._launch = launch
        self._prove = prove
        self._on_restart = on_restart
        self._client = Client(Target(socket_path=str(launch.socket_path)), launch.limits)
        self._tasks = Tasks()
        self._process: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        self._up = False

    @property
    def up(self) -> bool:
        return self._up

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def decide(self, document: bytes) -> Verdict:
        """Raises `Undecided`: unreachable at once while it is being restarted."""
        if not self._up:
            raise Undecided("unreachable", "OPA has ended and is being restarted")
        return await self._client.ask(document)

    async def ask(self, document: bytes) -> Verdict:
        """As `decide`, also before it is proved: for `prove` alone."""
        return await self._client.ask(document)

    async def start(self) -> None:
        """Start, prove and from then on keep it running. Raises `OpaUnusable` and whatever `prove` raises."""
        try:
            await self._start_once()
        except BaseException:
            await self.stop()
            raise
        self._tasks.spawn(self._keep_running(), "opa-process")

    def kill(self) -> None:
        """End it at once; it is then restarted. For one that hangs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End it for good, gently and then firmly."""
        self._up = False
        await self._tasks.close()
        await self._client.close()
        await self._end()

    # --- one life ---

    async def _start_once(self) -> None:
        self._launch.socket_path.unlink(missing_ok=True)
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), self._launch.binary, *self._launch.arguments()]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,  # held: a leash that watches ends with it
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={**scrubbed(), **self._launch.environment()},
                limit=LINE_BYTES,
            )
        except OSError as error:
            raise OpaUnusable(f"cannot start {self._launch.binary}: {error}") from error
        assert self._process.stderr is not None
        self._tasks.spawn(self._listen(self._process.stderr), "opa-stderr")
        await self._until_listening(self._process)
        await self._prove(self)
        self._up = True

    async def _until_listening(self, process: asyncio.subprocess.Process) -> None:
        """OPA opens its socket once its bundle is loaded."""
        try:
            async with asyncio.timeout(START_S):
                while not await self._listens():
                    if process.returncode is not None:
                        await asyncio.sleep(0.05)  # for its last words
                        raise OpaUnusable(f"OPA ended with status {process.returncode} while it started: {self._last_words()}")
                    await asyncio.sleep(0.004)
        except TimeoutError as error:
            raise OpaUnusable(f"OPA did not listen within {START_S:g} s: {self._last_words()}") from error

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self._launch.socket_path)
        except OSError:
            return False
        writer.close()
        return True

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    # --- many lives ---

    async def _keep_running(self) -> None:
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        started = loop.time()
        while self._process is not None:
            status = await self._process.wait()
            self._up = False
            if loop.time() - started > STEADY_S:
                pause_s = FIRST_PAUSE_S
            why = f"OPA ended with status {status}: {self._last_words()}"
            log.error("%s; restarting it in %g s", why, pause_s)
            self._on_restart(why)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            started = loop.time()
            await self._restart()

    async def _restart(self) -> None:
        try:
            await attempted(self._start_once(), "restarting OPA", OpaUnusable, PolicyRejected, OSError, Undecided)
        except (OpaUnusable, PolicyRejected, OSError, Undecided, Crashed) as error:
            log.error("OPA could not be restarted: %s", error)
            await self._end()
        else:
            log.warning("OPA is up again (process %s)", self.pid)

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        count = 0
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # longer than `limit`; what was read of it is gone
                continue
            if not line:
                return
            count += 1
            text = line.decode("utf-8", "backslashreplace").rstrip()
            self._said.append(text)
            if count <= LINES_LOGGED:
                log.log(logging.ERROR if '"level":"error"' in text else logging.DEBUG, "OPA: %s", text)

    def _last_words(self) -> str:
        return self._said[-1] if self._said else "it said nothing"

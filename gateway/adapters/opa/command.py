"""One run of an `opa` subcommand: bounded in time, nothing inherited, killed when nobody waits for it."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

TIMEOUT_S = 30.0  # a check of hundreds of rules takes under a second
ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")  # what OPA may know of ours


class OpaUnusable(Exception):
    """The `opa` binary cannot be run, or hangs."""


class OpaLate(OpaUnusable):
    """A run did not end in time; another may."""


@dataclass(frozen=True, slots=True)
class Completed:
    status: int
    stdout: bytes
    stderr: bytes


def scrubbed() -> dict[str, str]:
    """The environment an OPA process gets: none of the gateway's secrets."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


async def run(
    binary: str, arguments: Sequence[str], *, stdin: bytes = b"", cwd: str | None = None, within_s: float = TIMEOUT_S
) -> Completed:
    """Run `binary` to its end. Raises `OpaUnusable` when it cannot be started, `OpaLate` when it does not end in time."""
    try:
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=scrubbed(),
        )
    except OSError as error:
        raise OpaUnusable(f"cannot run {binary}: {error}") from error
    try:
        async with asyncio.timeout(within_s):
            stdout, stderr = await process.communicate(stdin or None)
    except TimeoutError as error:
        raise OpaLate(f"{binary} {arguments[0]} took longer than {within_s:g} s") from error
    except RuntimeError as error:  # uvloop, writing to a process that has ended
        raise OpaUnusable(f"{binary} {arguments[0]} ended before it read its input") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Completed(process.returncode or 0, stdout, stderr)

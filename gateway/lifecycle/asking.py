"""A real OPA of one's own for as long as a command lasts, on a private copy of a policy set, asked exactly as in production."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.adapters.opa import compile, snapshot
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.place import private_folder
from gateway.adapters.opa.process import Launch, OpaProcess
from gateway.adapters.opa.snapshot import Source
from gateway.ports import Verdict

PATIENCE = Limits(deadline_s=30.0, connections=16, max_answer_bytes=64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Asked:
    """A policy set that answers. Nothing of it was checked but that it compiles."""

    revision: str
    _process: OpaProcess = field(repr=False)

    async def ask(self, document: bytes) -> Verdict:
        """The answer to one document, `{"input": …}`. Raises `Undecided`."""
        return await self._process.decide(document)


@asynccontextmanager
async def asked(binary: str, source: Source, *, limits: Limits = PATIENCE) -> AsyncIterator[Asked]:
    """The policy set in `source`, running. Raises `PolicyRejected` where it does not compile, and `OpaUnusable`."""
    with private_folder() as name:
        folder = Path(name)
        copy = await asyncio.to_thread(snapshot.take, source, folder)
        bundle = await compile.build(binary, copy, folder)
        async with running(binary, bundle, folder, revision=copy.revision, limits=limits) as policy:
            yield policy


@asynccontextmanager
async def running(binary: str, bundle: Path, folder: Path, *, revision: str, limits: Limits = PATIENCE) -> AsyncIterator[Asked]:
    """The same for a bundle that was built before; `folder` is private and takes the socket. Raises `OpaUnusable`."""
    process = OpaProcess(Launch(binary, bundle, folder, limits), prove=_unproved, on_restart=_untold)
    await process.start()
    try:
        yield Asked(revision, process)
    finally:
        await process.stop()


async def _unproved(_process: OpaProcess) -> None:
    """Who asks here wants to know the answers, right or wrong."""


def _untold(_why: str) -> None:
    """The question that was under way fails, and says so."""

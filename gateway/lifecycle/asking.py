"""A real OPA of one's own for as long as a command lasts, on a private copy of a policy set, asked exactly as in production."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.adapters.opa import compile, snapshot
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.place import private_folder
from gateway.adapters.opa.process import Launch, OpaProcess
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.spoken import spoken
from gateway.errors import Undecided
from gateway.policy.contract import SERVED, VERSION_1, Contract, Contracts, told
from gateway.policy.document import serialised
from gateway.ports import Verdict

PATIENCE = Limits(deadline_s=30.0, connections=16, max_answer_bytes=64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Asked:
    """A policy set that answers. Nothing of it was checked but that it compiles."""

    revision: str
    _process: OpaProcess = field(repr=False)
    contract: Contract = VERSION_1  # in whose words it is asked

    async def ask(self, document: bytes) -> Verdict:
        """The answer to one document, `{"input": …}`, both in the set's own words. Raises `Undecided`."""
        return await self._process.decide(document)

    async def judged(self, document: bytes) -> Verdict:
        """The answer to a document of version 1 (or of the set's own), in the words of version 1, whichever the set speaks.

        Raises `Undecided`.
        """
        contract = self.contract
        if contract is VERSION_1:
            return await self.ask(document)
        try:
            given = msgspec.json.decode(document)["input"]
            asked = (contract if given.get("version") == contract.version else VERSION_1).question(given)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"this is no document of version 1, which could be put to a policy set of version {contract.version}: {error}"
            raise Undecided("misshapen", why) from error
        verdict = await self.ask(serialised(asked, words=contract.words))
        said = contract.read(
            verdict.result, asked=len(asked.resources), phase=asked.phase, revision=verdict.revision, decision_id=""
        )
        return Verdict(told(said), verdict.revision)


@asynccontextmanager
async def asked(binary: str, source: Source, *, limits: Limits = PATIENCE, contracts: Contracts = SERVED) -> AsyncIterator[Asked]:
    """The policy set in `source`, running. Raises `PolicyRejected` where it does not compile, and `OpaUnusable`."""
    with private_folder() as name:
        folder = Path(name)
        copy = await asyncio.to_thread(snapshot.take, source, folder)
        contract = spoken(copy, contracts)
        bundle = await compile.build(binary, copy, folder)
        async with running(binary, bundle, folder, revision=copy.revision, limits=limits, contract=contract) as policy:
            yield policy


@asynccontextmanager
async def running(
    binary: str, bundle: Path, folder: Path, *, revision: str, limits: Limits = PATIENCE, contract: Contract = VERSION_1
) -> AsyncIterator[Asked]:
    """The same for a bundle that was built before; `folder` is private and takes the socket. Raises `OpaUnusable`."""
    process = OpaProcess(Launch(binary, bundle, folder, limits), prove=_unproved, on_restart=_untold)
    await process.start()
    try:
        yield Asked(revision, process, contract)
    finally:
        await process.stop()


async def _unproved(_process: OpaProcess) -> None:
    """Who asks here wants to know the answers, right or wrong."""


def _untold(_why: str) -> None:
    """The question that was under way fails, and says so."""

"""A policy set: one immutable bundle, everything checked before it may decide, and the process that decides by it.

Nothing here ever replaces anything: a set is built and started beside the one in force, and either proves itself or goes.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.opa import canary, compile, inspect, snapshot, spoken
from gateway.adapters.opa.canary import Canary
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.process import Launch, OpaProcess
from gateway.adapters.opa.snapshot import Snapshot, Source
from gateway.errors import Undecided
from gateway.policy.bundle_signature import Signed
from gateway.policy.contract import SERVED, Contract, Contracts
from gateway.policy.extract import Extractions
from gateway.ports import Verdict

log = logging.getLogger("gateway.opa")


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a set was put together of: the revision and the signature of each part."""

    rules: str
    signed: Signed | None
    facts: str | None = None  # None: they did not come apart
    facts_signed: Signed | None = None

    @property
    def signatures(self) -> tuple[Signed, ...]:
        return tuple(each for each in (self.signed, self.facts_signed) if each is not None)


def pieces(copy: Snapshot) -> Pieces:
    """Of a snapshot."""
    if copy.facts is None:
        return Pieces(copy.rules.revision, copy.rules.signed)
    return Pieces(copy.rules.revision, copy.rules.signed, copy.facts.revision, copy.facts.signed)


@dataclass(frozen=True, slots=True)
class Built:
    """A checked bundle with its canaries."""

    revision: str
    digest: str
    bundle: Path
    canaries: tuple[Canary, ...]
    folder: Path  # private: snapshot, bundle and socket
    pieces: Pieces
    extractions: Extractions
    contract: Contract


async def build(binary: str, copy: Snapshot, folder: Path, contracts: Contracts = SERVED) -> Built:
    """Check a snapshot in every way and make its bundle. Raises `PolicyRejected` with all findings at once."""
    contract = await asyncio.to_thread(spoken.spoken, copy, contracts)
    checked, inspected, bundle = await asyncio.gather(
        compile.check(binary, copy),
        inspect.findings(binary, copy, contract),
        compile.build(binary, copy, folder),
        return_exceptions=True,
    )
    findings: list[Finding] = []
    for outcome in (checked, inspected):
        if isinstance(outcome, BaseException):
            raise outcome
        findings += outcome
    if checked:  # OPA said it with its line
        findings = [found for found in findings if not found.message.startswith("does not parse")]
    canaries = _canaries(copy, findings)
    if findings:
        raise PolicyRejected(tuple(dict.fromkeys(findings)))
    if isinstance(bundle, BaseException):
        raise bundle
    declared = await asyncio.to_thread(spoken.extractions, copy, contract)
    return Built(copy.revision, copy.digest, bundle, canaries, folder, pieces(copy), declared, contract)


def _canaries(copy: Snapshot, findings: list[Finding]) -> tuple[Canary, ...]:
    try:
        text = copy.canaries.read_bytes()
    except OSError:
        findings.append(Finding(canary.FILE, 0, "there are no canaries: inputs with known answers, one allowed and one denied"))
        return ()
    read = canary.read(text, canary.FILE)
    if isinstance(read, Finding):
        findings.append(read)
        return ()
    return read


class PolicySet:
    """A built set and its process. Decisions hold a lease; the process ends after the last one."""

    def __init__(self, built: Built, process: OpaProcess) -> None:
        self.built = built
        self.process = process
        self.pieces = built.pieces  # may be signed anew while it decides
        self.answered = 0  # decisions so far
        self._leases = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @property
    def revision(self) -> str:
        return self.built.revision

    def expired(self, now_s: float) -> bool:
        """Whether any part of it was signed too long ago to decide."""
        return any(each.expires_s is not None and now_s >= each.expires_s for each in self.pieces.signatures)

    async def decide(self, document: bytes) -> Verdict:
        self._leases += 1
        self._unused.clear()
        try:
            verdict = await self.process.decide(document)
            self.answered += 1
            return verdict
        finally:
            self._leases -= 1
            if self._leases == 0:
                self._unused.set()

    async def misjudged(self) -> tuple[Finding, ...]:
        """Which canaries are answered wrong now. Raises `OpaUnusable` when they are not answered at all."""
        return await _wrong(self.built, self.process)

    async def drain(self, within_s: float) -> None:
        """Wait for the decisions under way, then end the process and delete the set's files."""
        try:
            async with asyncio.timeout(within_s):
                await self._unused.wait()
        except TimeoutError:
            log.warning("decisions by revision %s did not end within %g s", self.revision, within_s)
        await self.process.stop()
        await discard(self.built.folder)


async def start(built: Built, binary: str, limits: Limits, on_restart: Callable[[str], None]) -> PolicySet:
    """A running set whose canaries hold. Raises `PolicyRejected` or `OpaUnusable`; then nothing of it runs."""

    async def prove(process: OpaProcess) -> None:
        if found := await _wrong(built, process):
            raise PolicyRejected(found)

    process = OpaProcess(Launch(binary, built.bundle, built.folder, limits), prove=prove, on_restart=on_restart)
    await process.start()
    return PolicySet(built, process)


async def _wrong(built: Built, process: OpaProcess) -> tuple[Finding, ...]:
    try:
        return await canary.wrong(
            process.ask, built.canaries, file=canary.FILE, revision=built.revision, version=built.contract.version
        )
    except Undecided as error:
        raise OpaUnusable(f"OPA does not answer its canaries: {error}") from error


async def copied(source: Source, folder: Path) -> Snapshot:
    """A private copy of `source`, made off the event loop."""
    return await asyncio.to_thread(snapshot.take, source, folder)


async def discard(folder: Path) -> None:
    """Delete a set's private folder."""
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

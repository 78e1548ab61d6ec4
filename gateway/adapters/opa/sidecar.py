"""A sidecar somebody else runs: believed only while its revision is known and its canaries are right.

Its revision is checked after the fact, in the provenance of each answer. An answer of a revision that was not yet proved
counts for nothing: its facts are read and the canaries asked first, and until they hold everything is undecided. The facts say
in which version of the contract it is asked, and what is extracted from arguments for it.
"""

import asyncio
import ipaddress
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from gateway.adapters.opa import canary
from gateway.adapters.opa.canary import Canary
from gateway.adapters.opa.client import Client, Limits, Target
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.status import PolicyEvent, PolicyStatus, Rejection
from gateway.adapters.tasks import Tasks
from gateway.errors import Undecided
from gateway.policy import facts
from gateway.policy.contract import SERVED, VERSION_1, Contract, Contracts, not_served
from gateway.policy.extract import Extractions
from gateway.ports import Verdict

log = logging.getLogger("gateway.opa")

BEAT_S = 1.0  # between two looks at the canaries
NO_REVISION = "the sidecar names no revision: give its bundle one (opa build --revision …)"
NO_FACTS = "the sidecar does not tell its facts, which say what the gateway reads in arguments; let it read data.mcp.facts"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the facts of one revision say to the gateway."""

    revision: str | None = None  # None: none were read
    contract: Contract = VERSION_1
    extractions: Extractions = field(default_factory=Extractions)


class UnsafeUrl(ValueError):
    """`opa.url` cannot be used as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How a sidecar knows us and we know it."""

    token: str | None = None  # bearer token
    ca: Path | None = None  # default: the system's
    certificate: Path | None = None  # ours
    key: Path | None = None
    allow_plain_http: bool = False  # accept http beyond loopback


def target(url: str, trust: Trust) -> Target:
    """Where `url` (http, https or unix:/path) leads. Raises `UnsafeUrl`."""
    if url.startswith("unix:"):
        path = "/" + url.removeprefix("unix:").lstrip("/")
        if path == "/":
            raise UnsafeUrl(f"{url!r} names no socket: write unix:/path/of/the/socket")
        return Target(socket_path=path, token=trust.token)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UnsafeUrl(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UnsafeUrl(f"{url!r} is not an http, https or unix: URL")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise UnsafeUrl(
            f"the URL of {parts.hostname} must be scheme, host and port alone: the path is fixed, a token is set apart"
        )
    if parts.scheme == "http":
        if not trust.allow_plain_http and not is_loopback(parts.hostname):
            raise UnsafeUrl(
                f"{url!r} is plain http beyond loopback: use https, or set opa.allow_plain_http if the network is safe"
            )
        return Target(host=parts.hostname, port=port or 8181, token=trust.token)
    return Target(host=parts.hostname, port=port or 443, tls=_tls(trust), token=trust.token)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(trust: Trust) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.ca)
        if trust.certificate is not None:
            context.load_cert_chain(trust.certificate, trust.key)
    except OSError as error:  # ssl.SSLError is one
        raise UnsafeUrl(f"the CA file, certificate or key for OPA cannot be used: {error}") from error
    return context


class SidecarDecider:
    """Decides by the policies of a sidecar. Implements `ports.Decider`."""

    def __init__(
        self,
        target: Target,
        limits: Limits,
        canaries: tuple[Canary, ...],
        on_event: Callable[[PolicyEvent], None],
        health: Callable[[], Awaitable[bool]] | None = None,
        contracts: Contracts = SERVED,
    ) -> None:
        """`contracts`: the versions that its policy set may say."""
        self._contracts = contracts
        self._spoken = Spoken()
        self._client = Client(target, limits)
        self._canaries = canaries
        self._on_event = on_event
        self._health = health
        self._well = True
        self._tasks = Tasks()
        self._looking = asyncio.Lock()
        self._revision: str | None = None
        self._since_s: float | None = None
        self._problem = "the sidecar was not asked yet"
        self._misjudged = False
        self._rejection: Rejection | None = None

    # --- the port ---

    @property
    def revision(self) -> str | None:
        return self._revision

    @property
    def contract(self) -> Contract:
        return self._spoken.contract

    @property
    def extractions(self) -> Extractions:
        """Of the revision in force: an answer of another one was asked with what this one declares, and is asked for again."""
        return self._spoken.extractions

    async def decide(self, document: bytes) -> Verdict:
        """Raises `Undecided`: `no_policy` until a revision is proved, `revision` while a new one is not."""
        if self._revision is None:
            raise Undecided("no_policy", self._problem)
        contract = self._spoken.contract
        for _ in range(2):  # the second time only when the sidecar changed its policies between two questions
            verdict = await self._client.ask(document)
            if verdict.revision != self._revision:
                await self._look(wanted=verdict.revision)
            if self._spoken.contract is not contract:
                break  # the document is not in the words of the set that is there now
            if verdict.revision == self._revision:
                return verdict
        raise Undecided("revision", self._problem or f"revision {verdict.revision!r} answered, proved is {self._revision!r}")

    # --- the life cycle ---

    async def start(self) -> None:
        """Ask the canaries, and go on asking. A sidecar that is not there yet is no reason not to start."""
        await self._look()
        await self._examine()
        self._tasks.keep(self._beat, "sidecar-beat")

    def status(self) -> PolicyStatus:
        problem = self._problem or ("" if self._well else "the sidecar's own health check fails (GET /health?bundles&plugins)")
        if crash := self._tasks.crashed().get("sidecar-beat"):
            problem = problem or f"looking at the sidecar met {crash}"
        known: Literal["right", "unknown"] = "right" if self._revision is not None and not self._problem else "unknown"
        return PolicyStatus(self._revision, self._since_s, problem, "wrong" if self._misjudged else known, 0, self._rejection)

    async def close(self) -> None:
        await self._tasks.close()
        await self._client.close()

    # --- proof ---

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._look()
            await self._examine()

    async def _examine(self) -> None:
        """OPA's own health check: it makes the gateway unready, while decisions go on as long as canaries hold."""
        self._well = self._health is None or await self._health()

    async def _look(self, wanted: str | None = None) -> None:
        """Learn which revision answers now and let it decide if its canaries are right; nothing to do if that is `wanted`.

        One look at a time: whoever comes second finds the first one's outcome.
        """
        async with self._looking:
            if wanted is not None and wanted == self._revision:
                return
            try:
                revision = (await self._client.ask(self._canaries[0].document)).revision
                if not revision:
                    raise PolicyRejected((Finding(canary.FILE, 0, NO_REVISION),))
                spoken = self._spoken if self._spoken.revision == revision else await self._facts(revision)
                version = spoken.contract.version
                found = await canary.wrong(self._client.ask, self._canaries, file=canary.FILE, revision=revision, version=version)
            except PolicyRejected as refused:
                self._reject(refused.findings, misjudged=False)
                return
            except Undecided as error:
                if error.cause == "undefined":
                    self._reject((Finding(canary.FILE, 0, f"the sidecar knows no policy: {error}"),), misjudged=False)
                else:
                    self._problem = f"the sidecar gives no decision: {error}"
                return
            if found:
                self._reject(found, misjudged=True)
            else:
                self._accept(revision, spoken)

    async def _facts(self, revision: str) -> Spoken:
        """What the facts of this revision say. Raises `PolicyRejected` for facts that are of no use, and `Undecided`."""
        try:
            told = await self._client.facts()
        except Undecided as error:
            if error.cause not in {"undefined", "status"}:
                raise
            raise PolicyRejected((Finding(facts.MAIN, 0, f"{NO_FACTS}: {error}"),)) from error
        if told.revision != revision:
            raise Undecided("revision", f"the facts are of revision {told.revision!r}, decisions of {revision!r}")
        said = told.result.get("version") if isinstance(told.result, dict) else None
        contract = self._contracts.get(said) if type(said) is int else None
        if contract is None:
            raise PolicyRejected((Finding(facts.MAIN, 0, not_served(said, self._contracts)),))
        try:
            return Spoken(revision, contract, contract.declarations(told.result, revision))
        except ValueError as error:
            raise PolicyRejected((Finding(facts.MAIN, 0, str(error)),)) from error

    def _accept(self, revision: str, spoken: Spoken) -> None:
        previous = self._revision
        self._spoken = spoken
        self._problem, self._misjudged, self._rejection = "", False, None
        if revision != previous:
            self._revision, self._since_s = revision, time.time()
            log.info("the sidecar decides by policy revision %s", revision)
            self._on_event(PolicyEvent("enforced", revision, previous))

    def _reject(self, findings: tuple[Finding, ...], *, misjudged: bool) -> None:
        """Nothing is in force any more: a sidecar cannot be told to go back to its last good policies."""
        previous = self._revision
        self._problem = findings[0].message
        self._misjudged = misjudged
        self._revision, self._since_s, self._spoken = None, None, Spoken()
        if self._rejection is None or self._rejection.findings != findings:
            self._rejection = Rejection(time.time(), findings)
            for found in findings:
                log.error("the sidecar's policies are refused, no policy is in force: %s", found.message)
            self._on_event(PolicyEvent("rejected", None, previous, findings))


def canaries(file: Path) -> tuple[Canary, ...]:
    """The canaries in `file`, for a sidecar. Raises `PolicyRejected`."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise PolicyRejected((Finding(str(file), 0, f"the canaries cannot be read: {error.strerror}"),)) from error
    read = canary.read(text, str(file))
    if isinstance(read, Finding):
        raise PolicyRejected((read,))
    return read

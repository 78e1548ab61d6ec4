"""A sidecar somebody else runs: believed only while its revision is known and its canaries are right.

Its revision is checked after the fact, in the provenance of each answer. An answer of a revision that was not yet proved
counts for nothing: the canaries are asked first, and until they hold everything is undecided.
"""

import asyncio
import ipaddress
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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
from gateway.policy.contract import VERSION_1, Contract
from gateway.policy.extract import Extractions
from gateway.ports import Verdict

log = logging.getLogger("gateway.opa")

BEAT_S = 1.0  # between two looks at the canaries


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
    ) -> None:
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
        return VERSION_1

    @property
    def extractions(self) -> Extractions:
        """None: a sidecar's facts are its own and not read. A rule that finds something declared and not extracted refuses."""
        return Extractions(self._revision)

    async def decide(self, document: bytes) -> Verdict:
        """Raises `Undecided`: `no_policy` until a revision is proved, `revision` while a new one is not."""
        if self._revision is None:
            raise Undecided("no_policy", self._problem)
        for _ in range(2):  # the second time only when the sidecar changed its policies between two questions
            verdict = await self._client.ask(document)
            if verdict.revision != self._revision:
                await self._look(wanted=verdict.revision)
            if verdict.revision == self._revision:
                return verdict
        raise Undecided("revision", self._problem or f"revision {verdict.revision!r} answered, proved is {self._revision!r}")

    # --- the life cycle ---

    async def start(self) -> None:
        """Ask the canaries, and go on asking. A sidecar that is not there yet is no reason not to start."""
        await self._look()
        await self._examine()
        self._tasks.spawn(self._beat(), "sidecar-beat")

    def status(self) -> PolicyStatus:
        problem = self._problem or ("" if self._well else "the sidecar's own health check fails (GET /health?bundles&plugins)")
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
                found = await canary.wrong(self._client.ask, self._canaries, file=canary.FILE, revision=revision)
            except Undecided as error:
                if error.cause == "undefined":
                    self._reject((Finding(canary.FILE, 0, f"the sidecar knows no policy: {error}"),), misjudged=False)
                else:
                    self._problem = f"the sidecar gives no decision: {error}"
                return
            if not revision:
                missing = "the sidecar names no revision: give its bundle one (opa build --revision …)"
                self._reject((Finding(canary.FILE, 0, missing),), misjudged=False)
            elif found:
                self._reject(found, misjudged=True)
            else:
                self._accept(revision)

    def _accept(self, revision: str) -> None:
        previous = self._revision
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
        self._revision, self._since_s = None, None
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

"""Where issuers' keys come from: a file or a URL, fetched in the background, never while a request holds the event loop.

One fetch at a time; what was fetched last stays in use while the issuer is down; an unknown key id asks for a fetch
ahead of time, throttled, so that a rotation fails nobody and strangers' key ids cost the issuer nothing.
"""

import asyncio
import hashlib
import ipaddress
import logging
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from gateway.adapters.tasks import Tasks
from gateway.identity.signing_keys import BadKeySet, KeySet, read_key_set

log = logging.getLogger("gateway.keys")

MAX_DOCUMENT_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """When keys are fetched. The defaults suit providers that announce a key some minutes before they use it."""

    refresh_s: float = 300.0
    throttle_s: float = 10.0  # between fetches that unknown key ids ask for
    retry_s: float = 1.0  # after a failure, doubled up to `refresh_s`
    fetch_s: float = 5.0  # for one fetch
    wait_s: float = 3.0  # that a request waits for a fetch it asked for


class Source(Protocol):
    """Reads the raw document. Raises `SourceFailed`."""

    async def read(self) -> bytes: ...

    async def close(self) -> None: ...


class SourceFailed(Exception):
    """The document could not be had; the message is for the operator."""


class FileSource:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        try:
            return await asyncio.to_thread(self._path.read_bytes)
        except OSError as error:
            raise SourceFailed(f"{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        return


class UrlSource:
    """https, or http on loopback; no redirect is followed and no proxy of the environment used."""

    def __init__(self, url: str, *, timeout_s: float, verify: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname or "")):
            raise ValueError(f"{url}: keys are fetched over https only (or http on loopback)")
        self._url = url
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            verify=verify or ssl.create_default_context(),
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/jwk-set+json, application/json"},
        )

    async def read(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_s), self._client.stream("GET", self._url) as response:
                if response.status_code != 200:
                    raise SourceFailed(f"{self._url}: HTTP {response.status_code}")
                document = b""
                async for chunk in response.aiter_bytes():
                    document += chunk
                    if len(document) > MAX_DOCUMENT_BYTES:
                        raise SourceFailed(f"{self._url}: larger than {MAX_DOCUMENT_BYTES} bytes")
                return document
        except TimeoutError as error:
            raise SourceFailed(f"{self._url}: no answer within {self._timeout_s:g} s") from error
        except httpx2.HTTPError as error:
            raise SourceFailed(f"{self._url}: {type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.aclose()


class KeyRing:
    """One issuer's keys as they are now, kept fresh from `start` to `close`."""

    def __init__(self, source: Source, times: KeyTimes | None = None, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._times = times or KeyTimes()
        self._clock_s = clock_s
        self._tasks = Tasks()
        self._wanted = asyncio.Event()
        self._fetched = asyncio.Event()  # replaced after each fetch, so that waiters see exactly the next one
        self._last_fetch_s = float("-inf")
        self.keys: KeySet | None = None
        self.failure: str | None = None  # of the last fetch, for readiness and doctor

    def start(self) -> None:
        self._tasks.spawn(self._keep_fresh(), "issuer keys")

    async def close(self) -> None:
        await self._tasks.close()
        await self._source.close()

    async def renewed(self) -> KeySet | None:
        """The keys after a fetch asked for now; as they are if one was made a moment ago, or takes too long."""
        first = self.keys is None and self.failure is None
        if not first and self._clock_s() - self._last_fetch_s < self._times.throttle_s:
            return self.keys
        fetched = self._fetched
        self._wanted.set()
        try:
            async with asyncio.timeout(self._times.wait_s):
                await fetched.wait()
        except TimeoutError:
            log.warning("issuer keys: a request waited %g s for them in vain", self._times.wait_s)
        return self.keys

    async def _keep_fresh(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            failures = 0 if await self._fetch() else failures + 1
            pause_s = self._times.refresh_s
            if failures:
                pause_s = min(pause_s, self._times.retry_s * 2 ** min(failures - 1, 16))
            try:
                async with asyncio.timeout(pause_s * random.uniform(0.9, 1.1)):  # noqa: S311 — only spreads the fetches
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _fetch(self) -> bool:
        try:
            document = await self._source.read()
            digest = hashlib.sha256(document).hexdigest()
            if self.keys is None or self.keys.digest != digest:
                self.keys = read_key_set(document, digest=digest)
                for line in self.keys.unfit:
                    log.warning("issuer keys: %s", line)
            self.failure = None
        except (SourceFailed, BadKeySet) as error:
            self.failure = str(error)
            log.warning("issuer keys not renewed, the last ones stay in use: %s", error)
        self._last_fetch_s = self._clock_s()
        fetched, self._fetched = self._fetched, asyncio.Event()
        fetched.set()
        return self.failure is None


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Where issuers' keys come from: a file, a URL or what discovery names; fetched in the background, one fetch at a time.

What was fetched last stays in use while the issuer is down. A token whose key is not known yet waits for the next fetch,
which comes early but never sooner than `throttle_s` after the last: a rotation fails nobody, and strangers' key ids cost
the issuer little.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import MAX_DOCUMENT_BYTES, TIMEOUT_S, Document, Fetcher, SourceFailed
from gateway.adapters.tasks import Crashed, Tasks, attempted
from gateway.identity.issuer_metadata import checked_url
from gateway.identity.signing_keys import BadKeySet, KeySet, read_key_set

log = logging.getLogger("gateway.keys")

MAX_WAITING = 256  # requests that wait for one issuer's keys: what strangers can hold by naming keys that do not exist


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """When keys are fetched. Cache-Control may shorten the time between fetches, never lengthen it: a withdrawn key must end."""

    refresh_s: float = 300.0
    least_refresh_s: float = 60.0  # however little Cache-Control grants
    throttle_s: float = (
        2.0  # between a fetch and the next one that an unknown key id asks for; below `wait_s`, or it waits in vain
    )
    retry_s: float = 1.0  # after a failure, doubled up to `max_retry_s`
    max_retry_s: float = 30.0
    wait_s: float = 5.0  # that a request waits for a fetch it asked for


class Source(Protocol):
    """Reads the raw document. Raises `SourceFailed`."""

    async def read(self) -> Document: ...

    async def close(self) -> None: ...


class FileSource:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Document:
        try:
            return Document(await asyncio.to_thread(self._content))
        except OSError as error:
            raise SourceFailed(f"{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        return

    def _content(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES)  # what is cut off is no JSON any more


class UrlSource:
    """https, or http on loopback. Raises `ValueError` for any other URL."""

    def __init__(self, url: str, fetcher: Fetcher | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        checked_url(url, what="jwks_url")
        self._url = url
        self._fetcher = fetcher or Fetcher(timeout_s=timeout_s)

    async def read(self) -> Document:
        return await self._fetcher.read(self._url)

    async def close(self) -> None:
        await self._fetcher.close()


class DiscoveredSource:
    """The keys at the `jwks_uri` that the issuer's metadata names."""

    def __init__(self, discovery: Discovery, fetcher: Fetcher) -> None:
        self._discovery = discovery
        self._fetcher = fetcher

    async def read(self) -> Document:
        found = await self._discovery.metadata()
        if found.jwks_uri is None:
            self._discovery.expire()
            raise SourceFailed(f"{found.issuer}: its metadata names no `jwks_uri`")
        try:
            return await self._fetcher.read(found.jwks_uri)
        except SourceFailed:
            self._discovery.expire()  # the keys may have moved
            raise

    async def close(self) -> None:
        await self._discovery.close()
        await self._fetcher.close()


class KeyRing:
    """One issuer's keys as they are now, kept fresh from `start` to `close`."""

    def __init__(
        self, source: Source, times: KeyTimes | None = None, *, of: str = "", clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """`of`: whose keys they are, for the operator's log."""
        self._source = source
        self._of = of
        self._times = times or KeyTimes()
        self._clock_s = clock_s
        self._tasks = Tasks()
        self._wanted = asyncio.Event()
        self._fetched = asyncio.Event()  # replaced after each fetch, so that waiters see exactly the next one
        self._begun = 0  # fetches; all but the last have ended, and that one has unless `_fetching`
        self._fetching = False
        self._waiting = 0
        self._began_s = float("-inf")
        self._renewed_s: float | None = None
        self.keys: KeySet | None = None
        self.failure: str | None = None  # of the last fetch, for readiness and doctor
        self._crash = ""  # the unforeseen error of the last fetch, which is logged once
        self.failures = 0  # fetches that failed, since the start

    def start(self) -> None:
        self._tasks.keep(self._keep_fresh, "issuer keys")

    async def close(self) -> None:
        await self._tasks.close()
        await self._source.close()

    @property
    def age_s(self) -> float | None:
        """Since the issuer last confirmed these keys; None: it never did."""
        return None if self._renewed_s is None else self._clock_s() - self._renewed_s

    async def renewed(self, fits: Callable[[KeySet], bool] = lambda keys: False) -> KeySet | None:
        """The keys after a fetch that begins from now on, or an earlier one's if they `fits`.

        As they are, if no fetch may begin soon: one has just failed. None if nobody could look: too many wait already, or the
        wait was in vain.
        """
        known = self.keys is not None
        if not self._soon():
            return self.keys
        if known and self._waiting >= MAX_WAITING:
            return None
        awaited = self._begun + (0 if self._fetching and not known else 1)  # nothing known: the one under way will do
        self._wanted.set()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._times.wait_s):
                while self._begun - self._fetching < awaited:
                    await self._fetched.wait()
                    if self.keys is not None and fits(self.keys):
                        break
        except TimeoutError:
            log.warning("issuer keys: a request waited %g s for them in vain", self._times.wait_s)
            return None
        finally:
            self._waiting -= 1
        return self.keys

    def _soon(self) -> bool:
        """Whether the next fetch is worth waiting for."""
        if self._fetching or self._begun == 0:
            return True
        due_in_s = self._began_s + self._times.throttle_s - self._clock_s()
        return due_in_s <= 0 or (self.failure is None and due_in_s < self._times.wait_s)

    async def _keep_fresh(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            granted_s = await self._fetch()
            failures = 0 if self.failure is None else failures + 1
            pause_s = self._times.refresh_s
            if failures:
                pause_s = min(pause_s, self._times.max_retry_s, self._times.retry_s * 2 ** min(failures - 1, 16))
            elif granted_s is not None:
                pause_s = min(pause_s, max(granted_s, self._times.least_refresh_s))
            try:
                async with asyncio.timeout(pause_s * random.uniform(0.9, 1.1)):  # noqa: S311 — only spreads the fetches
                    await self._wanted.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(self._began_s + self._times.throttle_s - self._clock_s())

    async def _fetch(self) -> float | None:
        """For how long the answer may be kept, if it says so."""
        self._begun, self._fetching, self._began_s = self._begun + 1, True, self._clock_s()
        granted_s, what = None, f"fetching the keys of {self._of}"
        try:
            granted_s = await attempted(self._renew(), what, SourceFailed, BadKeySet, logged=self._crash)
            self.failure, self._renewed_s, self._crash = None, self._clock_s(), ""
        except (SourceFailed, BadKeySet, Crashed) as error:
            self.failures += 1
            if str(error) != self.failure:  # a file is looked at each second: once is enough
                log.warning("keys of %s not renewed, the last ones stay in use: %s", self._of, error)
            self.failure = str(error)
            self._crash = repr(error.__cause__) if isinstance(error, Crashed) else ""
        self._fetching = False
        fetched, self._fetched = self._fetched, asyncio.Event()
        fetched.set()
        return granted_s

    async def _renew(self) -> float | None:
        """Take the keys as they are now; for how long the answer may be kept. Raises `SourceFailed` or `BadKeySet`."""
        document = await self._source.read()
        digest = hashlib.sha256(document.body).hexdigest()
        if self.keys is None or self.keys.digest != digest:
            self.keys = read_key_set(document.body, digest=digest)
            for line in self.keys.unfit:
                log.warning("keys of %s: %s", self._of, line)
        return document.max_age_s

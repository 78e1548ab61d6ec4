"""A bundle server: asked again and again, and what it serves put where the gateway takes its bundle from. It decides nothing.

Bounded in time and size, no redirect, no proxy of the environment. What is no bundle, or not signed as it must be, never reaches
the file; while the server is away, or serves such, the last good bundle stays, also over a restart, until its signature is too
old.
"""

import asyncio
import logging
import random
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gateway.adapters.opa.history import write_whole
from gateway.adapters.tasks import Crashed, Tasks, attempted
from gateway.policy import bundle
from gateway.policy.bundle import BadBundle, Bundle
from gateway.policy.bundle_signature import Signed, Trust, verified

log = logging.getLogger("gateway.opa")

TIMEOUT_S = 10.0  # for an answer, beyond what the server was allowed to wait
FIRST_PAUSE_S = 1.0  # after a failure; doubles with each in a row
LONGEST_PAUSE_S = 60.0
ENDED = "the bundle server is no longer asked: an internal error, see the log"


class FetchFailed(Exception):
    """There is no new bundle; the message says why and repeats nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class BundleServer:
    """Where to ask, and how."""

    url: str
    tls: ssl.SSLContext | None  # None: plain http
    token: str | None = None
    poll_s: float = 10.0  # between two questions
    wait_s: float = 0.0  # how long the server may keep a question while there is nothing new

    def headers(self) -> dict[str, str]:
        sent = {"accept-encoding": "identity", "accept": "application/vnd.openpolicyagent.bundles, application/gzip"}
        if self.wait_s:
            sent["prefer"] = f"modes=snapshot;wait={self.wait_s:.0f}"  # as OPA asks for long polling
        if self.token is not None:
            sent["authorization"] = f"Bearer {self.token}"
        return sent


@dataclass(frozen=True, slots=True)
class FeedStatus:
    problem: str  # why there is nothing newer than what there is; "": there is not
    asked_s: float | None  # Unix time of the newest answer that counts


class BundleFeed:
    """Keeps `file` the newest good bundle of `server`. `trust`: as for `snapshot.Source`."""

    def __init__(self, server: BundleServer, file: Path, trust: Trust | None) -> None:
        self._server = server
        self._file = file
        self._trust = trust
        self._tag: str | None = None
        self._problem = "the bundle server was not asked yet"
        self._asked_s: float | None = None
        self._client: httpx2.AsyncClient | None = None
        self._tasks = Tasks()
        self._asking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask once, so that what there is can be loaded at once; then go on. A server that is away is no reason not to start."""
        await self._attempt(wait=False)
        self._asking = self._tasks.spawn(self._ask_on(), "bundle-server")

    def status(self) -> FeedStatus:
        ended = self._asking is not None and self._asking.done()
        return FeedStatus(ENDED if ended else self._problem, self._asked_s)

    async def close(self) -> None:
        await self._tasks.close()
        if self._client is not None:
            await self._client.aclose()

    async def _ask_on(self) -> None:
        failures = 0
        while True:
            if self._problem:
                spread = random.uniform(0.5, 1.0)  # noqa: S311  # so that not all gateways ask at once
                pause_s = min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S) * spread
                failures = min(failures + 1, 16)
            else:
                failures, pause_s = 0, self._server.poll_s
            began = time.monotonic()
            if not self._server.wait_s or self._problem:
                await asyncio.sleep(pause_s)
            await self._attempt(wait=True)
            if self._server.wait_s and not self._problem:  # one that does not wait is not asked in a circle
                await asyncio.sleep(max(0.0, min(self._server.poll_s, 1.0) - (time.monotonic() - began)))

    async def _attempt(self, *, wait: bool) -> None:
        try:
            await attempted(self._refresh(wait=wait), "taking what the bundle server sent", FetchFailed)
        except (FetchFailed, Crashed) as error:
            if self._problem != str(error):
                log.error("bundle server: %s", error)
            self._problem = str(error)
            return
        if self._problem:
            log.info("bundle server: %s answers", self._server.url)
        self._problem, self._asked_s = "", time.time()

    async def _refresh(self, *, wait: bool) -> None:
        """Raises `FetchFailed`."""
        if self._client is None:
            self._client = _client(self._server)
        tag = self._tag if self._file.is_file() else None
        packed, tag = await _answer(self._client, self._server, tag, wait=wait)
        if packed is None:
            return
        try:
            await asyncio.to_thread(self._put, packed)
        except BadBundle as error:
            raise FetchFailed(f"{self._server.url}: the bundle {error}") from error
        except OSError as error:
            raise FetchFailed(f"{self._file}: cannot be written: {error.strerror}") from error
        self._tag = tag

    def _put(self, packed: bytes) -> None:
        read = bundle.read(packed)
        if self._trust is not None:
            verified(read, self._trust, time.time())
        if not self._file.is_file() or self._file.read_bytes() != packed:
            write_whole(self._file, packed)


async def served(server: BundleServer, trust: Trust | None) -> tuple[Bundle, Signed | None]:
    """What the server serves now, for whoever only looks. Raises `FetchFailed`."""
    async with _client(server) as client:
        packed, _ = await _answer(client, server, None, wait=False)
    try:
        read = await asyncio.to_thread(bundle.read, packed or b"")
        return read, verified(read, trust, time.time()) if trust is not None else None
    except BadBundle as error:
        raise FetchFailed(f"{server.url}: the bundle {error}") from error


def _client(server: BundleServer) -> httpx2.AsyncClient:
    verify = server.tls if server.tls is not None else False  # plain http has nothing to verify
    return httpx2.AsyncClient(verify=verify, follow_redirects=False, trust_env=False, timeout=None)


async def _answer(
    client: httpx2.AsyncClient, server: BundleServer, tag: str | None, *, wait: bool
) -> tuple[bytes | None, str | None]:
    """A bundle that is not the one under `tag`, and its own ETag; None: nothing new. Raises `FetchFailed`."""
    sent = server.headers()
    if not wait:
        sent.pop("prefer", None)
    if tag is not None:
        sent["if-none-match"] = tag
    limit_s = TIMEOUT_S + (server.wait_s if wait else 0.0)
    try:
        async with asyncio.timeout(limit_s), client.stream("GET", server.url, headers=sent) as response:
            if response.status_code == 304 and tag is not None:
                return None, tag
            if response.status_code != 200:
                raise FetchFailed(f"{server.url}: HTTP {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed(f"{server.url}: an encoded answer, which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > bundle.MAX_PACKED_BYTES:
                    raise FetchFailed(f"{server.url}: larger than {bundle.MAX_PACKED_BYTES} bytes")
            return bytes(body), response.headers.get("etag")
    except TimeoutError as error:
        raise FetchFailed(f"{server.url}: no answer within {limit_s:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise FetchFailed(f"{server.url}: {type(error).__name__}") from None  # its text may quote what was sent

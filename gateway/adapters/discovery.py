"""An issuer's metadata, found where the RFCs put it: one fetch at a time, kept while the issuer is down, renewed in time.

Whoever has asked once never waits again: what is known is handed out at once, and renewed beside it when it grows old.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.adapters.fetching import Fetcher, SourceFailed
from gateway.adapters.tasks import Tasks
from gateway.identity.issuer_metadata import BadMetadata, Metadata, checked_url, read_metadata, well_known_urls

log = logging.getLogger("gateway.issuers")

MAX_METADATA_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class DiscoveryTimes:
    refresh_s: float = 3600.0  # endpoints hardly ever move
    retry_s: float = 1.0  # after a failure, doubled up to `max_retry_s`
    max_retry_s: float = 30.0


class Discovery:
    """One issuer's metadata. Raises `ValueError` when made for an issuer that has no place for it."""

    def __init__(
        self,
        issuer: str,
        fetcher: Fetcher | None = None,
        *,
        url: str | None = None,
        times: DiscoveryTimes | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if url is not None:
            checked_url(url, what="discovery_url")
        self.issuer = issuer
        self._places: Sequence[str] = well_known_urls(issuer) if url is None else (url,)
        self._fetcher = fetcher or Fetcher()
        self._times = times or DiscoveryTimes()
        self._clock_s = clock_s
        self._tasks = Tasks()
        self._running: asyncio.Task[None] | None = None
        self._due_s = float("-inf")
        self._failures = 0
        self.known: Metadata | None = None
        self.failure: str | None = None  # of the last fetch, for readiness and doctor

    async def metadata(self) -> Metadata:
        """As known, however old; asked for when nothing is. Raises `SourceFailed`."""
        if self._clock_s() >= self._due_s and self._running is None:
            self._running = self._tasks.spawn(self._renewed(), "issuer metadata")
        if self.known is None and self._running is not None:
            await asyncio.shield(self._running)  # another's cancellation must not end it
        if self.known is None:
            raise SourceFailed(self.failure or f"{self.issuer}: its metadata could not be had")
        return self.known

    def expire(self) -> None:
        """Something that the metadata names was not there: ask again next time, unless that was done a moment ago."""
        if self.failure is None:
            self._due_s = min(self._due_s, self._clock_s() + self._times.retry_s)

    async def close(self) -> None:
        """The fetcher, which others may share, stays open."""
        await self._tasks.close()

    async def _renewed(self) -> None:
        try:
            self.known = await self._found()
            self.failure, self._failures = None, 0
            pause_s = self._times.refresh_s
        except SourceFailed as error:
            self.failure = str(error)
            pause_s = min(self._times.max_retry_s, self._times.retry_s * 2 ** min(self._failures, 16))
            self._failures += 1
            log.warning("issuer metadata not renewed, what was known stays in use: %s", error)
        finally:
            self._running = None
        self._due_s = self._clock_s() + pause_s

    async def _found(self) -> Metadata:
        """From the first place that has it; the place then is the first one to be asked."""
        missing: list[str] = []
        for place in self._places:
            try:
                document = await self._fetcher.read(place, max_bytes=MAX_METADATA_BYTES)
                found = read_metadata(document.body, issuer=self.issuer)
            except BadMetadata as error:
                missing.append(f"{place}: {error}")
                continue
            except SourceFailed as error:
                if error.status is None:
                    raise  # nobody answers: neither will they elsewhere on the same host
                missing.append(str(error))
                continue
            self._places = (place, *(each for each in self._places if each != place))
            return found
        raise SourceFailed("; ".join(missing))

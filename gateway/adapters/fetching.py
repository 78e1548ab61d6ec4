"""The one way out to identity providers: bounded in time and size, no redirect, no proxy of the environment, no encoding.

Nobody who waits here holds the event loop, and nothing that was sent or received stands in a failure's message.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx2

MAX_DOCUMENT_BYTES = 512 * 1024
TIMEOUT_S = 5.0

_MAX_AGE = re.compile(r'(?:^|,)\s*max-age\s*=\s*"?(\d{1,9})"?\s*(?:,|$)', re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|,)\s*no-(?:cache|store)\s*(?:[,=]|$)", re.IGNORECASE)


class SourceFailed(Exception):
    """The document could not be had; the message is for the operator. `status`: what the server answered, if it did."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Document:
    """What a server answered with status 200."""

    body: bytes
    max_age_s: float | None = None  # that Cache-Control grants; None: it says nothing
    date: str | None = None  # of the server's clock, as it says it


class Fetcher:
    """Asks the servers of one issuer. Raises `ValueError` when made with a CA file that cannot be read."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S, ca_file: Path | None = None) -> None:
        self._timeout_s = timeout_s
        self._tls = _tls(ca_file)
        self._client: httpx2.AsyncClient | None = None  # made when first used: settings are also only checked

    async def read(self, url: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Document:
        """Raises `SourceFailed`."""
        return await self._asked("GET", url, max_bytes, {"accept": "application/jwk-set+json, application/json"})

    async def posted(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str], max_bytes: int = MAX_DOCUMENT_BYTES
    ) -> Document:
        """The answer to a form. Raises `SourceFailed`."""
        return await self._asked("POST", url, max_bytes, {"accept": "application/json", **headers}, form)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _asked(
        self, method: str, url: str, max_bytes: int, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> Document:
        if self._client is None:
            self._client = httpx2.AsyncClient(verify=self._tls, timeout=self._timeout_s, follow_redirects=False, trust_env=False)
        sent = {"accept-encoding": "identity", **headers}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(method, url, headers=sent, data=None if form is None else dict(form)) as response,
            ):
                if response.status_code != 200:
                    raise SourceFailed(f"{named(url)}: HTTP {response.status_code}", status=response.status_code)
                if response.headers.get("content-encoding", "identity") != "identity":  # a small bomb unpacks to a huge document
                    raise SourceFailed(f"{named(url)}: an encoded answer, which was not asked for", status=200)
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > max_bytes:
                        raise SourceFailed(f"{named(url)}: larger than {max_bytes} bytes", status=200)
                return Document(bytes(body), max_age_s(response.headers.get("cache-control")), response.headers.get("date"))
        except TimeoutError as error:
            raise SourceFailed(f"{named(url)}: no answer within {self._timeout_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise SourceFailed(
                f"{named(url)}: {type(error).__name__}{_tls_reason(error)}"
            ) from None  # its text may quote what was sent


def named(url: str) -> str:
    """The URL as it may be told: a query may hold a secret."""
    return url.partition("?")[0]


def max_age_s(cache_control: str | None) -> float | None:
    """For how long Cache-Control lets an answer be kept; None: it does not say."""
    if cache_control is None:
        return None
    if _NOT_KEPT.search(cache_control):
        return 0.0
    found = _MAX_AGE.search(cache_control)
    return None if found is None else float(found[1])


@cache
def _system_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return _system_tls()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"tls_ca: {ca_file}: not certificates in PEM") from error
    except OSError as error:
        raise ValueError(f"tls_ca: {ca_file}: {error.strerror}") from error


def _tls_reason(error: Exception) -> str:
    """Why a certificate was refused, where that is what failed: the one thing that the operator cannot guess."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f" ({cause.verify_message})"
        cause = cause.__cause__ or cause.__context__
    return ""

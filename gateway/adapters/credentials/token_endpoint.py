"""One authorization server's token endpoint, and how the gateway proves there who it is.

Bounded in time and size, no redirect; its refusals are told to the operator by status, never by its words: those may repeat
what was sent.
"""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.adapters.credentials.credential import unavailable
from gateway.adapters.credentials.secret import Secret
from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Fetcher, SourceFailed
from gateway.errors import BackendFailed
from gateway.identity.issuer_metadata import checked_url
from gateway.identity.outbound import CLIENT_ASSERTION, BadAnswer, Issued, Stamp, basic, client_claims, issued
from gateway.identity.private_keys import read_keys, signed

log = logging.getLogger("gateway.credentials")

MAX_ANSWER_BYTES = 64 * 1024
TOLD_EVERY_S = 10.0
MOVED = frozenset({301, 302, 307, 308, 404, 405, 410})  # the endpoint may be elsewhere now: its metadata is read again

ClientAuth = Literal["basic", "post", "private_key_jwt", "none"]


@dataclass(frozen=True, slots=True)
class Client:
    """Who the gateway is at an authorization server. `secret`: the client secret, or the private key in PEM."""

    id: str
    auth: ClientAuth = "none"
    secret: Secret | None = None
    key_id: str | None = None
    assertion_audience: str | None = None  # of private_key_jwt; None: the token endpoint

    async def proof(self, endpoint: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Members of the form, and headers. Raises `BackendFailed`."""
        if self.auth == "none":
            return {"client_id": self.id}, {}
        assert self.secret is not None
        secret = await self.secret.current()
        if self.auth == "basic":
            return {}, {"authorization": basic(self.id, secret)}
        if self.auth == "post":
            return {"client_id": self.id, "client_secret": secret}, {}
        stamp = Stamp(secrets.token_urlsafe(16), time.time())
        claims = client_claims(self.id, audience=self.assertion_audience or endpoint, stamp=stamp)
        assertion = signed(claims, read_keys(secret)[-1], typ="JWT", kid=self.key_id)
        return {"client_id": self.id, "client_assertion_type": CLIENT_ASSERTION, "client_assertion": assertion}, {}

    async def close(self) -> None:
        if self.secret is not None:
            await self.secret.close()


class TokenEndpoint:
    """Asks for tokens. `place`: its URL, or where to discover it. Raises `ValueError` for a URL that will not do."""

    def __init__(
        self, place: str | Discovery, client: Client, fetcher: Fetcher, *, clock_s: Callable[[], float] = time.time
    ) -> None:
        if isinstance(place, str):
            checked_url(place, what="token_url")
        self._place = place
        self._client = client
        self._fetcher = fetcher
        self._clock_s = clock_s
        self._told_s = float("-inf")

    async def asked(self, form: Mapping[str, str]) -> Issued:
        """The token that it issues. Raises `BackendFailed("credential")`."""
        try:
            url = await self._url()
            members, headers = await self._client.proof(url)
            asked_s = self._clock_s()
            answer = await self._fetcher.posted(url, {**form, **members}, headers=headers, max_bytes=MAX_ANSWER_BYTES)
            return issued(answer.body, now_s=asked_s)
        except SourceFailed as error:
            if error.status in MOVED and isinstance(self._place, Discovery):
                self._place.expire()
            raise self._failed(str(error)) from None  # its cause may hold what was sent
        except BadAnswer as error:
            raise self._failed(f"the token endpoint: {error}") from None

    async def close(self) -> None:
        if isinstance(self._place, Discovery):
            await self._place.close()
        await self._fetcher.close()
        await self._client.close()

    async def _url(self) -> str:
        if isinstance(self._place, str):
            return self._place
        metadata = await self._place.metadata()
        if metadata.token_endpoint is None:
            raise SourceFailed(f"{self._place.issuer}: its metadata names no token_endpoint")
        return metadata.token_endpoint

    def _failed(self, detail: str) -> BackendFailed:
        now_s = time.monotonic()
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            log.warning("no token for a backend: %s", detail)
        return unavailable(detail)

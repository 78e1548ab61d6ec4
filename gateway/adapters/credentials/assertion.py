"""A short statement that the gateway signs for each request: who asks, for what, and by which decision.

A backend verifies it with the keys that the gateway publishes, and then knows that the gateway decided this very call.
"""

import secrets
import time
from collections.abc import Callable, Mapping

from gateway.adapters.credentials.signing import SigningKeys
from gateway.identity.outbound import ASSERTION_TYPE, Stamp, assertion_claims, subject_claims
from gateway.identity.private_keys import signed
from gateway.model import Caller, Outgoing

HEADER = "X-MCP-Gateway-Assertion"


class Signer:
    """Speaks for the gateway: `issuer` is the URL under which its keys are."""

    def __init__(self, keys: SigningKeys, issuer: str, *, clock_s: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock_s = clock_s

    async def of(self, request: Outgoing, *, audience: str) -> str:
        """A statement about one request. Raises `BackendFailed` when there is no key to sign with."""
        key = await self._keys.newest()
        claims = assertion_claims(request, issuer=self._issuer, audience=audience, stamp=self._stamp())
        return signed(claims, key.key, typ=ASSERTION_TYPE, kid=key.kid)

    async def about(self, caller: Caller | None, *, audience: str) -> str:
        """A statement about who the caller is (None: the gateway), for an authorization server. Raises `BackendFailed`."""
        key = await self._keys.newest()
        claims = subject_claims(caller, issuer=self._issuer, audience=audience, stamp=self._stamp())
        return signed(claims, key.key, typ="JWT", kid=key.kid)

    def _stamp(self) -> Stamp:
        return Stamp(secrets.token_urlsafe(16), self._clock_s())


class AssertionCredential:
    """The statement in a header. `beside`: the backend knows the gateway by another credential, which this accompanies."""

    def __init__(self, signer: Signer, audience: str, *, header: str = HEADER, beside: bool = False) -> None:
        self._signer = signer
        self._audience = audience
        self._header = header
        self._prefix = "Bearer " if header.lower() == "authorization" else ""
        self.per_subject = not beside

    async def headers(self, request: Outgoing) -> Mapping[str, str]:
        return {self._header: self._prefix + await self._signer.of(request, audience=self._audience)}

    async def rejected(self, request: Outgoing, shown: Mapping[str, str]) -> bool:
        return False

    async def close(self) -> None:
        return

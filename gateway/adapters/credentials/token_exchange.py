"""A token for the end user, by token exchange (RFC 8693): the backend meets the user, and never the user's own token.

Each is kept under whom it is for *and* what was exchanged for it: a token that was obtained with wide scopes does not serve
a request that came with narrow ones. It never outlives the credential that the request came with.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.adapters.credentials.assertion import Signer
from gateway.adapters.credentials.credential import unavailable
from gateway.adapters.credentials.issued import IssuedTokens
from gateway.adapters.credentials.token_endpoint import TokenEndpoint
from gateway.errors import BackendFailed
from gateway.identity.outbound import (
    ACCESS_TOKEN,
    JWT_TOKEN,
    Issued,
    Shown,
    Wanted,
    client_credentials_form,
    exchange_form,
)
from gateway.model import Caller, Outgoing

OWN = ""


@dataclass(frozen=True, slots=True)
class Exchanging:
    """What is exchanged for what."""

    wanted: Wanted
    issuer: str | None  # whose tokens may be shown to the token endpoint; None: callers' tokens are never shown
    signer: Signer | None = None  # signs what stands for the subject without such a token, or for the gateway as actor
    audience: str = ""  # of what it signs: the authorization server
    actor: bool = False  # the gateway says that it acts for the subject
    own: bool = True  # the gateway's own requests go with its client credentials; False: with none


class TokenExchange:
    """One backend's tokens for all its subjects."""

    per_subject = True

    def __init__(
        self, endpoint: TokenEndpoint, exchanging: Exchanging, tokens: IssuedTokens, *, clock_s: Callable[[], float] = time.time
    ) -> None:
        self._endpoint = endpoint
        self._told = exchanging
        self._tokens = tokens
        self._clock_s = clock_s

    async def headers(self, request: Outgoing) -> Mapping[str, str]:
        caller = request.caller
        if caller is None:
            if not self._told.own:
                return {}
            return {"Authorization": "Bearer " + await self._tokens.token(OWN, self._own)}
        self._check(caller)
        return {"Authorization": "Bearer " + await self._tokens.token(_key(caller), lambda: self._exchanged(caller))}

    async def rejected(self, request: Outgoing, shown: Mapping[str, str]) -> bool:
        token = shown.get("Authorization", "").removeprefix("Bearer ")
        return bool(token) and self._tokens.drop(OWN if request.caller is None else _key(request.caller), token)

    async def close(self) -> None:
        await self._tokens.close()
        await self._endpoint.close()

    def _check(self, caller: Caller) -> None:
        """Raises `BackendFailed` for a caller whom nothing can be exchanged for; nothing is sent anywhere then."""
        if caller.expires_at_s is not None and self._clock_s() >= caller.expires_at_s:
            raise _no_token("the caller's own credential has ended")
        if caller.subject.type == "anonymous":
            raise _no_token("an anonymous caller has no identity that could be exchanged")
        if self._told.issuer is None:
            return
        theirs = caller.subject.authentication == "jwt" and caller.subject.identity.issuer == self._told.issuer
        if caller.token is None or not theirs:
            raise _no_token("only a caller with an access token of the backend's own issuer can be exchanged for")

    async def _own(self) -> Issued:
        return await self._endpoint.asked(client_credentials_form(self._told.wanted))

    async def _exchanged(self, caller: Caller) -> Issued:
        told = self._told
        if told.issuer is not None:
            assert caller.token is not None
            subject = Shown(ACCESS_TOKEN, caller.token)
        else:
            subject = await self._stated(caller)
        actor = await self._stated(None) if told.actor else None
        found = await self._endpoint.asked(exchange_form(subject, actor, told.wanted))
        if caller.expires_at_s is None:
            return found
        return replace(found, expires_at_s=min(found.expires_at_s, caller.expires_at_s))

    async def _stated(self, caller: Caller | None) -> Shown:
        assert self._told.signer is not None
        return Shown(JWT_TOKEN, await self._told.signer.about(caller, audience=self._told.audience))


def _no_token(detail: str) -> BackendFailed:
    return unavailable(detail)


def _key(caller: Caller) -> str:
    """Whom a token is for, and what it was obtained with."""
    with_what = hashlib.sha256(repr((caller.token, caller.subject.actors, caller.expires_at_s)).encode()).hexdigest()
    return f"{caller.key}\x1f{with_what}"

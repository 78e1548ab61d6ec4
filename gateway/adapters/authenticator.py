"""The port `Authenticator`: the first method that recognises the credential decides, and nobody is let in by default.

Without a credential a caller is anonymous where the surface says so, and refused everywhere else; a credential that was
sent and does not verify is refused on every surface.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.adapters.jwks import KeyRing
from gateway.errors import Kind, Refusal
from gateway.identity import api_keys, tokens
from gateway.identity.api_keys import ApiKey
from gateway.identity.challenge import challenge
from gateway.identity.claims import granted
from gateway.identity.credential import as_end_user, bearer
from gateway.identity.grant import ANONYMOUS, CANARY_ISSUER, Grant, Rejected
from gateway.identity.signing_keys import KeySet
from gateway.identity.tokens import TrustedIssuer, Unverified
from gateway.model import Caller, Presented

MAX_REMEMBERED = 10_000
REMEMBERED_S = 300.0  # a revoked signing key counts no longer than this; a removed one not at all


class Method(Protocol):
    """One way to show who one is."""

    def recognises(self, token: str) -> bool: ...

    async def verified(self, token: str, *, now_s: float) -> Grant:
        """Raises `Rejected`."""
        ...


class ApiKeys:
    """The keys of workloads. `replace` puts a new set in force at once."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = api_keys.by_id(keys)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        self._keys = api_keys.by_id(keys)

    def recognises(self, token: str) -> bool:
        return api_keys.recognises(token)

    async def verified(self, token: str, *, now_s: float) -> Grant:
        return api_keys.verified(token, self._keys, now_s=now_s)


@dataclass(frozen=True, slots=True)
class _Remembered:
    grant: Grant
    keys: KeySet  # that it was verified with
    until_s: float


class AccessTokens:
    """JWTs of any number of trusted issuers. A verified token is remembered by its hash."""

    def __init__(self, issuers: Sequence[tuple[TrustedIssuer, KeyRing]], *, max_remembered: int = MAX_REMEMBERED) -> None:
        self._issuers: Mapping[str, tuple[TrustedIssuer, KeyRing]] = {rules.issuer: (rules, ring) for rules, ring in issuers}
        if len(self._issuers) != len(issuers):
            raise ValueError("two trusted issuers have the same name")
        self._max_remembered = max_remembered
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    def start(self) -> None:
        for _, ring in self._issuers.values():
            ring.start()

    async def close(self) -> None:
        for _, ring in self._issuers.values():
            await ring.close()

    def failures(self) -> Mapping[str, str]:
        """Issuers whose keys could not be renewed, and why: for readiness."""
        return {issuer: ring.failure for issuer, (_, ring) in self._issuers.items() if ring.failure is not None}

    def recognises(self, token: str) -> bool:
        return tokens.recognises(token)

    async def verified(self, token: str, *, now_s: float) -> Grant:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is not None:
            _, ring = self._issuers[known.grant.subject.identity.issuer]
            if now_s < known.until_s and known.keys is ring.keys:
                self._remembered.move_to_end(digest)
                return known.grant
            del self._remembered[digest]
        read = tokens.read(token)
        trusted = self._issuers.get(read.issuer)
        if trusted is None:
            raise Rejected("issuer", "The token's issuer is not trusted here.")
        rules, ring = trusted
        tokens.check_header(read, rules)
        keys = await _keys_for(read, ring)
        tokens.check_signature(token, read, keys)
        expires_at_s = tokens.check_claims(read, rules, now_s=now_s)
        grant = granted(read.claims, rules, expires_at_s=expires_at_s)
        self._remembered[digest] = _Remembered(grant, keys, min(expires_at_s, now_s + REMEMBERED_S))
        if len(self._remembered) > self._max_remembered:
            self._remembered.popitem(last=False)
        return grant


@dataclass(frozen=True, slots=True)
class SurfaceAccess:
    """How one surface is entered."""

    anonymous: bool = False
    scopes: tuple[str, ...] = ()  # what a client should ask its authorization server for
    resource_metadata: str | None = None  # URL of the document that says which servers those are; None: there are none


class Front:
    """Implements `Authenticator` over a list of methods."""

    def __init__(
        self,
        methods: Sequence[Method],
        surfaces: Mapping[str, SurfaceAccess],
        *,
        end_user_header: str = "X-End-User",
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._methods = tuple(methods)
        self._surfaces = dict(surfaces)
        self._end_user_header = end_user_header
        self._clock_s = clock_s

    async def authenticate(self, presented: Presented, *, surface: str) -> Caller:
        """See the port. Whether the caller may use the surface is asked next, when it is known by name (`check_surface`)."""
        access = self._surfaces.get(surface, SurfaceAccess())
        token_sent = True
        try:
            token = bearer(presented.headers)
            token_sent = token is not None
            grant = await self._grant(token, access)
            grant = as_end_user(grant, presented.headers, header=self._end_user_header)
            if grant.subject.identity.issuer == CANARY_ISSUER:
                raise Rejected("issuer", "The token's issuer is not trusted here.")
        except Rejected as rejected:
            raise self._refusal(rejected, access, token_sent=token_sent) from rejected
        return Caller(grant.subject, grant.agent_id, presented.peer_ip, grant.surfaces, grant.expires_at_s)

    async def _grant(self, token: str | None, access: SurfaceAccess) -> Grant:
        if token is None:
            if access.anonymous:
                return Grant(ANONYMOUS)
            raise Rejected("no_credential", "Authenticate: send an Authorization header with a bearer token or an API key.")
        for method in self._methods:
            if method.recognises(token):
                return await method.verified(token, now_s=self._clock_s())
        raise Rejected("unrecognised", "This kind of token is not accepted here.")

    def _refusal(self, rejected: Rejected, access: SurfaceAccess, *, token_sent: bool) -> Refusal:
        blame_token = token_sent and rejected.cause != "keys_unavailable"  # or clients would throw a good token away
        said = challenge(
            error="invalid_token" if blame_token else None,
            description=rejected.message,
            scopes=access.scopes,
            resource_metadata=access.resource_metadata,
        )
        return Refusal(Kind.UNAUTHENTICATED, rejected.message, cause=rejected.cause, headers={"WWW-Authenticate": said})


async def _keys_for(token: Unverified, ring: KeyRing) -> KeySet:
    keys = ring.keys
    if keys is None or not tokens.has_key(token, keys):
        keys = await ring.renewed()
    if keys is None:
        raise Rejected("keys_unavailable", "The keys of the token's issuer cannot be had at the moment: try again later.")
    return keys

"""The port `Authenticator`: the first method that recognises the credential decides, and nobody is let in by default.

Without a credential a caller is anonymous where the surface says so, and refused everywhere else; a credential that was
sent and does not verify is refused on every surface. Where a token and a client certificate come together, the token names
the caller. From an address whose logins fail and fail, only what was good before is verified, and a trickle of what may be:
a stranger behind the same address must not shut out everybody else.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.adapters.certificates import Certificates
from gateway.adapters.failed_logins import UNCOUNTED, FailedLogins
from gateway.adapters.proofs import Proofs
from gateway.errors import Kind, Refusal
from gateway.identity import api_keys
from gateway.identity.api_keys import ApiKey
from gateway.identity.challenge import challenge
from gateway.identity.credential import Sent, as_end_user, sent
from gateway.identity.grant import ANONYMOUS, CANARY_ISSUER, Grant, Rejected
from gateway.model import Caller, Presented

UNBLAMED = frozenset({"keys_unavailable", "issuer_unavailable", "issuer_busy", "proofs_full"})
"""The credential may be good: clients must not throw it away."""

WITHOUT_TOKEN = frozenset({"no_credential", "client_certificate"})  # there is no token to blame (RFC 6750 3.1)

OF_THE_PROOF = frozenset({"proof", "proof_replayed", "proof_unremembered"})
WANTS_DPOP = OF_THE_PROOF | {"bound", "unbound", "proofs_full"}


Promise = Literal["known", "likely", "none"]
"""What a token promises before it is verified: it was good before, or is a key that is only compared · its issuer has a key of
the name it gives · nothing."""


class Method(Protocol):
    """One way to show who one is."""

    def recognises(self, token: str) -> bool: ...

    def promise(self, token: str, *, now_s: float) -> Promise:
        """Whether `token` is worth verifying for an address whose logins fail. Never waits."""
        ...

    async def verified(self, token: str, *, resource: str, now_s: float) -> Grant:
        """`resource`: the canonical URI of the surface it was sent to. Raises `Rejected`.

        A grant with a `confirmation` is good for nothing until that was proven, which is the caller's to check.
        """
        ...

    def still_good(self, caller: Caller, surface: str, *, now_s: float) -> bool:
        """Whether this method vouches for the credential of `caller`, its own end apart. Never waits."""
        ...


class ApiKeys:
    """The keys of workloads. `replace` puts a new set in force at once."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = api_keys.by_id(keys)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        self._keys = api_keys.by_id(keys)

    def recognises(self, token: str) -> bool:
        return api_keys.recognises(token)

    def promise(self, token: str, *, now_s: float) -> Promise:
        return "known"

    async def verified(self, token: str, *, resource: str, now_s: float) -> Grant:
        return api_keys.verified(token, self._keys, now_s=now_s)

    def still_good(self, caller: Caller, surface: str, *, now_s: float) -> bool:
        return api_keys.still_good(caller, surface, self._keys, now_s=now_s)


@dataclass(frozen=True, slots=True)
class SurfaceAccess:
    """How one surface is entered."""

    resource: str = ""  # its canonical URI, which tokens must be for
    anonymous: bool = False
    scopes: tuple[str, ...] = ()  # what a client should ask its authorization server for
    resource_metadata: str | None = None  # URL of the document that says which servers those are; None: there are none


@dataclass(frozen=True, slots=True)
class Strangers:
    """What is held ready for those who send no token, and for those who send wrong ones."""

    certificates: Certificates | None = None  # None: a certificate alone names nobody
    failed_logins: FailedLogins = field(default_factory=lambda: FailedLogins(0))


class Front:
    """Implements `Authenticator` over a list of methods."""

    def __init__(
        self,
        methods: Sequence[Method],
        surfaces: Mapping[str, SurfaceAccess],
        *,
        end_user_header: str = "X-End-User",
        proofs: Proofs | None = None,
        strangers: Strangers | None = None,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._methods = tuple(methods)
        self._surfaces = dict(surfaces)
        self._end_user_header = end_user_header
        self._proofs = proofs or Proofs()
        strangers = strangers or Strangers()
        self._certificates, self._failed_logins = strangers.certificates, strangers.failed_logins
        self._clock_s = clock_s
        self._dpop_algorithms = tuple(sorted(self._proofs.rules.algorithms))

    async def authenticate(self, presented: Presented, *, surface: str) -> Caller:
        """See the port. Whether the caller may use the surface is asked next, when it is known by name (`check_surface`)."""
        access = self._surfaces.get(surface, SurfaceAccess())
        wait_s = self._failed_logins.wait_s(presented.peer_ip)
        shown = None
        try:
            shown = sent(presented.headers)
            grant = await self._grant(shown, presented, access, limited=wait_s > 0)
            token = shown.token if shown is not None and grant.subject.authentication == "jwt" else None
            grant = as_end_user(grant, presented.headers, header=self._end_user_header)
            if grant.subject.identity.issuer == CANARY_ISSUER:
                raise Rejected("issuer", "The token's issuer is not trusted here.")
        except Rejected as rejected:
            if wait_s > 0 and rejected.cause not in UNCOUNTED:
                raise _too_many(wait_s) from rejected
            self._failed_logins.failed(presented.peer_ip, rejected.cause)
            blamed = rejected.cause not in UNBLAMED and rejected.cause not in WITHOUT_TOKEN
            raise self._refusal(rejected, access, blamed=blamed) from rejected
        return Caller(
            subject=grant.subject,
            agent_id=grant.agent_id,
            source_ip=presented.peer_ip,
            surfaces=grant.surfaces,
            expires_at_s=grant.expires_at_s,
            credential=grant.credential,
            token=token,
            dpop_algorithms=self._dpop_algorithms if grant.confirmation is not None and grant.confirmation.jkt else (),
        )

    def still_good(self, caller: Caller, surface: str) -> bool:
        """See the port. A caller without a credential stays as long as the surface lets such in."""
        if not caller.credential:
            return self._surfaces.get(surface, SurfaceAccess()).anonymous
        if self._certificates is not None and self._certificates.still_good(caller):
            return True
        return any(method.still_good(caller, surface, now_s=self._clock_s()) for method in self._methods)

    async def _grant(self, shown: Sent | None, presented: Presented, access: SurfaceAccess, *, limited: bool) -> Grant:
        if shown is None:
            if presented.certificate is not None and self._certificates is not None:
                return self._certificates.verified(presented.certificate, now_s=self._clock_s())
            if access.anonymous:
                return Grant(ANONYMOUS)
            raise Rejected("no_credential", "Authenticate: send an Authorization header with a bearer token or an API key.")
        for method in self._methods:
            if method.recognises(shown.token):
                now_s = self._clock_s()
                if limited and not self._worth(method.promise(shown.token, now_s=now_s), presented.peer_ip):
                    raise Rejected("too_many_failures", "Nothing is verified for this address at the moment.")
                grant = await method.verified(shown.token, resource=access.resource, now_s=now_s)
                self._proofs.check(grant, shown, presented, resource=access.resource, now_s=now_s)
                return grant
        raise Rejected("unrecognised", "This kind of token is not accepted here.")

    def _worth(self, promise: Promise, source_ip: str) -> bool:
        return promise == "known" or (promise == "likely" and self._failed_logins.spare(source_ip))

    def _refusal(self, rejected: Rejected, access: SurfaceAccess, *, blamed: bool) -> Refusal:
        error = "invalid_dpop_proof" if rejected.cause in OF_THE_PROOF else "invalid_token"
        algorithms = self._dpop_algorithms if self._proofs.announced or rejected.cause in WANTS_DPOP else ()
        said = challenge(
            error=error if blamed else None,
            description=rejected.message,
            scopes=access.scopes,
            resource_metadata=access.resource_metadata,
            scheme="DPoP" if rejected.cause in WANTS_DPOP else "Bearer",
            dpop_algorithms=algorithms,
        )
        return Refusal(Kind.UNAUTHENTICATED, rejected.message, cause=rejected.cause, headers={"WWW-Authenticate": said})


def _too_many(wait_s: float) -> Refusal:
    seconds = math.ceil(wait_s)
    return Refusal(
        Kind.TOO_MANY_LOGINS,
        f"Too many logins from this address have failed: come back in {seconds} s.",
        cause="too_many_failures",
        headers={"Retry-After": str(seconds)},
    )

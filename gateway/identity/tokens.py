"""JWT access tokens (RFC 9068): read without trust, verified by a trusted issuer's keys, and only then believed.

PyJWT checks the signature alone. Everything else is ours: it ignores `typ`, takes weak keys and duplicate members, and
reads the clock by itself. What the RFC wants is wanted; each departure is a setting of the issuer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.identity import jws
from gateway.identity.grant import Rejected, refuse_reserved
from gateway.identity.resource import normalised
from gateway.identity.signing_keys import ALGORITHMS, KeySet, SigningKey, candidates
from gateway.identity.workloads import TrustedWorkloads
from gateway.model import Json, JsonObject

OWN_KEY_HEADERS = ("jku", "x5u", "jwk", "x5c")  # a token that brings its key proves nothing
MAX_KID_CHARS = 256
MAX_AUDIENCES = 64

OptionalClaim = Literal["iat", "jti", "client_id"]
Dpop = Literal["accepted", "announced", "required"]
SubjectType = Literal["auto", "workload"]


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Which tokens of one issuer count, and which of their claims say what."""

    issuer: str
    audiences: frozenset[str] = frozenset()  # accepted on every surface, besides the surface's own URI
    algorithms: frozenset[str] = frozenset({"RS256", "ES256"})
    groups_claim: str = "groups"  # a member's name, or a JSON pointer ("/realm_access/roles")
    scopes_claim: str = "scope"
    agent_claim: str = "client_id"
    claims: tuple[str, ...] = ()  # further ones that policies may read
    leeway_s: float = 30.0
    any_typ: bool = False  # RFC 9068 wants `at+jwt`; not every provider says so
    optional_claims: frozenset[OptionalClaim] = frozenset()  # those a provider leaves out; `client_id` is the agent's claim
    dpop: Dpop = "accepted"
    subject_type: SubjectType = "auto"
    workloads: tuple[TrustedWorkloads, ...] = ()  # of tokens that stand for workloads: those that may come; (): every one

    def __post_init__(self) -> None:
        refuse_reserved(self.issuer)
        if "" in self.audiences:
            raise ValueError(f"issuer {self.issuer}: an audience must not be empty")
        if not self.algorithms or self.algorithms - ALGORITHMS:
            raise ValueError(f"issuer {self.issuer}: algorithms must be of {', '.join(sorted(ALGORITHMS))}")


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself. Good for finding the issuer's settings and key, and for nothing else."""

    algorithm: str
    kid: str | None
    typ: str | None
    issuer: str
    claims: JsonObject


def recognises(token: str) -> bool:
    return token.count(".") == 2


def read(token: str) -> Unverified:
    """Raises `Rejected`: not a JWS, members given twice, a critical extension, or a key of its own."""
    try:
        header, claims = jws.header_and_claims(token)
    except ValueError as error:
        raise Rejected("malformed", f"The token cannot be read: {error}.") from error
    if any(name in header for name in OWN_KEY_HEADERS):
        raise Rejected("signing_key", "The token brings or points to its own key; only the issuer's published keys count.")
    algorithm, kid, typ, issuer = header.get("alg"), header.get("kid"), header.get("typ"), claims.get("iss")
    if not isinstance(algorithm, str) or not isinstance(typ, str | None) or not isinstance(kid, str | None):
        raise Rejected("malformed", "The token's header is misshapen.")
    if kid is not None and len(kid) > MAX_KID_CHARS:
        raise Rejected("signing_key", "The token's key id is too long.")
    if not isinstance(issuer, str):
        raise Rejected("issuer", "The token names no issuer.")
    return Unverified(algorithm, kid, typ, issuer, claims)


def check_header(token: Unverified, rules: TrustedIssuer) -> None:
    """What can be refused before any key is looked for. Raises `Rejected`."""
    if token.algorithm not in rules.algorithms:
        raise Rejected("algorithm", "The token is signed with an algorithm that is not accepted from its issuer.")
    check_type(token, rules)


def check_type(token: Unverified, rules: TrustedIssuer) -> None:
    """Raises `Rejected` unless it says that it is an access token, as far as its issuer says such things."""
    typ = (token.typ or "").lower().removeprefix("application/")
    if typ == "at+jwt":
        return
    # RFC 8725 3.12: where types are not told apart by `typ`, something else must. A type that says what it is is believed.
    if not rules.any_typ or typ not in {"", "jwt"} or of_another_kind(token.claims):
        raise Rejected("type", "This is not an access token: its type must be at+jwt (an ID token does not count).")


def has_key(token: Unverified, keys: KeySet) -> bool:
    return bool(candidates(keys, kid=token.kid, algorithm=token.algorithm))


def check_signature(encoded: str, token: Unverified, keys: KeySet) -> SigningKey:
    """Which of the issuer's keys that the header can mean has signed `encoded`. Raises `Rejected`: none."""
    fitting = candidates(keys, kid=token.kid, algorithm=token.algorithm)
    if not fitting:
        raise Rejected("signing_key", "The token's signing key is not among its issuer's, or is too weak to count.")
    for key in fitting:
        if jws.signed(encoded, algorithm=token.algorithm, key=key.public):
            return key
    raise Rejected("signature", "The token's signature is wrong.")


def check_claims(token: Unverified, rules: TrustedIssuer, *, now_s: float) -> float:
    """When the token ends. Raises `Rejected` unless it is complete and valid now (RFC 9068 section 4)."""
    claims = token.claims
    if token.issuer != rules.issuer:
        raise Rejected("issuer", "The token's issuer is not trusted here.")
    for name in ("iat", "jti"):
        if name not in claims and name not in rules.optional_claims:
            raise Rejected("claims", f"The token has no {name!r} claim, which an access token must have (RFC 9068).")
    if not isinstance(claims.get("jti", ""), str):
        raise Rejected("claims", "The token's 'jti' claim must be a text.")
    expires_s, issued_s, begins_s = time_s(claims, "exp"), time_s(claims, "iat"), time_s(claims, "nbf")
    if expires_s is None:
        raise Rejected("claims", "The token has no 'exp' claim, which an access token must have (RFC 9068).")
    if now_s >= expires_s + rules.leeway_s:
        raise Rejected("expired", "The token has expired.")
    if max(issued_s or 0, begins_s or 0) > now_s + rules.leeway_s:
        raise Rejected("not_yet_valid", "The token is not valid yet; is a clock wrong?")
    return expires_s + rules.leeway_s


def audiences(claims: Mapping[str, Json]) -> frozenset[str]:
    """Whom the token is for; of URIs also the form in which surfaces are named. Raises `Rejected`."""
    named = claims.get("aud")
    several = [named] if isinstance(named, str) else named
    if not isinstance(several, list) or len(several) > MAX_AUDIENCES:
        raise Rejected("audience", "The token must say for which audience it is, as a text or a short list of texts.")
    words = [one for one in several if isinstance(one, str)]
    if len(words) != len(several):
        raise Rejected("audience", "The token must say for which audience it is, as a text or a short list of texts.")
    return frozenset({*words, *(uri for one in words if (uri := normalised(one)) is not None)})


def check_audience(named: frozenset[str], rules: TrustedIssuer, *, resource: str) -> None:
    """Raises `Rejected` unless a token for `named` may be used at `resource` (RFC 8707, RFC 9068 section 4)."""
    if resource not in named and named.isdisjoint(rules.audiences):
        raise Rejected("audience", "The token is for another audience: ask for one whose resource is the URL of this endpoint.")


def time_s(claims: Mapping[str, Json], name: str) -> float | None:
    """A claim that is a time (NumericDate); None: it is not there. Raises `Rejected`."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > jws.LATEST_S:
        raise Rejected("claims", f"The token's {name!r} claim is not a time.")
    return float(value)


def of_another_kind(claims: Mapping[str, Json]) -> bool:
    """Whether the claims are an ID or refresh token's: by OpenID Connect's hashes, and as Cognito and Keycloak say it."""
    named = claims.get("token_use") == "id" or claims.get("typ") in ("ID", "Refresh", "Offline", "Logout")
    return named or "at_hash" in claims or "c_hash" in claims

"""JWT access tokens (RFC 9068): read without trust, verified by a trusted issuer's keys, and only then believed.

PyJWT checks the signature alone. Everything else is ours: it ignores `typ`, takes weak keys and duplicate members, and
reads the clock by itself.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

import jwt
import msgspec
from jwt.api_jws import PyJWS

from gateway.identity.grant import Rejected, refuse_reserved
from gateway.identity.signing_keys import ALGORITHMS, KeySet, candidates
from gateway.model import Json, JsonObject

OWN_KEY_HEADERS = ("jku", "x5u", "jwk", "x5c")  # a token that brings its key proves nothing
MAX_KID_CHARS = 256
_LATEST_S = 2**53  # beyond it is no date


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Which tokens of one issuer count, and which of their claims say what."""

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str] = frozenset({"RS256", "ES256"})
    groups_claim: str = "groups"  # a member's name, or a JSON pointer ("/realm_access/roles")
    scopes_claim: str = "scope"
    agent_claim: str = "client_id"
    claims: tuple[str, ...] = ()  # further ones that policies may read
    leeway_s: float = 30.0
    any_typ: bool = False  # RFC 9068 wants `at+jwt`; not every provider says so
    optional_claims: frozenset[str] = frozenset()  # of `iat`, `jti` and the agent's: those a provider leaves out

    def __post_init__(self) -> None:
        refuse_reserved(self.issuer)
        if not self.audiences or "" in self.audiences:
            raise ValueError(f"issuer {self.issuer}: at least one audience is needed")
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
    header_part, claims_part, _ = token.split(".")
    header, claims = _members(header_part), _members(claims_part)
    if any(name in header for name in OWN_KEY_HEADERS):
        raise Rejected("signing_key", "The token brings or points to its own key; only the issuer's published keys count.")
    if "crit" in header:
        raise Rejected("malformed", "The token has a critical header that is not understood here.")
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
    typ = (token.typ or "").lower().removeprefix("application/")
    if not rules.any_typ and typ != "at+jwt":
        raise Rejected("type", "This is not an access token: its type must be at+jwt (an ID token does not count).")


def has_key(token: Unverified, keys: KeySet) -> bool:
    return bool(candidates(keys, kid=token.kid, algorithm=token.algorithm))


def check_signature(encoded: str, token: Unverified, keys: KeySet) -> None:
    """Raises `Rejected` unless one of the issuer's keys that the header can mean has signed `encoded`."""
    fitting = candidates(keys, kid=token.kid, algorithm=token.algorithm)
    if not fitting:
        raise Rejected("signing_key", "The token's signing key is not among its issuer's, or is too weak to count.")
    jws = PyJWS(algorithms=[token.algorithm])
    for key in fitting:
        try:
            jws.decode_complete(encoded, key.public, algorithms=[token.algorithm])
        except jwt.PyJWTError:
            continue
        return
    raise Rejected("signature", "The token's signature is wrong.")


def check_claims(token: Unverified, rules: TrustedIssuer, *, now_s: float) -> float:
    """When the token ends. Raises `Rejected` unless it is for us, and valid now (RFC 9068 section 4)."""
    claims = token.claims
    if token.issuer != rules.issuer:
        raise Rejected("issuer", "The token's issuer is not trusted here.")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not any(one in rules.audiences for one in audiences if isinstance(one, str)):
        raise Rejected("audience", "The token is for another audience: ask for one whose audience is this gateway.")
    for name in {"iat", "jti", rules.agent_claim} - rules.optional_claims:
        if name not in claims:
            raise Rejected("claims", f"The token has no {name!r} claim, which an access token must have (RFC 9068).")
    expires_s, issued_s, begins_s = _time_s(claims, "exp"), _time_s(claims, "iat"), _time_s(claims, "nbf")
    if expires_s is None:
        raise Rejected("claims", "The token has no 'exp' claim, which an access token must have (RFC 9068).")
    if now_s >= expires_s + rules.leeway_s:
        raise Rejected("expired", "The token has expired.")
    if max(issued_s or 0, begins_s or 0) > now_s + rules.leeway_s:
        raise Rejected("not_yet_valid", "The token is not valid yet; is a clock wrong?")
    if "cnf" in claims:
        raise Rejected("bound", "The token is bound to a key, and such proofs are not checked here yet.")
    return expires_s + rules.leeway_s


def _members(part: str) -> JsonObject:
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        msgspec.json.decode(decoded)  # strict: no NaN, no lone surrogate, no number that is none; but the last twin wins
        members = json.loads(decoded, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Rejected("malformed", "The token cannot be read: it must be a signed JWT.") from error
    if not isinstance(members, dict):
        raise Rejected("malformed", "The token cannot be read: it must be a signed JWT.")
    return members


def _once(pairs: list[tuple[str, Json]]) -> JsonObject:
    """Members given twice are read one way by one parser and the other way by the next."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _time_s(claims: Mapping[str, Json], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LATEST_S:
        raise Rejected("claims", f"The token's {name!r} claim is not a time.")
    return float(value)

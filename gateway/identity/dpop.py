"""DPoP proofs (RFC 9449): whoever sends a bound token shows, for this one request, that it holds the token's key.

Pure: that a proof was not seen before is for whoever remembers them. The numbers are those of section 4.3.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.identity import jws
from gateway.identity.binding import digest
from gateway.identity.grant import Rejected
from gateway.identity.resource import normalised
from gateway.identity.signing_keys import ALGORITHMS, UNFIT, PublicKey, public_key
from gateway.model import Json, JsonObject

HEADER = "dpop"
MAX_PROOF_BYTES = 8 * 1024
MAX_JTI_CHARS = 256
MAX_KEY_CHARS = 1024  # of one member of the key: RSA of 6,144 bits; the sender chooses it, and we verify with it
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
THUMBPRINT_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}


@dataclass(frozen=True, slots=True)
class ProofRules:
    """Which proofs count."""

    algorithms: frozenset[str] = frozenset({"ES256", "ES384", "EdDSA", "PS256", "RS256"})
    window_s: float = 60.0  # a proof's age, and how far the sender's clock may be ahead

    def __post_init__(self) -> None:
        if not self.algorithms or self.algorithms - ALGORITHMS:
            raise ValueError(f"algorithms must be of {', '.join(sorted(ALGORITHMS))}")


@dataclass(frozen=True, slots=True)
class Proven:
    """What the proof must be for."""

    method: str
    resource: str  # the surface's canonical URI
    token: str
    jkt: str  # thumbprint of the key that the token is bound to


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that holds, if it was not seen before."""

    jti: str
    jkt: str
    issued_s: float  # by the sender's clock


def proof_sent(headers: Sequence[tuple[str, str]]) -> str:
    """The one proof of a request (check 1). Raises `Rejected`."""
    sent = [value for name, value in headers if name.lower() == HEADER]
    if len(sent) != 1:
        raise Rejected("proof", "The token is bound to a key: send exactly one DPoP header with a proof.")
    return sent[0]


def verified(encoded: str, proven: Proven, rules: ProofRules, *, now_s: float) -> Proof:
    """Raises `Rejected`, with the check that failed in its message."""
    if len(encoded) > MAX_PROOF_BYTES:
        raise _bad(f"it is longer than {MAX_PROOF_BYTES} bytes")
    try:
        header, claims = jws.header_and_claims(encoded)  # 2
    except ValueError as error:
        raise _bad(str(error)) from error
    jti, issued_s = _required(claims)  # 3
    if header.get("typ") != "dpop+jwt":  # 4
        raise _bad("its type must be dpop+jwt")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in rules.algorithms:  # 5
        raise _bad("it is signed with an algorithm that is not accepted")
    jwk = header.get("jwk")
    if not isinstance(jwk, dict) or not PRIVATE_MEMBERS.isdisjoint(jwk):  # 7
        raise _bad("it must hold the public key, and only the public one, in its header")
    # 12.2, early: a key of the sender's choice is not even tried unless the token is bound to it
    if not hmac.compare_digest(thumbprint(jwk), proven.jkt):
        raise _bad("it is signed with another key than the token is bound to")
    if not jws.signed(encoded, algorithm=algorithm, key=_key(jwk, algorithm)):  # 6
        raise _bad("its signature is wrong")
    if claims.get("htm") != proven.method:  # 8
        raise _bad("it is for another HTTP method")
    if _uri(claims.get("htu")) != proven.resource:  # 9
        raise _bad("it is for another URL: it must name this endpoint's own")
    if not abs(now_s - issued_s) <= rules.window_s:  # 11
        raise _bad(f"it is older or newer than {rules.window_s:g} s; is a clock wrong?")
    if claims.get("ath") != digest(proven.token.encode()):  # 12.1
        raise _bad("it is for another token")
    return Proof(jti, proven.jkt, issued_s)


def thumbprint(jwk: JsonObject) -> str:
    """SHA-256 of the members that make the key (RFC 7638). Raises `Rejected`: not a public key of a known type."""
    kind = jwk.get("kty")
    names = THUMBPRINT_MEMBERS.get(kind, ()) if isinstance(kind, str) else ()
    members = {name: jwk.get(name) for name in names}
    if not members or not all(isinstance(value, str) and len(value) <= MAX_KEY_CHARS for value in members.values()):
        raise _bad("it must hold a public key in its header (EC, OKP or RSA)")
    return digest(json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode())


def _required(claims: Mapping[str, Json]) -> tuple[str, float]:
    jti, issued_s = claims.get("jti"), claims.get("iat")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARS:
        raise _bad(f"it needs a `jti` of at most {MAX_JTI_CHARS} characters")
    if isinstance(issued_s, bool) or not isinstance(issued_s, int | float) or abs(issued_s) > jws.LATEST_S:
        raise _bad("it needs an `iat` that is a time")
    return jti, float(issued_s)


def _key(jwk: JsonObject, algorithm: str) -> PublicKey:
    try:
        public, able = public_key(dict(jwk))
    except UNFIT as error:
        raise _bad("its key is not fit: too weak, of an unknown kind, or misshapen") from error
    if algorithm not in able:
        raise _bad("its key is of another kind than its algorithm")
    return public


def _uri(htu: Json) -> str | None:
    """`htu` in its normal form, less query and fragment."""
    return normalised(htu.partition("#")[0].partition("?")[0]) if isinstance(htu, str) else None


def _bad(why: str) -> Rejected:
    return Rejected("proof", f"The DPoP proof does not hold: {why}.")

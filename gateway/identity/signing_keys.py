"""An issuer's public keys, read from a JWK Set (RFC 7517): only those that are fit to verify an access token.

What is unfit is left out and named for the operator; it never verifies anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

MIN_RSA_BITS = 2048  # RFC 7518 3.3; PyJWT takes 1024
MAX_KEYS = 64  # of one issuer; more is not a key set but an attack or a mistake

UNFIT = (ValueError, TypeError, KeyError, jwt.InvalidKeyError)  # what reading a key raises when it is not fit

_CURVES: Mapping[str, frozenset[str]] = {
    "secp256r1": frozenset({"ES256"}),
    "secp384r1": frozenset({"ES384"}),
    "secp521r1": frozenset({"ES512"}),
}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str | None
    algorithms: frozenset[str]  # that this key may verify
    public: PublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """The fit keys, and a line for each unfit one. `digest` tells one set from the next."""

    keys: tuple[SigningKey, ...]
    unfit: tuple[str, ...]
    digest: str


class BadKeySet(Exception):
    """Not a JWK Set with at least one fit key."""


def read_key_set(document: bytes, *, digest: str) -> KeySet:
    """The keys in `document`. Raises `BadKeySet`."""
    try:
        decoded = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadKeySet("not JSON") from error
    entries = decoded.get("keys") if isinstance(decoded, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise BadKeySet(f"not a JWK Set: it needs `keys`, a list of at most {MAX_KEYS}")
    keys: list[SigningKey] = []
    unfit: list[str] = []
    for position, entry in enumerate(entries):
        try:
            keys.append(_read_key(entry))
        except UNFIT as error:
            unfit.append(f"key {position}: {error}")
    if not keys:
        raise BadKeySet("no key in it is fit to verify tokens" + "".join(f"; {line}" for line in unfit[:4]))
    return KeySet(tuple(keys), tuple(unfit), digest)


def candidates(keys: KeySet, *, kid: str | None, algorithm: str) -> tuple[SigningKey, ...]:
    """The keys that may have signed a token with this header. One without `kid` fits only where a single key can be meant."""
    fitting = tuple(key for key in keys.keys if algorithm in key.algorithms)
    if kid is not None:
        return tuple(key for key in fitting if key.kid == kid)
    return fitting if len(fitting) == 1 else ()


def _read_key(entry: object) -> SigningKey:
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
        raise ValueError("not for verifying signatures")
    if "d" in entry or "k" in entry:
        raise ValueError("a private or symmetric key, which an issuer must never publish")
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("`kid` is not a string")
    public, able = public_key(entry)
    named = entry.get("alg")
    if named is not None and named not in able:
        raise ValueError("`alg` does not fit the key")
    return SigningKey(kid, able if named is None else frozenset({str(named)}), public)


def public_key(entry: dict[str, object]) -> tuple[PublicKey, frozenset[str]]:
    """The key that a JWK holds, and the algorithms it may verify. Raises what `UNFIT` names."""
    match entry.get("kty"):
        case "RSA":
            public = RSAAlgorithm.from_jwk(entry)
            assert isinstance(public, RSAPublicKey)
            if public.key_size < MIN_RSA_BITS:
                raise ValueError(f"an RSA key of {public.key_size} bits; {MIN_RSA_BITS} are the least")
            return public, _RSA
        case "EC":
            curve = ECAlgorithm.from_jwk(entry)
            assert isinstance(curve, EllipticCurvePublicKey)
            if curve.curve.name not in _CURVES:
                raise ValueError(f"the curve {curve.curve.name} is not used for tokens")
            return curve, _CURVES[curve.curve.name]
        case "OKP":
            edwards = OKPAlgorithm.from_jwk(entry)
            if not isinstance(edwards, Ed25519PublicKey | Ed448PublicKey):
                raise ValueError("not an Edwards curve")
            return edwards, frozenset({"EdDSA"})
        case _:
            raise ValueError("`kty` must be RSA, EC or OKP")


ALGORITHMS: frozenset[str] = frozenset(get_args(Algorithm))

"""Whether a bundle is signed by somebody who may, when, and exactly for these bytes. Anything else is no signature.

The form is OPA's (.signatures.json: one JWT with the hash of each file), so that an OPA can verify the same bundle. OPA hashes
what a data file says, not how it is written; two readers of YAML may differ in that. So the claim `contents`, which our
`policy build` adds, counts here: the SHA-256 of every name and byte.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.api_jws import PyJWS
from jwt.utils import der_to_raw_signature

from gateway.model import JsonObject
from gateway.policy.bundle import MANIFEST, BadBundle, Bundle, digest

CONTENTS = "contents"  # our claim
SKEW_S = 60.0  # a signature from further in the future is none
MIN_RSA_BITS = 2048  # RFC 7518 3.3

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "secp256r1": ("ES256", hashes.SHA256()),
    "secp384r1": ("ES384", hashes.SHA384()),
    "secp521r1": ("ES512", hashes.SHA512()),
}
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")  # all that OPA signs with


class BadKey(ValueError):
    """The file holds no key that is fit for bundles; the message says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that may sign, or might once. `algorithms`: what it is used with, by its kind and nothing else."""

    id: str
    public: PublicKey
    algorithms: tuple[str, ...]
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures count, and for how long."""

    keys: Sequence[Key]
    max_age_s: float | None = None
    facts_max_age_s: float | None = None  # of facts that come apart; None: the same

    def of_facts(self) -> "Trust":
        """The same for a bundle of facts."""
        return replace(self, max_age_s=self.max_age_s if self.facts_max_age_s is None else self.facts_max_age_s)


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that counts."""

    key: str
    signed_s: float  # Unix time
    expires_s: float | None  # from then on it counts no more


class _Claims(msgspec.Struct):
    iat: float
    contents: str
    keyid: str


class _Signatures(msgspec.Struct):
    signatures: list[str]


def public_key(pem: bytes) -> tuple[PublicKey, tuple[str, ...]]:
    """The key in a PEM file and what it is used with. Raises `BadKey`."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("holds no public key in PEM (openssl pkey -in private.pem -pubout)") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise BadKey("holds a key of a kind that OPA does not sign with: use RSA or an elliptic curve (P-256, P-384, P-521)")
    return key, _algorithms(key)


def private_key(pem: bytes) -> PrivateKey:
    """Raises `BadKey`."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("holds no private key in PEM without a password") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise BadKey("holds a key of a kind that OPA does not sign with: use RSA or an elliptic curve (P-256, P-384, P-521)")
    _algorithms(key.public_key())
    return key


def verified(bundle: Bundle, trust: Trust, now_s: float) -> Signed:
    """The signature of `bundle`. Raises `BadBundle` unless it is whole, by a key that counts now, in time, for these bytes."""
    if bundle.signatures is None:
        raise BadBundle("is not signed, and policy.require_signed is set")
    try:
        encoded = msgspec.json.decode(bundle.signatures, type=_Signatures).signatures
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBundle("has a .signatures.json that cannot be read") from error
    if len(encoded) != 1:
        raise BadBundle(f"has {len(encoded)} signatures; OPA's form is exactly one")
    key, claims = _proved(encoded[0], trust)
    files = dict(bundle.files) | ({MANIFEST: bundle.manifest} if bundle.manifest is not None else {})
    if claims.contents != digest(files):
        raise BadBundle("is not what was signed: a file was changed, added or left out since")
    if claims.iat > now_s + SKEW_S:
        raise BadBundle("was signed in the future: one of two clocks is wrong")
    expires_s = claims.iat + trust.max_age_s if trust.max_age_s is not None else None
    if expires_s is not None and now_s >= expires_s:
        raise BadBundle(f"was signed {now_s - claims.iat:.0f} s ago, and decides for {trust.max_age_s:g} s at most")
    return Signed(key.id, claims.iat, expires_s)


def signature(key: PrivateKey, claims: JsonObject) -> bytes:
    """A .signatures.json that says `claims`: the same bytes for the same key and claims (RFC 6979 for curves)."""
    algorithm = _algorithms(key.public_key())[0]
    header = msgspec.json.encode({"alg": algorithm, "typ": "JWT"})
    to_sign = _base64url(header) + b"." + _base64url(msgspec.json.encode(claims, order="sorted"))
    if isinstance(key, rsa.RSAPrivateKey):
        made = key.sign(to_sign, padding.PKCS1v15(), hashes.SHA256())
    else:
        der = key.sign(to_sign, ec.ECDSA(_CURVES[key.curve.name][1], deterministic_signing=True))
        made = der_to_raw_signature(der, key.curve)
    return msgspec.json.encode({"signatures": [(to_sign + b"." + _base64url(made)).decode()]})


def _proved(encoded: str, trust: Trust) -> tuple[Key, _Claims]:
    """The claims, and the key that has really signed them."""
    try:
        # Unverified: it only names the key to try. What it says counts once that key's signature holds.
        named = msgspec.json.decode(_payload(encoded), type=_Claims)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadBundle("has a signature without keyid, iat and contents: sign it with `mcp-gateway policy build`") from error
    key = next((each for each in trust.keys if each.id == named.keyid), None)
    if key is None:
        raise BadBundle("is signed with a key that policy.require_signed does not know")
    if key.revoked:
        raise BadBundle(f"is signed with the key {key.id!r}, which is revoked")
    try:
        proved = PyJWS(algorithms=list(key.algorithms)).decode_complete(encoded, key.public, algorithms=list(key.algorithms))
    except (jwt.PyJWTError, ValueError, RecursionError) as error:  # of a header that anybody can write
        raise BadBundle(f"has a signature that the key {key.id!r} did not make") from error
    if "crit" in proved["header"] or "b64" in proved["header"]:
        raise BadBundle("has a signature with a critical header that is not understood here")
    return key, msgspec.json.decode(proved["payload"], type=_Claims)


def _payload(encoded: str) -> bytes:
    parts = encoded.split(".")
    if len(parts) != 3:
        raise ValueError("no JWT")
    return base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))


def _base64url(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _algorithms(key: PublicKey) -> tuple[str, ...]:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise BadKey(f"holds an RSA key of {key.key_size} bits; {MIN_RSA_BITS} are the least")
        return _RSA
    if key.curve.name not in _CURVES:
        raise BadKey(f"holds a key on the curve {key.curve.name}, which OPA does not sign with: use P-256, P-384 or P-521")
    return (_CURVES[key.curve.name][0],)

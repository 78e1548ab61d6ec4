"""The gateway's own keys: what it signs assertions with, and the public halves that it shows.

A key is named by its thumbprint (RFC 7638), so that the same key has the same name in every process that reads its file.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from gateway.model import Json, JsonObject

MIN_RSA_BITS: Final = 2048
MAX_KEYS: Final = 16

_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_SHA256: Final = SHA256()
_ECDSA: Final = ECDSA(_SHA256)
_THUMBED: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}

Private: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key and the one algorithm that it signs with."""

    algorithm: Literal["ES256", "EdDSA", "RS256"]
    private: Private = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that others verify with its public half, which they find by its name."""

    kid: str
    key: PrivateKey
    jwk: JsonObject  # public


def read_keys(pem: str) -> tuple[PrivateKey, ...]:
    """Every key in `pem`, in its order. Raises `ValueError`, which shows nothing of what was read."""
    found = tuple(_read(each) for each in _PEM.findall(pem))
    if not found:
        raise ValueError("it holds no private key in PEM (PKCS #8), without a passphrase")
    if len(found) > MAX_KEYS:
        raise ValueError(f"it holds more than {MAX_KEYS} keys")
    return found


def signing_key(key: PrivateKey) -> SigningKey:
    """Raises `ValueError` for a key that is not made for assertions: one is signed for every request."""
    private = key.private
    if isinstance(private, RSAPrivateKey):
        raise ValueError("assertions are signed with EC P-256 or Ed25519 keys; RSA would cost twenty times as much")
    public = (
        ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        if isinstance(private, EllipticCurvePrivateKey)
        else OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    )
    thumbed = json.dumps({name: public[name] for name in _THUMBED[public["kty"]]}, separators=(",", ":"), sort_keys=True)
    kid = _base64url(hashlib.sha256(thumbed.encode()).digest()).decode()
    return SigningKey(kid, key, {**public, "kid": kid, "alg": key.algorithm, "use": "sig"})


def key_set(keys: Iterable[SigningKey]) -> JsonObject:
    """A JWK Set of the public halves."""
    by_name = {each.kid: each.jwk for each in keys}
    return {"keys": [*by_name.values()]}


def signed(claims: Mapping[str, Json], key: PrivateKey, *, typ: str, kid: str | None = None) -> str:
    """A JWS in its compact form (RFC 7515 3.1). By hand, since PyJWT takes twice as long for it as the signature itself."""
    header = {"alg": key.algorithm, "typ": typ} if kid is None else {"alg": key.algorithm, "typ": typ, "kid": kid}
    message = _base64url(msgspec.json.encode(header)) + b"." + _base64url(msgspec.json.encode(claims))
    return (message + b"." + _base64url(_signature(message, key.private))).decode()


def _signature(message: bytes, private: Private) -> bytes:
    if isinstance(private, Ed25519PrivateKey):
        return private.sign(message)
    if isinstance(private, RSAPrivateKey):
        return private.sign(message, PKCS1v15(), _SHA256)
    r, s = decode_dss_signature(private.sign(message, _ECDSA))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")  # RFC 7518 3.4


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _read(pem: str) -> PrivateKey:
    try:
        private = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("it holds a private key that cannot be read: PKCS #8 in PEM, without a passphrase, is") from error
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return PrivateKey("ES256", private)
    if isinstance(private, Ed25519PrivateKey):
        return PrivateKey("EdDSA", private)
    if isinstance(private, RSAPrivateKey) and private.key_size >= MIN_RSA_BITS:
        return PrivateKey("RS256", private)
    raise ValueError(f"it holds a private key of another kind than EC P-256, Ed25519 or RSA of {MIN_RSA_BITS} bits or more")

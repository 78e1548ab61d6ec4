"""Makes DPoP proofs, right and wrong ones, with keys made when the test runs."""

import base64
import hashlib
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def public_jwk(key: Key) -> dict[str, Any]:
    match key:
        case rsa.RSAPrivateKey():
            jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in jwk.items() if name in {"kty", "crv", "x", "y", "n", "e"}}


def sha256(shown: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(shown).digest()).rstrip(b"=").decode()


def jkt(key: Key) -> str:
    return sha256(json.dumps(public_jwk(key), sort_keys=True, separators=(",", ":")).encode())


def proof(
    key: Key, claims: dict[str, Any], alg: str = "ES256", header: dict[str, Any] | None = None, signer: Key | None = None
) -> str:
    """Signed by `key`, or by `signer` in its name."""
    headers = {"typ": "dpop+jwt", "jwk": public_jwk(key), **(header or {})}
    return jwt.encode(claims, signer or key, algorithm=alg, headers=headers)

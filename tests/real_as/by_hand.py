"""A client of the tests' own, for what the official one does not do: proofs of possession (RFC 9449) and ID tokens."""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.flows.running import PATIENCE_S
from tests.real_as.conftest import Town
from tests.real_as.person import REDIRECT_URI, Person


class Prover:
    """A key, and proofs that one has it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = {
            name: value for name, value in json.loads(ECAlgorithm.to_jwk(self._key.public_key())).items() if name != "key_ops"
        }

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        told: dict[str, Any] = {"htm": method, "htu": url, "iat": int(time.time()), "jti": secrets.token_urlsafe(16)}
        if token is not None:
            told["ath"] = _digest(token)
        return jwt.encode(told, self._key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": self._public})


def logged_in(town: Town, name: str, resource: str, scope: str, prover: Prover | None = None) -> dict[str, Any]:
    """Registers a client, logs a person in with PKCE, and gives the token endpoint's answer."""

    async def main() -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            return await _login(town.provider.metadata, Person(name), resource, scope, prover)

    return asyncio.run(main())


async def _login(metadata: dict[str, Any], person: Person, resource: str, scope: str, prover: Prover | None) -> dict[str, Any]:
    verifier = secrets.token_urlsafe(48)
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as http:
        told = {"redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none", "application_type": "native"}
        client = (await http.post(metadata["registration_endpoint"], json=told)).json()
        asked = {
            "response_type": "code",
            "client_id": client["client_id"],
            "redirect_uri": REDIRECT_URI,
            "scope": scope,
            "resource": resource,
            "state": secrets.token_urlsafe(16),
            "code_challenge": _digest(verifier),
            "code_challenge_method": "S256",
        }
        await person.visit(f"{metadata['authorization_endpoint']}?{urlencode(asked)}")
        form = {
            "grant_type": "authorization_code",
            "code": (await person.back()).code,
            "redirect_uri": REDIRECT_URI,
            "client_id": client["client_id"],
            "code_verifier": verifier,
            "resource": resource,
        }
        headers = {"DPoP": prover.proof("POST", metadata["token_endpoint"])} if prover else {}
        answer = await http.post(metadata["token_endpoint"], data=form, headers=headers)
    await person.close()
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

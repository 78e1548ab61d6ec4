"""An issuer of access tokens with a key of its own, known to the gateway by a file."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ISSUER = "https://id.example.com"
AUDIENCE = "https://gateway.example.com/mcp"


class Issuer:
    """Signs what it is told to, right or wrong."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.jwks = folder / "jwks.json"
        public = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        self.jwks.write_text(json.dumps({"keys": [{**public, "kid": "k", "alg": "ES256", "use": "sig"}]}))

    @property
    def setting(self) -> dict[str, Any]:
        return {"issuer": ISSUER, "audience": [AUDIENCE], "algorithms": ["ES256"], "jwks_file": str(self.jwks)}

    @staticmethod
    def now_s() -> int:
        return int(time.time())

    def token(self, subject: str, **claims: Any) -> str:
        now = int(time.time())
        told = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "client_id": "agent",
            "iat": now,
            "exp": now + 600,
            "jti": f"{subject}-{now}",
            **claims,
        }
        return jwt.encode(told, self._key, algorithm="ES256", headers={"kid": "k", "typ": "at+jwt"})

"""What it costs to know who asks: credentials of each kind at the authenticator itself, without a request around them.

Part of `make bench`; alone: `python -m bench.credentials`. In microseconds of one process, by batches.
"""

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.adapters.access_tokens import AccessTokens
from gateway.adapters.authenticator import ApiKeys, Front, SurfaceAccess
from gateway.adapters.fetching import Document
from gateway.adapters.jwks import KeyRing
from gateway.identity.api_keys import ApiKey, issued
from gateway.identity.binding import digest
from gateway.identity.dpop import thumbprint
from gateway.identity.tokens import TrustedIssuer
from gateway.model import Presented

ISSUER = "https://id.example.com"
RESOURCE = "https://mcp.example.com/mcp"
BATCHES = 40
Headers = list[tuple[str, str]]
JTI = itertools.count()


class Published:
    """The issuer's keys, which never change."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)

    async def read(self) -> Document:
        return Document(json.dumps({"keys": [{**self._jwk, "kid": "k"}]}).encode())

    async def close(self) -> None:
        return


async def measured() -> list[dict[str, Any]]:
    """One row for each kind of credential."""
    signer, holder = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(holder.public_key(), as_dict=True)
    now_s = int(time.time())

    def token(**more: Any) -> str:
        claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "cursor", "scope": "mcp:read mcp:write"}
        whole = {**claims, "groups": ["devs", "ops"], "iat": now_s, "exp": now_s + 600, "jti": str(next(JTI)), **more}
        return jwt.encode(whole, signer, algorithm="RS256", headers={"typ": "at+jwt", "kid": "k"})

    def proven(bound: str) -> Headers:
        claims = {"jti": str(next(JTI)), "htm": "POST", "htu": RESOURCE, "iat": now_s, "ath": digest(bound.encode())}
        proof = jwt.encode(claims, holder, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": jwk})
        return [("authorization", f"DPoP {bound}"), ("dpop", proof)]

    key, sha256 = issued("bench", bytes(range(32)))
    tokens = AccessTokens([(TrustedIssuer(ISSUER), KeyRing(Published(signer)))])
    front = Front([ApiKeys([ApiKey("bench", bytes.fromhex(sha256), "bench")]), tokens], {"default": SurfaceAccess(RESOURCE)})
    tokens.start()
    one, bound = token(), token(cnf={"jkt": thumbprint(jwk)})
    await front.authenticate(Presented([("authorization", f"Bearer {one}")], "POST", "127.0.0.1"), surface="default")
    kinds: dict[str, tuple[int, Callable[[], Headers]]] = {
        "api_key": (500, lambda: [("authorization", f"Bearer {key}")]),
        "token_remembered": (500, lambda: [("authorization", f"Bearer {one}")]),
        "token_cold": (25, lambda: [("authorization", f"Bearer {token()}")]),
        "token_bound": (25, lambda: proven(bound)),  # remembered, with a new proof each time
    }
    rows = []
    for name, (count, make) in kinds.items():
        rows.append(await row(name, front, [[make() for _ in range(count)] for _ in range(BATCHES)]))
    await tokens.close()
    return rows


async def row(name: str, front: Front, batches: list[list[Headers]]) -> dict[str, Any]:
    taken_us: list[float] = []
    for batch in batches:
        presented = [Presented(headers, "POST", "127.0.0.1") for headers in batch]
        began_ns = time.perf_counter_ns()
        for each in presented:
            await front.authenticate(each, surface="default")
        taken_us.append((time.perf_counter_ns() - began_ns) / 1e3 / len(batch))
    return {"name": name, "p50_us": round(statistics.median(taken_us), 1), "best_us": round(min(taken_us), 1)}


def line(each: dict[str, Any]) -> str:
    return f"{each['name']:18} {each['p50_us']:8.1f} µs   (best {each['best_us']:.1f} µs)"


if __name__ == "__main__":
    for found in asyncio.run(measured()):
        print(line(found))

"""Each proof counts once, what cannot be remembered is not accepted, and a bound token is good only with its proof."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.adapters.access_tokens import AccessTokens
from gateway.adapters.authenticator import ApiKeys, Front, SurfaceAccess
from gateway.adapters.fetching import Document
from gateway.adapters.jwks import KeyRing
from gateway.adapters.proofs import ProofBounds, ProofMemory, Proofs
from gateway.errors import Kind, Refusal
from gateway.identity.api_keys import ApiKey, issued
from gateway.identity.dpop import Proof, ProofRules
from gateway.identity.grant import Rejected
from gateway.identity.tokens import TrustedIssuer
from gateway.model import Presented
from tests.identity.proving import jkt, proof, public_jwk, sha256

KEEP_S = 120.0


def _memory(in_all: int = 100, per_key: int = 100) -> ProofMemory:
    return ProofMemory(keep_s=KEEP_S, bounds=ProofBounds(in_all, per_key))


def _cause(memory: ProofMemory, jti: str, jkt: str = "k", now_s: float = 0.0) -> str | None:
    try:
        memory.remember(Proof(jti, jkt, 0.0), now_s=now_s)
    except Rejected as rejected:
        return rejected.cause
    return None


def test_a_proof_counts_once_for_as_long_as_it_could_be_shown_again() -> None:
    memory = _memory()
    moments_s = (0.0, 0.0, 60.0, KEEP_S, KEEP_S + 0.1)
    assert [_cause(memory, "a", now_s=now_s) for now_s in moments_s] == [None, *["proof_replayed"] * 3, None]


def test_the_same_name_by_another_key_is_another_proof() -> None:
    memory = _memory()
    assert [_cause(memory, "a", jkt) for jkt in ("k", "l", "k")] == [None, None, "proof_replayed"]


def test_one_key_cannot_take_the_room_of_all() -> None:
    memory = _memory(in_all=100, per_key=3)
    assert [_cause(memory, str(n), "greedy") for n in range(5)] == [None, None, None, "proofs_full", "proofs_full"]
    assert _cause(memory, "0", "modest") is None


def test_a_full_memory_refuses_and_heals() -> None:
    memory = _memory(in_all=2)
    assert [_cause(memory, str(n), str(n)) for n in range(3)] == [None, None, "proofs_full"]
    assert _cause(memory, "0", "0") == "proof_replayed"
    assert (_cause(memory, "9", "9", now_s=KEEP_S + 1), len(memory)) == (None, 1)


def test_nothing_is_left_of_what_is_over() -> None:
    memory = _memory()
    for number in range(50):
        memory.remember(Proof(str(number), str(number % 7), 0.0), now_s=number)
    memory.remember(Proof("last", "last", 0.0), now_s=10_000.0)
    assert (len(memory), dict(memory._of_key)) == (1, {"last": 1})


def test_a_clock_that_goes_back_lets_nothing_pass_twice() -> None:
    memory = _memory()
    assert _cause(memory, "a", now_s=1000.0) is None
    assert _cause(memory, "b", now_s=900.0) is None
    with pytest.raises(Rejected, match="used before"):
        memory.remember(Proof("a", "k", 0.0), now_s=900.0)


# --- at the front -------------------------------------------------------------------------------------------------------

NOW_S = 1_800_000_000
ISSUER = "https://id.example.com"
RESOURCE = "https://mcp.example.com/mcp"
METADATA = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
SURFACES = {"default": SurfaceAccess(RESOURCE, scopes=("mcp:read",), resource_metadata=METADATA)}
SIGNER, FORGER, HOLDER, THIEF = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
KEY, SHA256 = issued("bot1", bytes(range(32)))
CERTIFICATE = b"a certificate that the listener has verified"


class _Published:
    """The issuer's keys, which never change."""

    async def read(self) -> Document:
        return Document(json.dumps({"keys": [{**public_jwk(SIGNER), "kid": "k"}]}).encode())

    async def close(self) -> None:
        return


@asynccontextmanager
async def _front(proofs: Proofs | None = None) -> AsyncGenerator[Front, None]:
    tokens = AccessTokens([(TrustedIssuer(ISSUER), KeyRing(_Published()))])
    tokens.start()
    try:
        keys = ApiKeys([ApiKey("bot1", bytes.fromhex(SHA256), "bot")])
        async with asyncio.timeout(15):
            yield Front([keys, tokens], SURFACES, proofs=proofs, clock_s=lambda: NOW_S)
    finally:
        await tokens.close()


def _token(key: ec.EllipticCurvePrivateKey = SIGNER, **more: Any) -> str:
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "cursor", "jti": "1", "iat": NOW_S, "exp": NOW_S + 600}
    return jwt.encode({**claims, **more}, key, algorithm="ES256", headers={"typ": "at+jwt", "kid": "k"})


def _proof(token: str, key: ec.EllipticCurvePrivateKey = HOLDER, **more: Any) -> str:
    claims = {"jti": secrets.token_hex(8), "htm": "POST", "htu": RESOURCE, "iat": NOW_S, "ath": sha256(token.encode())}
    return proof(key, {**claims, **more})


async def _shown(front: Front, *headers: tuple[str, str], method: str = "POST", certificate: bytes | None = None) -> str:
    """The name of who is let in, or the cause of the refusal and the challenge up to its description."""
    try:
        caller = await front.authenticate(Presented(headers, method, "192.0.2.7", certificate), surface="default")
    except Refusal as refusal:
        assert refusal.kind is Kind.UNAUTHENTICATED
        assert not any(
            value.partition(" ")[2][:40] in str(refusal) + str(refusal.headers) for _, value in headers if " " in value
        )
        return f"{refusal.cause}: " + refusal.headers["WWW-Authenticate"].split(", error_description")[0]
    return caller.subject.identity.id


def test_a_bound_token_is_good_only_with_a_fresh_proof_of_its_key() -> None:
    async def main() -> None:
        async with _front() as front:
            token = _token(cnf={"jkt": jkt(HOLDER)})
            bound, once = ("authorization", f"DPoP {token}"), ("dpop", _proof(token))
            assert await _shown(front, bound, once) == "alice"
            assert await _shown(front, bound, ("DPoP", _proof(token))) == "alice", "and again, with another one"
            bad = 'proof: DPoP error="invalid_dpop_proof"'
            assert await _shown(front, bound, once) == 'proof_replayed: DPoP error="invalid_dpop_proof"'
            assert await _shown(front, bound) == bad
            assert await _shown(front, bound, ("dpop", _proof(token)), ("dpop", _proof(token))) == bad
            assert await _shown(front, bound, ("dpop", _proof(token, THIEF))) == bad
            assert await _shown(front, bound, ("dpop", _proof(token)), method="GET") == bad
            assert await _shown(front, bound, ("dpop", _proof(token, htu=RESOURCE + "/open"))) == bad
            assert await _shown(front, bound, ("dpop", _proof("another.bound.token"))) == bad
            stolen = ("authorization", f"Bearer {token}")
            for headers in ([stolen], [stolen, ("dpop", _proof(token))]):
                assert await _shown(front, *headers) == 'bound: DPoP error="invalid_token"'

    asyncio.run(main())


def test_whoever_believes_to_be_protected_by_a_proof_and_is_not_is_told() -> None:
    async def main() -> None:
        async with _front() as front:
            token = _token()
            for credential in (token, KEY):
                headers = [("authorization", f"DPoP {credential}"), ("dpop", _proof(credential))]
                assert await _shown(front, *headers) == 'unbound: DPoP error="invalid_token"'

    asyncio.run(main())


def test_a_token_bound_to_a_certificate_is_good_only_on_its_connections() -> None:
    async def main() -> None:
        async with _front() as front:
            bound = ("authorization", f"Bearer {_token(cnf={'x5t#S256': sha256(CERTIFICATE)})}")
            assert await _shown(front, bound, certificate=CERTIFICATE) == "alice"
            for other in (None, b"another certificate"):
                assert (await _shown(front, bound, certificate=other)).startswith('certificate: Bearer error="invalid_token"')
            token = _token(cnf={"x5t#S256": sha256(CERTIFICATE), "jkt": jkt(HOLDER)})
            both = ("authorization", f"DPoP {token}")
            assert await _shown(front, both, ("dpop", _proof(token)), certificate=CERTIFICATE) == "alice"
            assert (await _shown(front, both, certificate=CERTIFICATE)).startswith("proof:")
            assert (await _shown(front, both, ("dpop", _proof(token)))).startswith("certificate:")

    asyncio.run(main())


def test_a_proof_is_judged_only_after_its_token_so_that_strangers_fill_no_memory() -> None:
    async def main() -> None:
        async with _front(Proofs(bounds=ProofBounds(in_all=1, per_key=1))) as front:
            forged = _token(FORGER, cnf={"jkt": jkt(THIEF)})
            told = await _shown(front, ("authorization", f"DPoP {forged}"), ("dpop", _proof(forged, THIEF)))
            assert told.startswith("signature:")
            token = _token(cnf={"jkt": jkt(HOLDER)})
            bound = ("authorization", f"DPoP {token}")
            assert (await _shown(front, bound, ("dpop", _proof(token, THIEF)))).startswith("proof:")
            assert await _shown(front, bound, ("dpop", _proof(token))) == "alice"
            full = await _shown(front, bound, ("dpop", _proof(token)))
            assert full.startswith("proofs_full: DPoP ")
            assert "error=" not in full, "the token is not to blame"

    asyncio.run(main())


def test_a_proof_from_before_the_start_is_refused_for_it_may_have_been_used() -> None:
    async def main() -> None:
        async with _front(Proofs(since_s=NOW_S - 10.0)) as front:
            token = _token(cnf={"jkt": jkt(HOLDER)})
            bound = ("authorization", f"DPoP {token}")
            early = await _shown(front, bound, ("dpop", _proof(token, iat=NOW_S - 10.1)))
            assert early == 'proof_unremembered: DPoP error="invalid_dpop_proof"'
            assert await _shown(front, bound, ("dpop", _proof(token, iat=NOW_S - 10))) == "alice"
            assert await _shown(front, bound, ("dpop", _proof(token))) == "alice"

    asyncio.run(main())


def test_dpop_is_announced_beside_bearer_where_settings_say_so() -> None:
    async def main() -> None:
        async with _front(Proofs(ProofRules(frozenset({"ES256"})), announced=True)) as front:
            said = f'no_credential: Bearer scope="mcp:read", resource_metadata="{METADATA}", DPoP algs="ES256"'
            assert await _shown(front) == said

    asyncio.run(main())

"""Hostile tokens and proofs against the gateway as its users run it: each 401, recorded with its cause, never repeated.

The whole tables are in tests/identity; here is what the edge makes of them.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.flows.running import ACCEPT, META, MODERN, PATIENCE_S, Running, counts, gateway, granting, said, soon
from tests.identity.proving import jkt, proof, public_jwk, sha256
from tests.peers.sdk_server import started_server

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning", "ignore:The RSA key is 1024 bits")
ISSUER = "https://id.example.com"
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)
HOLDER = ec.generate_private_key(ec.SECP256R1())
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
HEADER = {"typ": "at+jwt", "kid": "k"}


@dataclass(frozen=True)
class Place:
    running: Running
    backend: str

    def claims(self, **more: Any) -> dict[str, Any]:
        now_s = int(time.time())
        claims = {"iss": ISSUER, "aud": self.running.url, "sub": "alice", "client_id": "cursor", "jti": secrets.token_hex(8)}
        return {**claims, "iat": now_s, "exp": now_s + 600, "groups": ["crm_admins", "reviewers"], **more}

    def token(self, key: Any = RSA, header: dict[str, Any] | None = None, **claims: Any) -> str:
        return jwt.encode(self.claims(**claims), key, algorithm="RS256", headers={**HEADER, **(header or {})})

    def bound(self) -> str:
        return self.token(cnf={"jkt": jkt(HOLDER)})

    def proof(self, token: str, **more: Any) -> str:
        claims = {"jti": secrets.token_hex(8), "htm": "POST", "htu": self.running.url, "iat": time.time()}
        return proof(HOLDER, {**claims, "ath": sha256(token.encode()), **more})

    def raw(self, header: dict[str, Any], claims: str, sign: Callable[[bytes], bytes] = lambda signed: b"") -> str:
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header).encode(), claims.encode()))
        return (signed + b"." + base64.urlsafe_b64encode(sign(signed)).rstrip(b"=")).decode()

    def call(self, headers: dict[str, str], *, source: str = "127.0.0.1", surface: str = "default") -> httpx2.Response:
        params = {"name": "peer__echo", "arguments": {"text": "hello"}, "_meta": META}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        sent = {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "peer__echo", **headers}
        transport = httpx2.HTTPTransport(local_address=source)
        with httpx2.Client(transport=transport, timeout=PATIENCE_S) as client:
            return client.post(self.running.surface(surface), json=body, headers=sent)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{**public_jwk(RSA), "kid": "k"}, {**public_jwk(WEAK), "kid": "weak"}]}))
    settings = {
        "identity": {"issuers": [{"issuer": ISSUER, "jwks_file": str(jwks)}]},
        "surfaces": {"default": {}, "sales": {}},
        "log_level": "debug",
    }
    with ExitStack() as ending:
        peer = ending.enter_context(started_server("--name", "peer", "--era", "modern"))
        running = ending.enter_context(gateway(folder, {"peer": peer.url}, {}, policies=granting(folder, "peer"), **settings))
        yield Place(running, peer.url)
        assert "Traceback" not in running.log


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def dpop(token: str, proof: str) -> dict[str, str]:
    return {"Authorization": f"DPoP {token}", "DPoP": proof}


@dataclass(frozen=True)
class Hostile:
    headers: Callable[[Place], dict[str, str]]
    cause: str
    challenge: str = 'Bearer error="invalid_token", error_description="'
    surface: str = "default"
    first: Callable[[Place, dict[str, str]], object] = field(default=lambda place, headers: None)


def _hs256(place: Place) -> str:
    return place.raw(
        {"alg": "HS256", **HEADER}, json.dumps(place.claims()), lambda signed: hmac.new(PEM, signed, hashlib.sha256).digest()
    )


PROOF = 'DPoP error="invalid_dpop_proof", error_description="'
BOUND = 'DPoP error="invalid_token", error_description="'
HOSTILE = {
    "another audience": Hostile(lambda at: bearer(at.token(aud="https://other.example.com/mcp")), "audience"),
    "another surface": Hostile(lambda at: bearer(at.token()), "audience", surface="sales"),
    "another issuer": Hostile(lambda at: bearer(at.token(iss="https://evil.example.com")), "issuer"),
    "another signature": Hostile(lambda at: bearer(at.token(OTHER)), "signature"),
    "alg none": Hostile(lambda at: bearer(at.raw({"alg": "none", **HEADER}, json.dumps(at.claims()))), "algorithm"),
    "HS256 with the public key": Hostile(lambda at: bearer(_hs256(at)), "algorithm"),
    "an ID token": Hostile(lambda at: bearer(at.token(header={"typ": "JWT"})), "type"),
    "expired": Hostile(lambda at: bearer(at.token(exp=int(time.time()) - 60)), "expired"),
    "not yet valid": Hostile(lambda at: bearer(at.token(nbf=int(time.time()) + 600)), "not_yet_valid"),
    "an unknown key": Hostile(lambda at: bearer(at.token(header={"kid": "../../dev/null' OR 1=1"})), "signing_key"),
    "a key of its own": Hostile(lambda at: bearer(at.token(OTHER, {"jwk": public_jwk(OTHER)})), "signing_key"),
    "a key elsewhere": Hostile(
        lambda at: bearer(at.token(OTHER, {"jku": "https://evil.example/", "x5u": "https://evil.example/"})),
        "signing_key",
    ),
    "1024-bit RSA": Hostile(lambda at: bearer(at.token(WEAK, {"kid": "weak"})), "signing_key"),
    "claims given twice": Hostile(lambda at: bearer(at.raw({"alg": "RS256", **HEADER}, '{"sub":"a","sub":"b"}')), "malformed"),
    "20 KB": Hostile(lambda at: bearer(at.token(pad="x" * 20_000)), "too_large"),
    "a bound token without proof": Hostile(lambda at: bearer(at.bound()), "bound", BOUND),
    "a proof for another method": Hostile(lambda at: dpop(t := at.bound(), at.proof(t, htm="GET")), "proof", PROOF),
    "a proof for another URL": Hostile(
        lambda at: dpop(t := at.bound(), at.proof(t, htu=at.running.url + "/sales")), "proof", PROOF
    ),
    "a proof for another token": Hostile(lambda at: dpop(at.bound(), at.proof(at.bound())), "proof", PROOF),
    "a replayed proof": Hostile(
        lambda at: dpop(t := at.bound(), at.proof(t)),
        "proof_replayed",
        PROOF,
        first=lambda at, headers: said(at.call(headers))["result"]["content"],
    ),
}
assert len(HOSTILE) <= 20, "of strangers no more are recorded one by one within a period"


def test_good_tokens_pass_and_are_named_in_the_record(place: Place) -> None:
    token, bound = place.token(), place.bound()
    for headers in (bearer(token), dpop(bound, place.proof(bound))):
        assert said(place.call(headers))["result"]["content"] == [{"type": "text", "text": "hello"}]
    lines = [line for line in place.running.audit() if line["type"] == "outcome"]
    names = ["jwt:" + hashlib.sha256(each.encode()).hexdigest()[:16] for each in (token, bound)]
    assert [line["credential"] for line in lines[-2:]] == names


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_refused_recorded_and_never_repeated(place: Place, name: str) -> None:
    hostile = HOSTILE[name]
    headers = hostile.headers(place)
    hostile.first(place, headers)
    forwarded = counts(place.backend)
    source = f"127.0.0.{100 + list(HOSTILE).index(name)}"  # of its own, by which its line is found
    answer = place.call(headers, source=source, surface=hostile.surface)
    assert (answer.status_code, said(answer)["error"]["code"]) == (401, -32600)
    assert answer.headers["www-authenticate"].startswith(hostile.challenge)
    soon(lambda: any(line.get("source_ip") == source for line in place.running.audit()))
    (line,) = [line for line in place.running.audit() if line.get("source_ip") == source]
    assert (line["type"], line["kind"], line["cause"], line["status"]) == ("refusal", "unauthenticated", hostile.cause, 401)
    assert "subject" not in line
    assert counts(place.backend) == forwarded
    shown = " ".join((answer.text, str(answer.headers), place.running.log, json.dumps(line)))
    parts = [part for value in headers.values() for word in value.split(" ") for part in word.split(".")]
    assert not [part for part in parts if len(part) > 8 and part in shown]


def test_a_token_of_100_kb_is_refused_before_it_is_read(place: Place) -> None:
    answer = place.call(bearer("x" * 100_000))
    assert (answer.status_code, "x" * 20 in answer.text + str(answer.headers) + place.running.log) == (431, False)

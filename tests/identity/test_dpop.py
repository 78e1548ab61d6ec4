"""Proofs of possession (RFC 9449 section 4.3), one line for each way to be wrong."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from gateway.identity.dpop import MAX_PROOF_BYTES, Proof, ProofRules, Proven, proof_sent, thumbprint, verified
from gateway.identity.grant import Rejected
from tests.identity.proving import Key, jkt, proof, public_jwk, sha256

NOW_S = 1_800_000_000
RESOURCE = "https://mcp.example.com/mcp"
TOKEN = "the.access.token"
EC = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
EC384 = ec.generate_private_key(ec.SECP384R1())
BITCOIN = ec.generate_private_key(ec.SECP256K1())
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)
CLAIMS: dict[str, Any] = {"jti": "p1", "htm": "POST", "htu": RESOURCE, "iat": NOW_S, "ath": sha256(TOKEN.encode())}
RULES = ProofRules()


def _proven(key: Key = EC) -> Proven:
    return Proven("POST", RESOURCE, TOKEN, jkt(key))


def _verified(encoded: str, proven: Proven | None = None) -> Proof:
    return verified(encoded, proven or _proven(), RULES, now_s=float(NOW_S))


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def _raw(header: str, claims: str = json.dumps(CLAIMS)) -> str:
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join((*parts, "AAAA"))


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES256"), (EC384, "ES384"), (ED, "EdDSA"), (RSA, "PS256"), (RSA, "RS256")])
def test_a_proof_of_every_accepted_kind_holds(key: Key, alg: str) -> None:
    assert _verified(proof(key, CLAIMS, alg), _proven(key)) == Proof("p1", jkt(key), NOW_S)


@pytest.mark.parametrize("htu", [RESOURCE + "/", RESOURCE + "?a=b#c", "HTTPS://MCP.EXAMPLE.COM:443/mcp"])
def test_a_url_is_compared_in_its_normal_form_less_query_and_fragment(htu: str) -> None:
    assert _verified(proof(EC, {**CLAIMS, "htu": htu})).jti == "p1"


@pytest.mark.parametrize("iat", [NOW_S - 60, NOW_S + 60, NOW_S - 0.5])
def test_a_proof_within_the_window_holds(iat: float) -> None:
    assert _verified(proof(EC, {**CLAIMS, "iat": iat})).jti == "p1"


PRIVATE = ECAlgorithm.to_jwk(EC, as_dict=True)
HOSTILE: dict[str, tuple[Callable[[], str], str]] = {
    "nothing": (lambda: "", "signed JWT"),
    "no JWT": (lambda: "abc", "signed JWT"),
    "two of them": (lambda: proof(EC, CLAIMS) + "," + proof(EC, CLAIMS), "signed JWT"),
    "without end": (lambda: proof(EC, {**CLAIMS, "x": "y" * MAX_PROOF_BYTES}), "longer"),
    "members given twice": (lambda: _raw('{"typ":"dpop+jwt","alg":"ES256","alg":"none"}'), "every member once"),
    "claims given twice": (lambda: _raw('{"typ":"dpop+jwt","alg":"ES256"}', '{"jti":"a","jti":"b"}'), "every member once"),
    "a critical header": (lambda: proof(EC, CLAIMS, header={"crit": ["x"]}), "critical"),
    "an unencoded payload": (lambda: _raw('{"typ":"dpop+jwt","alg":"ES256","b64":false}'), "critical"),
    "no type": (lambda: proof(EC, CLAIMS, header={"typ": None}), "type"),
    "an access token": (lambda: proof(EC, CLAIMS, header={"typ": "at+jwt"}), "type"),
    "alg none": (lambda: _raw(json.dumps({"typ": "dpop+jwt", "alg": "none", "jwk": public_jwk(EC)})), "algorithm"),
    "alg none in capitals": (lambda: _raw(json.dumps({"typ": "dpop+jwt", "alg": "NONE", "jwk": public_jwk(EC)})), "algorithm"),
    "a shared secret": (lambda: _raw(json.dumps({"typ": "dpop+jwt", "alg": "HS256", "jwk": public_jwk(EC)})), "algorithm"),
    "an algorithm that is not accepted": (lambda: proof(RSA, CLAIMS, "RS512"), "algorithm"),
    "an algorithm of another kind of key": (lambda: proof(RSA, CLAIMS, "RS256", {"jwk": public_jwk(EC)}), "kind"),
    "no key": (lambda: proof(EC, CLAIMS, header={"jwk": None}), "public key"),
    "the private key": (lambda: proof(EC, CLAIMS, header={"jwk": PRIVATE}), "only the public one"),
    "a symmetric key": (lambda: proof(EC, CLAIMS, header={"jwk": {"kty": "oct", "k": "AA"}}), "only the public one"),
    "a key of no known type": (lambda: proof(EC, CLAIMS, header={"jwk": {"kty": "lattice", "x": "AA"}}), "public key"),
    "a key whose type is a list": (lambda: proof(EC, CLAIMS, header={"jwk": {"kty": ["EC"]}}), "public key"),
    "a key with numbers": (
        lambda: proof(EC, CLAIMS, header={"jwk": {"kty": "EC", "crv": "P-256", "x": 1, "y": 2}}),
        "public key",
    ),
    "a key as large as it gets": (
        lambda: proof(EC, CLAIMS, header={"jwk": {"kty": "RSA", "e": "AQAB", "n": "A" * 2000}}),
        "public key",
    ),
    "the key of somebody else": (lambda: proof(OTHER, CLAIMS), "another key"),
    "our key, signed by another": (lambda: proof(EC, CLAIMS, signer=OTHER), "signature"),
    "claims changed afterwards": (
        lambda: _raw(json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(EC)})),
        "signature",
    ),
    "another method": (lambda: proof(EC, {**CLAIMS, "htm": "GET"}), "method"),
    "the method in small letters": (lambda: proof(EC, {**CLAIMS, "htm": "post"}), "method"),
    "no method": (lambda: proof(EC, _without("htm")), "method"),
    "another URL": (lambda: proof(EC, {**CLAIMS, "htu": "https://evil.example.com/mcp"}), "URL"),
    "another surface": (lambda: proof(EC, {**CLAIMS, "htu": RESOURCE + "/sales"}), "URL"),
    "the URL over http": (lambda: proof(EC, {**CLAIMS, "htu": "http://mcp.example.com/mcp"}), "URL"),
    "the URL as a user's name": (lambda: proof(EC, {**CLAIMS, "htu": "https://mcp.example.com/mcp@evil.example.com"}), "URL"),
    "a URL that is a list": (lambda: proof(EC, {**CLAIMS, "htu": [RESOURCE]}), "URL"),
    "no URL": (lambda: proof(EC, _without("htu")), "URL"),
    "too old": (lambda: proof(EC, {**CLAIMS, "iat": NOW_S - 61}), "older or newer"),
    "from the future": (lambda: proof(EC, {**CLAIMS, "iat": NOW_S + 61}), "older or newer"),
    "no time": (lambda: proof(EC, _without("iat")), "iat"),
    "a time as text": (lambda: _raw('{"typ":"dpop+jwt"}', '{"jti":"a","iat":"1800000000"}'), "iat"),
    "a time that is true": (lambda: _raw('{"typ":"dpop+jwt"}', '{"jti":"a","iat":true}'), "iat"),
    "a time that is no number": (lambda: _raw('{"typ":"dpop+jwt"}', '{"jti":"a","iat":NaN}'), "nothing in it that is not JSON"),
    "a time without end": (lambda: proof(EC, {**CLAIMS, "iat": 10**400}), "iat"),
    "a time without beginning": (lambda: proof(EC, {**CLAIMS, "iat": -(10**400)}), "iat"),
    "no jti": (lambda: proof(EC, _without("jti")), "jti"),
    "an empty jti": (lambda: proof(EC, {**CLAIMS, "jti": ""}), "jti"),
    "a jti without end": (lambda: proof(EC, {**CLAIMS, "jti": "x" * 257}), "jti"),
    "a jti that is a number": (lambda: _raw('{"typ":"dpop+jwt"}', '{"jti":1,"iat":1}'), "jti"),
    "another token": (lambda: proof(EC, {**CLAIMS, "ath": sha256(b"another")}), "another token"),
    "no token": (lambda: proof(EC, _without("ath")), "another token"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_proof_is_refused(name: str) -> None:
    make, said = HOSTILE[name]
    encoded = make()
    with pytest.raises(Rejected, match=said) as refused:
        _verified(encoded)
    assert refused.value.cause == "proof"
    assert not any(len(part) > 3 and part in refused.value.message for part in encoded.split("."))


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")  # PyJWT, when it signs with one
def test_a_weak_key_proves_nothing_even_if_the_token_is_bound_to_it() -> None:
    for key, alg in ((WEAK_RSA, "RS256"), (BITCOIN, "ES256")):
        header = {"jwk": public_jwk(key)}
        encoded = proof(key, CLAIMS, alg, header) if key is WEAK_RSA else proof(EC, CLAIMS, alg, header)
        with pytest.raises(Rejected, match="not fit"):
            _verified(encoded, _proven(key))


def test_the_thumbprint_is_that_of_the_rfc() -> None:
    """https://www.rfc-editor.org/rfc/rfc7638#section-3.1"""
    jwk = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n"
        "91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"  # type: ignore[arg-type]


def test_exactly_one_proof_is_sent() -> None:
    assert proof_sent([("DPoP", "a.b.c"), ("authorization", "DPoP t")]) == "a.b.c"
    for headers in ([], [("dpop", "a.b.c"), ("DPoP", "a.b.c")]):
        with pytest.raises(Rejected, match="exactly one"):
            proof_sent(headers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CLAIMS, "typ", "alg", "jwk", "kty"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(header=JSON, claims=JSON, signature=st.text(alphabet="AZaz09-_=.", max_size=8))
def test_whatever_is_sent_as_a_proof_is_refused_with_a_cause(header: Any, claims: Any, signature: str) -> None:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    with pytest.raises(Rejected) as refused:
        _verified(".".join((*parts, signature)))
    assert refused.value.cause == "proof"


@pytest.mark.parametrize("algorithm", ["none", "HS256", ""])
def test_proofs_of_a_weak_algorithm_cannot_be_accepted(algorithm: str) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        ProofRules(frozenset({algorithm}))

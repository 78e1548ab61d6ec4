"""Hostile tokens, one line each, and the good ones that pass. Keys are made when the test runs."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.identity.claims import granted
from gateway.identity.grant import Confirmation, Grant, Rejected
from gateway.identity.signing_keys import BadKeySet, KeySet, candidates, read_key_set
from gateway.identity.tokens import TrustedIssuer, audiences, check_audience, check_claims, check_header, check_signature, read
from gateway.model import Identity, Subject

NOW_S = 1_800_000_000
ISSUER = "https://id.example.com"
RESOURCE = "https://mcp.example.com/mcp"
AUDIENCE = "api://gateway"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
RULES = TrustedIssuer(ISSUER, frozenset({AUDIENCE}), frozenset({"RS256", "PS256", "ES256", "EdDSA"}), claims=("tenant",))
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": RESOURCE,
    "sub": "alice",
    "client_id": "cursor",
    "jti": "1",
    "iat": NOW_S - 10,
    "exp": NOW_S + 600,
    "scope": "mcp:read mcp:write",
    "groups": ["devs", "ops"],
    "tenant": "t1",
    "acr": "2",
    "amr": ["pwd", "otp"],
    "auth_time": NOW_S - 60,
    "secret_claim": "not for policies",
}
HEADER = {"typ": "at+jwt", "kid": "rsa"}


def _jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = (
        RSAAlgorithm
        if isinstance(key, rsa.RSAPrivateKey)
        else ECAlgorithm
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else OKPAlgorithm
    )
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


def _keys(*jwks: dict[str, Any]) -> KeySet:
    return read_key_set(json.dumps({"keys": jwks}).encode(), digest="d")


KEYS = _keys(_jwk(RSA, "rsa", use="sig"), _jwk(EC, "ec"), _jwk(ED, "ed"), _jwk(WEAK_RSA, "weak"))


def _token(claims: dict[str, Any] | None = None, key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None) -> str:
    return jwt.encode(CLAIMS if claims is None else claims, key, algorithm=alg, headers=HEADER if header is None else header)


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def _raw(header: str, claims: str, signature: str = "AAAA") -> str:
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join((*parts, signature))


def _grant(token: str, rules: TrustedIssuer = RULES, keys: KeySet = KEYS) -> Grant:
    """The order in which the authenticator goes."""
    unverified = read(token)
    check_header(unverified, rules)
    check_signature(token, unverified, keys)
    grant = granted(unverified.claims, rules, expires_at_s=check_claims(unverified, rules, now_s=NOW_S))
    check_audience(audiences(unverified.claims), rules, resource=RESOURCE)
    return grant


def test_a_good_token_grants_exactly_what_it_says() -> None:
    assert _grant(_token()) == Grant(
        Subject(
            "user",
            Identity(ISSUER, "alice"),
            "jwt",
            groups=("devs", "ops"),
            scopes=("mcp:read", "mcp:write"),
            claims={"tenant": "t1"},
            assurance={
                "acr": "2",
                "amr": ["pwd", "otp"],
                "authenticated_ns": (NOW_S - 60) * 10**9,
                "token_issued_ns": (NOW_S - 10) * 10**9,
            },
        ),
        agent_id="cursor",
        surfaces=None,
        expires_at_s=NOW_S + 630.0,
        names_users=None,
    )


@pytest.mark.parametrize(
    ("key", "alg", "kid"), [(RSA, "RS256", "rsa"), (RSA, "PS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")]
)
def test_every_accepted_algorithm_verifies(key: Any, alg: str, kid: str) -> None:
    assert _grant(_token(None, key, alg, {**HEADER, "kid": kid})).subject.identity.id == "alice"


PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _hs256_with_public_key() -> str:
    signed = _raw(json.dumps({"alg": "HS256", **HEADER}), json.dumps(CLAIMS)).rpartition(".")[0]
    mac = hmac.new(PEM, signed.encode(), hashlib.sha256).digest()
    return signed + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


HOSTILE: dict[str, tuple[Callable[[], str], str]] = {
    "another audience": (lambda: _token({**CLAIMS, "aud": "https://other.example.com"}), "audience"),
    "no audience": (lambda: _token(_without("aud")), "audience"),
    "audience as a prefix": (lambda: _token({**CLAIMS, "aud": AUDIENCE + "/x"}), "audience"),
    "audience that is another surface": (lambda: _token({**CLAIMS, "aud": RESOURCE + "/sales"}), "audience"),
    "audience that is the whole gateway": (lambda: _token({**CLAIMS, "aud": "https://mcp.example.com"}), "audience"),
    "audience over http": (lambda: _token({**CLAIMS, "aud": "http://mcp.example.com/mcp"}), "audience"),
    "audience with a query": (lambda: _token({**CLAIMS, "aud": RESOURCE + "?x=1"}), "audience"),
    "audience that decodes to ours": (lambda: _token({**CLAIMS, "aud": "https://mcp.example.com/%6Dcp"}), "audience"),
    "audience with our name as its user": (
        lambda: _token({**CLAIMS, "aud": "https://mcp.example.com/mcp@evil.example.com/mcp"}),
        "audience",
    ),
    "audience in a nested list": (lambda: _token({**CLAIMS, "aud": [[RESOURCE]]}), "audience"),
    "audience in an object": (lambda: _token({**CLAIMS, "aud": {"0": RESOURCE}}), "audience"),
    "audience beside a number": (lambda: _token({**CLAIMS, "aud": [RESOURCE, 1]}), "audience"),
    "audiences without end": (lambda: _token({**CLAIMS, "aud": [RESOURCE, *map(str, range(64))]}), "audience"),
    "audience as numbers": (lambda: _token({**CLAIMS, "aud": [1]}), "audience"),
    "another issuer": (lambda: _token({**CLAIMS, "iss": "https://evil.example.com"}), "issuer"),
    "issuer with a slash more": (lambda: _token({**CLAIMS, "iss": ISSUER + "/"}), "issuer"),
    "issuer as a list": (lambda: _raw('{"alg":"RS256"}', '{"iss":["a"]}'), "issuer"),
    "no issuer": (lambda: _token(_without("iss")), "issuer"),
    "the canary's issuer": (lambda: _token({**CLAIMS, "iss": "urn:mcp-gateway:canary"}), "issuer"),
    "signed by another key": (lambda: _token(key=OTHER_RSA), "signature"),
    "claims changed afterwards": (
        lambda: _raw('{"alg":"RS256","typ":"at+jwt","kid":"rsa"}', json.dumps(CLAIMS), _token().split(".")[2]),
        "signature",
    ),
    "no signature": (lambda: _token().rpartition(".")[0] + ".", "signature"),
    "alg none": (lambda: _raw('{"alg":"none","typ":"at+jwt","kid":"rsa"}', json.dumps(CLAIMS), ""), "algorithm"),
    "alg None": (lambda: _raw('{"alg":"None","typ":"at+jwt","kid":"rsa"}', json.dumps(CLAIMS), ""), "algorithm"),
    "no alg": (lambda: _raw('{"typ":"at+jwt","kid":"rsa"}', json.dumps(CLAIMS)), "malformed"),
    "HS256 with the public key": (_hs256_with_public_key, "algorithm"),
    "an algorithm that is not accepted": (lambda: _token(alg="RS512"), "algorithm"),
    "an algorithm of another key type": (lambda: _token(None, RSA, "RS256", {**HEADER, "kid": "ec"}), "signing_key"),
    "1024-bit RSA": (lambda: _token(None, WEAK_RSA, "RS256", {**HEADER, "kid": "weak"}), "signing_key"),
    "unknown kid": (lambda: _token(header={**HEADER, "kid": "nobody"}), "signing_key"),
    "kid with a path": (lambda: _token(header={**HEADER, "kid": "../../dev/null"}), "signing_key"),
    "kid with SQL": (lambda: _token(header={**HEADER, "kid": "x' UNION SELECT 'key"}), "signing_key"),
    "kid without end": (lambda: _token(header={**HEADER, "kid": "k" * 300}), "signing_key"),
    "kid that is a number": (lambda: _raw('{"alg":"RS256","typ":"at+jwt","kid":1}', json.dumps(CLAIMS)), "malformed"),
    "jku": (lambda: _token(header={**HEADER, "jku": "https://evil.example.com/jwks"}), "signing_key"),
    "x5u": (lambda: _token(header={**HEADER, "x5u": "https://evil.example.com/cert"}), "signing_key"),
    "x5c": (lambda: _token(header={**HEADER, "x5c": ["MII"]}), "signing_key"),
    "an embedded jwk": (lambda: _token(None, OTHER_RSA, "RS256", {**HEADER, "jwk": _jwk(OTHER_RSA, "rsa")}), "signing_key"),
    "an unencoded payload": (
        lambda: _raw('{"alg":"RS256","typ":"at+jwt","kid":"rsa","b64":false}', json.dumps(CLAIMS)),
        "malformed",
    ),
    "a critical header": (lambda: _token(header={**HEADER, "crit": ["exp"]}), "malformed"),
    "an ID token": (lambda: _token(header={"typ": "JWT", "kid": "rsa"}), "type"),
    "no type": (lambda: _token(header={"typ": None, "kid": "rsa"}), "type"),
    "expired": (lambda: _token({**CLAIMS, "exp": NOW_S - 30}), "expired"),
    "no expiry": (lambda: _token(_without("exp")), "claims"),
    "expiry as text": (lambda: _token({**CLAIMS, "exp": str(NOW_S + 600)}), "claims"),
    "expiry as true": (lambda: _token({**CLAIMS, "exp": True}), "claims"),
    "expiry beyond all dates": (lambda: _token({**CLAIMS, "exp": 10**400}), "claims"),
    "not yet valid": (lambda: _token({**CLAIMS, "nbf": NOW_S + 31}), "not_yet_valid"),
    "issued in the future": (lambda: _token({**CLAIMS, "iat": NOW_S + 31}), "not_yet_valid"),
    "no iat": (lambda: _token(_without("iat")), "claims"),
    "no jti": (lambda: _token(_without("jti")), "claims"),
    "no client_id": (lambda: _token(_without("client_id")), "claims"),
    "jti as a number": (lambda: _token({**CLAIMS, "jti": 1}), "claims"),
    "acr as a list": (lambda: _token({**CLAIMS, "acr": ["2"]}), "claims"),
    "amr as an object": (lambda: _token({**CLAIMS, "amr": {"pwd": True}}), "claims"),
    "auth_time as text": (lambda: _token({**CLAIMS, "auth_time": "yesterday"}), "claims"),
    "no sub": (lambda: _token(_without("sub")), "claims"),
    "empty sub": (lambda: _token({**CLAIMS, "sub": ""}), "claims"),
    "sub with a line break": (lambda: _token({**CLAIMS, "sub": "alice\nadmin"}), "claims"),
    "sub that separates keys": (lambda: _token({**CLAIMS, "sub": "alice\x1fadmin"}), "claims"),
    "sub as a number": (lambda: _token({**CLAIMS, "sub": "1", "client_id": 7}), "claims"),
    "groups as an object": (lambda: _token({**CLAIMS, "groups": {"admins": True}}), "claims"),
    "groups with a number": (lambda: _token({**CLAIMS, "groups": ["devs", 1]}), "claims"),
    "bound in an unknown way": (lambda: _token({**CLAIMS, "cnf": {"jkt": "x" * 43, "kid": "1"}}), "bound"),
    "bound by a whole key": (lambda: _token({**CLAIMS, "cnf": {"jwk": _jwk(EC, "ec")}}), "bound"),
    "bound to nothing": (lambda: _token({**CLAIMS, "cnf": {}}), "bound"),
    "bound to null": (lambda: _token({**CLAIMS, "cnf": None}), "bound"),
    "bound to a list": (lambda: _token({**CLAIMS, "cnf": ["jkt"]}), "bound"),
    "bound to no thumbprint": (lambda: _token({**CLAIMS, "cnf": {"jkt": "x"}}), "bound"),
    "bound to a number": (lambda: _token({**CLAIMS, "cnf": {"jkt": 1}}), "bound"),
    "an actor of the gateway's": (lambda: _token({**CLAIMS, "act": {"iss": "urn:mcp-gateway:canary", "sub": "x"}}), "claims"),
    "actors without end": (lambda: _token({**CLAIMS, "act": _chain(20)}), "claims"),
    "claims given twice": (
        lambda: _raw('{"alg":"RS256","typ":"at+jwt","kid":"rsa"}', '{"iss":"a","sub":"x","sub":"admin"}'),
        "malformed",
    ),
    "header members given twice": (lambda: _raw('{"alg":"none","alg":"RS256"}', json.dumps(CLAIMS)), "malformed"),
    "claims given twice, deep": (lambda: _raw('{"alg":"RS256"}', '{"iss":"a","act":{"sub":"x","sub":"y"}}'), "malformed"),
    "too deep": (lambda: _raw('{"alg":"RS256"}', "[" * 5000 + "]" * 5000), "malformed"),
    "a list": (lambda: _raw('{"alg":"RS256"}', "[]"), "malformed"),
    "NaN": (lambda: _raw('{"alg":"RS256"}', '{"iss":"a","exp":NaN}'), "malformed"),
    "a number that is none": (lambda: _raw('{"alg":"RS256"}', '{"iss":"a","exp":1e999}'), "malformed"),
    "a lone surrogate": (lambda: _raw('{"alg":"RS256"}', '{"iss":"a","sub":"\\ud800"}'), "malformed"),
    "not base64": (lambda: "a!.b.c", "malformed"),
    "nothing": (lambda: "..", "malformed"),
}


def _chain(length: int) -> dict[str, Any]:
    return {"sub": "x"} if length == 0 else {"sub": "x", "act": _chain(length - 1)}


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")  # PyJWT, when it signs with one
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_refused(name: str) -> None:
    make, cause = HOSTILE[name]
    token = make()
    with pytest.raises(Rejected) as refused:
        _grant(token)
    assert refused.value.cause == cause
    assert not any(part and len(part) > 3 and part in refused.value.message for part in token.split("."))


def test_without_kid_a_token_counts_where_only_one_key_can_be_meant() -> None:
    token = _token(header={"typ": "at+jwt"})
    assert _grant(token, keys=_keys(_jwk(RSA, "rsa"), _jwk(EC, "ec"))).subject.identity.id == "alice"
    with pytest.raises(Rejected) as refused:
        _grant(token, keys=_keys(_jwk(RSA, "rsa"), _jwk(OTHER_RSA, "other")))
    assert refused.value.cause == "signing_key"


BARE = {name: CLAIMS[name] for name in ("iss", "aud", "sub", "exp")}


def test_each_departure_from_the_standard_is_a_setting() -> None:
    loose = TrustedIssuer(ISSUER, any_typ=True, optional_claims=frozenset({"jti", "iat", "client_id"}))
    for typ in ("JWT", None):
        assert _grant(_token(BARE, header={"typ": typ, "kid": "rsa"}), loose).agent_id is None


def test_where_the_type_does_not_tell_an_id_token_is_told_by_its_claims() -> None:
    loose = TrustedIssuer(ISSUER, any_typ=True)
    for header, more in (
        ({"typ": "JWT"}, {"at_hash": "x"}),
        ({"typ": "JWT"}, {"c_hash": "x"}),
        ({"typ": "JWT"}, {"token_use": "id"}),
        ({"typ": "JWT"}, {"typ": "ID"}),
        ({"typ": "JWT"}, {"typ": "Refresh"}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "secevent+jwt"}, {}),
    ):
        with pytest.raises(Rejected) as refused:
            _grant(_token({**CLAIMS, **more}, header={**header, "kid": "rsa"}), loose)
        assert refused.value.cause == "type"


@pytest.mark.parametrize(
    "audience",
    [
        AUDIENCE,
        RESOURCE,
        RESOURCE + "/",
        "HTTPS://MCP.example.com/mcp",
        "https://mcp.example.com:443/mcp",
        ["https://other.example.com", RESOURCE],
    ],
)
def test_a_token_is_for_the_surface_or_for_what_the_issuer_calls_us(audience: Any) -> None:
    assert _grant(_token({**CLAIMS, "aud": audience})).subject.identity.id == "alice"


def test_the_agent_is_the_claim_that_the_issuer_puts_it_in() -> None:
    for place, claims in (("azp", {"azp": "cursor"}), ("/app/id", {"app": {"id": "cursor"}})):
        rules = TrustedIssuer(ISSUER, agent_claim=place)
        assert _grant(_token({**_without("client_id"), **claims}), rules).agent_id == "cursor"
        with pytest.raises(Rejected) as refused:
            _grant(_token(), rules)
        assert refused.value.cause == "claims"


def test_policies_read_what_the_settings_let_through_and_nothing_else() -> None:
    rules = TrustedIssuer(ISSUER, claims=("tenant", "/kubernetes.io/namespace", "absent"))
    grant = _grant(_token({**CLAIMS, "kubernetes.io": {"namespace": "shop"}, "absent": None}), rules)
    assert grant.subject.claims == {"tenant": "t1", "/kubernetes.io/namespace": "shop"}
    rules = TrustedIssuer(ISSUER, claims=("/kubernetes.io~1x/namespace",))
    grant = _grant(_token({**CLAIMS, "kubernetes.io/x": {"namespace": "shop"}}), rules)
    assert grant.subject.claims == {"/kubernetes.io~1x/namespace": "shop"}


def test_a_bound_token_says_to_which_keys() -> None:
    cnf = {"jkt": "j" * 43, "x5t#S256": "x" * 43}
    assert _grant(_token({**CLAIMS, "cnf": cnf})).confirmation == Confirmation("j" * 43, "x" * 43)


def test_where_a_binding_is_required_a_token_without_one_is_refused() -> None:
    strict = TrustedIssuer(ISSUER, dpop="required")
    with pytest.raises(Rejected) as refused:
        _grant(_token(), strict)
    assert refused.value.cause == "unbound"
    assert _grant(_token({**CLAIMS, "cnf": {"x5t#S256": "x" * 43}}), strict).agent_id == "cursor"


def test_a_client_that_acts_for_itself_is_a_workload() -> None:
    assert _grant(_token({**CLAIMS, "sub": "cursor"})).subject.type == "workload"


def test_groups_are_found_at_a_pointer_and_scopes_in_a_list() -> None:
    rules = TrustedIssuer(ISSUER, groups_claim="/realm_access/roles", scopes_claim="scp")
    grant = _grant(_token({**CLAIMS, "realm_access": {"roles": ["a b", "c"]}, "scp": ["x", "y"]}), rules)
    assert (grant.subject.groups, grant.subject.scopes) == (("a b", "c"), ("x", "y"))


def test_the_delegation_chain_is_told_nearest_first() -> None:
    act = {"sub": "agent", "act": {"sub": "planner", "iss": "https://other.example.com"}}
    assert _grant(_token({**CLAIMS, "act": act})).subject.actors == (
        Identity(ISSUER, "agent"),
        Identity("https://other.example.com", "planner"),
    )


def test_what_names_no_issuer_or_an_endless_key_is_told_so() -> None:
    for token, said in (
        (_raw('{"alg":"RS256"}', '{"iss":["a"]}'), "names no issuer"),
        (_token(header={**HEADER, "kid": "k" * 257}), "too long"),
    ):
        with pytest.raises(Rejected, match=said):
            read(token)


def test_an_audience_is_never_nothing() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        TrustedIssuer(ISSUER, frozenset({""}))


@pytest.mark.parametrize("issuer", ["urn:mcp-gateway:canary", "URN:mcp-gateway:anything", ""])
def test_a_reserved_issuer_cannot_be_trusted(issuer: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        TrustedIssuer(issuer, frozenset({AUDIENCE}))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "RS1"])
def test_a_weak_algorithm_cannot_be_accepted(algorithm: str) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        TrustedIssuer(ISSUER, frozenset({AUDIENCE}), frozenset({algorithm}))


# --- keys ---------------------------------------------------------------------------------------------------------------


def test_unfit_keys_are_left_out_and_named() -> None:
    keys = _keys(
        _jwk(RSA, "good"),
        _jwk(WEAK_RSA, "weak"),
        _jwk(RSA, "encrypts", use="enc"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        {**RSAAlgorithm.to_jwk(RSA, as_dict=True), "kid": "private"},
        _jwk(ec.generate_private_key(ec.SECP256K1()), "bitcoin"),
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        _jwk(EC, "lies", alg="RS256"),
        "text",  # type: ignore[arg-type]
    )
    assert ([key.kid for key in keys.keys], len(keys.unfit)) == (["good"], 8)
    assert "1024 bits" in keys.unfit[0]


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[{"kty":"oct","k":"AA"}]}']
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_key_set(document, digest="d")


def test_a_key_that_names_its_algorithm_verifies_no_other() -> None:
    keys = _keys(_jwk(RSA, "rsa", alg="PS256"))
    assert (len(candidates(keys, kid="rsa", algorithm="PS256")), candidates(keys, kid="rsa", algorithm="RS256")) == (1, ())

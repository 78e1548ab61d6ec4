"""What the gateway says of its callers: whole, short-lived, and never more than was verified."""

import base64

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import Kind, Refusal
from gateway.identity.outbound import (
    BadAnswer,
    Issued,
    Shown,
    Stamp,
    Wanted,
    assertion_claims,
    basic,
    exchange_form,
    issued,
    passing,
    subject_claims,
    why_not_forwarded,
)
from gateway.identity.private_keys import Private, key_set, read_keys, signed, signing_key
from gateway.model import Caller, Identity, JsonObject, Outgoing, Subject

GATEWAY, CRM = "https://gateway.example.com", "https://crm.example.com/mcp"
STAMP = Stamp("random", 1000.9)
FRAME: JsonObject = {"iss": GATEWAY, "aud": CRM, "jti": "random", "iat": 1000, "exp": 1060}
DESK, ROBOT = Identity("urn:keys", "desk"), Identity("https://id.example.com", "robot")


def pem(key: Private, *, passphrase: bytes | None = None) -> str:
    hidden = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden).decode()


EC, ED, RSA = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)


def test_an_assertion_says_who_asks_through_whom_for_what_and_by_which_decision() -> None:
    actors: JsonObject = {"sub": "desk", "iss": "urn:keys", "act": {"sub": "robot", "iss": "https://id.example.com"}}
    subject = Subject("user", Identity("https://id.example.com", "ann"), "asserted", groups=("devs",), actors=(DESK, ROBOT))
    request = Outgoing(
        "crm",
        "tools/call",
        {"name": "find", "arguments": {"secret": "x"}},
        "owner",
        caller=Caller(subject, "desk", "127.0.0.1", token="theirs"),
        item_id="crm__find",
        decision_id="d1",
    )
    assert assertion_claims(request, issuer=GATEWAY, audience=CRM, stamp=STAMP) == {
        **FRAME,
        "sub": "ann",
        "sub_iss": "https://id.example.com",
        "sub_type": "user",
        "agent": "desk",
        "act": actors,
        "method": "tools/call",
        "item": "crm__find",
        "decision_id": "d1",
    }


def test_about_its_own_requests_the_gateway_names_itself() -> None:
    own = {**FRAME, "sub": GATEWAY, "sub_iss": GATEWAY, "sub_type": "gateway"}
    request = Outgoing("crm", "tools/list", {}, "")
    assert assertion_claims(request, issuer=GATEWAY, audience=CRM, stamp=STAMP) == {**own, "method": "tools/list"}
    assert subject_claims(None, issuer=GATEWAY, audience=CRM, stamp=STAMP) == own


@pytest.mark.parametrize("key", [EC, ED], ids=["ES256", "EdDSA"])
def test_what_is_signed_verifies_with_the_published_half_alone(key: Private) -> None:
    (read,) = read_keys(pem(key))
    signing = signing_key(read)
    published = key_set([signing])["keys"]
    assert isinstance(published, list)
    assert not [each for each in published if isinstance(each, dict) and "d" in each]
    token = signed(FRAME, read, typ="mcp-gateway-assertion+jwt", kid=signing.kid)
    verifying = jwt.PyJWK(published[0])  # type: ignore[arg-type]
    assert jwt.decode(token, verifying, algorithms=[read.algorithm], audience=CRM, options={"verify_exp": False}) == FRAME
    assert jwt.get_unverified_header(token) == {"alg": read.algorithm, "typ": "mcp-gateway-assertion+jwt", "kid": signing.kid}


def test_the_same_key_has_the_same_name_wherever_it_is_read() -> None:
    assert signing_key(read_keys(pem(EC))[0]).kid == signing_key(read_keys("comment\n" + pem(ED) + pem(EC))[1]).kid


def test_an_assertion_is_not_signed_with_rsa_and_a_proof_of_a_client_may_be() -> None:
    (read,) = read_keys(pem(RSA))
    proof = signed(FRAME, read, typ="JWT")
    assert jwt.decode(proof, RSA.public_key(), algorithms=["RS256"], audience=CRM, options={"verify_exp": False}) == FRAME
    assert jwt.get_unverified_header(proof) == {"alg": "RS256", "typ": "JWT"}
    with pytest.raises(ValueError, match="EC P-256 or Ed25519"):
        signing_key(read)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("s3cret", id="no_pem"),
        pytest.param("-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----", id="broken"),
        pytest.param(pem(ec.generate_private_key(ec.SECP384R1())), id="another_curve"),
        pytest.param(pem(rsa.generate_private_key(65537, 1024)), id="weak"),
        pytest.param(pem(EC, passphrase=b"secret"), id="locked"),
        pytest.param(pem(ED) * 17, id="too_many"),
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="it holds") as refused:
        read_keys(text)
    assert not [line for line in text.splitlines() if line and line in str(refused.value)]


def test_an_exchange_names_both_tokens_and_their_kinds_and_shows_neither() -> None:
    form = exchange_form(Shown("kind", "theirs"), Shown("other", "ours"), Wanted(("a", "b"), audience="crm"))
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "theirs",
        "subject_token_type": "kind",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "a b",
        "audience": "crm",
        "actor_token": "ours",
        "actor_token_type": "other",
    }
    assert "theirs" not in repr(Shown("kind", "theirs"))
    assert "theirs" not in repr(Issued(1.0, "theirs"))


def test_basic_authentication_encodes_both_parts_first() -> None:
    assert base64.b64decode(basic("a:b", "c d").removeprefix("Basic ")) == b"a%3Ab:c+d"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize("said", [b"1" * 400, b"-" + b"1" * 400, b"9007199254740993", b"0", b"true", b'"1e9"', b"[]"])
def test_a_lifetime_that_is_none_makes_the_answer_a_bad_one(said: bytes) -> None:
    with pytest.raises(BadAnswer, match="its expires_in is not a number of seconds"):
        issued(b'{"access_token":"x","token_type":"Bearer","expires_in":' + said + b"}", now_s=1000.0)


MEMBERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("access_token", "token_type", "expires_in", "issued_token_type"), JSON)
)


@given(MEMBERS, st.binary(max_size=40))
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_no_answer_of_a_token_endpoint_is_anything_but_a_token_or_a_refusal(members: dict[str, object], noise: bytes) -> None:
    for body in (msgspec.json.encode(members), noise):
        try:
            found = issued(body, now_s=1000.0)
        except BadAnswer:
            continue
        assert found.token
        assert found.token.isascii()
        assert found.token.isprintable()
        assert " " not in found.token
        assert 1000 < found.expires_at_s <= 1000 + 24 * 3600


@given(st.lists(st.tuples(st.sampled_from(["x-tenant", "authorization", "cookie", "x-other"]), st.text(max_size=10)), max_size=6))
@settings(max_examples=100)
def test_only_named_headers_pass_and_only_as_they_came(headers: list[tuple[str, str]]) -> None:
    tenant = [value for name, value in headers if name == "x-tenant"]
    try:
        found = passing(headers, {"x-tenant"})
    except Refusal as refusal:
        assert refusal.kind is Kind.INVALID_REQUEST
        assert not all(value.isascii() and value.isprintable() for value in tenant)
    else:
        assert found == ({"x-tenant": ", ".join(tenant)} if tenant else {})


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "cookie",
        "Host",
        "Connection",
        "Transfer-Encoding",
        "Mcp-Session-Id",
        "mcp-param-region",
        "Content-Type",
        "X-Forwarded-For",
        "Forwarded",
        "DPoP",
        "Proxy-Authorization",
        "X-MCP-Gateway-Assertion",
        "Sec-Fetch-Site",
    ],
)
def test_some_headers_never_pass(name: str) -> None:
    assert why_not_forwarded(name)


@pytest.mark.parametrize("name", ["X-Tenant", "Accept-Language", "traceparent", "User-Agent"])
def test_others_may(name: str) -> None:
    assert why_not_forwarded(name) is None

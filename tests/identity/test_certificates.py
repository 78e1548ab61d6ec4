"""Client certificates: whom one stands for, and that every other shape of one stands for nobody."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.certificates import Certificate, check_rule, granted, read
from gateway.identity.grant import Grant, NamesUsers, Rejected
from gateway.identity.workloads import TrustedWorkloads
from gateway.model import Identity, Subject

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(hours=1)
NOW_S = (BEGIN + timedelta(minutes=1)).timestamp()
KEY = ec.generate_private_key(ec.SECP256R1())
DESK = "spiffe://example.org/ns/prod/sa/desk"


def certificate(names: Sequence[x509.GeneralName] | None) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spiffe://example.org/ns/prod/sa/not-this")])
    building = x509.CertificateBuilder(subject, subject, KEY.public_key(), 1, BEGIN, END)
    if names is not None:
        building = building.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return building.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def uris(*names: str) -> bytes:
    return certificate([x509.UniformResourceIdentifier(name) for name in names])


def named(uri: str) -> Certificate:
    return Certificate(uri, BEGIN.timestamp(), END.timestamp(), "mtls:0")


def test_the_uri_is_the_workload_and_its_trust_domain_the_issuer() -> None:
    rule = TrustedWorkloads(
        "spiffe://example.org/ns/prod/sa/*", groups=("bots",), scopes=("mcp:read",), surfaces=frozenset({"a"})
    )
    found = read(uris(DESK))
    assert granted(found, [rule], now_s=NOW_S) == Grant(
        Subject("workload", Identity("spiffe://example.org", DESK), "mtls", groups=("bots",), scopes=("mcp:read",)),
        agent_id=DESK,
        surfaces=frozenset({"a"}),
        expires_at_s=END.timestamp(),
        credential=found.name,
    )
    assert found.name.startswith("mtls:")
    assert len(found.name) == len("mtls:") + 16


def test_a_workload_may_be_trusted_to_name_users() -> None:
    rule = TrustedWorkloads(DESK, names_users=True, user_groups=("support",))
    assert granted(named(DESK), [rule], now_s=NOW_S).names_users == NamesUsers(f"urn:workload:{DESK}", ("support",))
    of_the_house = TrustedWorkloads(DESK, names_users=True, user_issuer="https://id.example.com")
    assert granted(named(DESK), [of_the_house], now_s=NOW_S).names_users == NamesUsers("https://id.example.com")


def test_the_first_rule_that_fits_counts() -> None:
    rules = [TrustedWorkloads(DESK, groups=("desk",)), TrustedWorkloads("spiffe://example.org/**", groups=("any",))]
    groups = [granted(named(uri), rules, now_s=NOW_S).subject.groups for uri in (DESK, "spiffe://example.org/other")]
    assert groups == [("desk",), ("any",)]


@pytest.mark.parametrize(
    ("pattern", "uri", "fits"),
    [
        ("spiffe://example.org/ns/*/sa/desk", DESK, True),
        ("spiffe://example.org/ns/*/sa/d*k", DESK, True),
        ("spiffe://example.org/ns/*", DESK, False),
        ("spiffe://example.org/ns/**", DESK, True),
        ("spiffe://example.org/ns/prod/sa/desk/**", DESK, False),
        ("spiffe://example.org/ns/prod/sa/des", DESK, False),
        ("spiffe://example.org/ns/prod/sa/desk", DESK + "2", False),
        ("spiffe://exampleXorg/ns/prod/sa/desk", DESK, False),
        ("spiffe://example.org/**", "spiffe://example.org.evil.test/ns", False),
    ],
)
def test_a_star_is_one_segment_and_two_are_the_rest(pattern: str, uri: str, fits: bool) -> None:
    if fits:
        assert granted(named(uri), [TrustedWorkloads(pattern)], now_s=NOW_S).subject.identity.id == uri
        return
    with pytest.raises(Rejected, match="names a workload that is not trusted here"):
        granted(named(uri), [TrustedWorkloads(pattern)], now_s=NOW_S)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "desk",
        "spiffe://example.org/**/desk",
        "spiffe://example.org/a b",
        "spiffe://*/desk",
        "urn:example:desk",
        "spiffe://*.org/a",
    ],
)
def test_a_pattern_that_is_no_uri_or_whose_issuer_nobody_knows_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"must be a URI|name its `issuer`|at the end only"):
        check_rule(TrustedWorkloads(pattern))


def test_an_issuer_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="reserved"):
        TrustedWorkloads(DESK, issuer="urn:mcp-gateway:keys")


def test_a_uri_without_authority_has_the_issuer_that_the_rule_names() -> None:
    rule = TrustedWorkloads("urn:example:*", issuer="urn:example")
    assert granted(named("urn:example:desk"), [rule], now_s=NOW_S).subject.identity == Identity("urn:example", "urn:example:desk")


NO_URI = "has no URI as a subject alternative name, by which workloads are known here"
ODD_URI = "has a URI that cannot name a workload: plain characters, no query, no fragment, no empty segment"


@pytest.mark.parametrize(
    ("der", "said"),
    [
        pytest.param(b"", NO_URI, id="nothing"),
        pytest.param(b"0\x82\x01", NO_URI, id="no_certificate"),
        pytest.param(certificate(None), NO_URI, id="no_names"),
        pytest.param(
            certificate([x509.DNSName("desk.example.org")]),
            "must have exactly one URI as a subject alternative name",
            id="no_uri",
        ),
        pytest.param(uris(DESK, DESK + "2"), "must have exactly one URI as a subject alternative name", id="two"),
        pytest.param(uris(DESK, DESK), "must have exactly one URI as a subject alternative name", id="twice"),
        *(
            pytest.param(uris(odd), ODD_URI, id=repr(odd[:40]))
            for odd in (
                "spiffe://example.org/ns/*",
                "spiffe://example.org/a//b",
                "spiffe://example.org/a/../b",
                "spiffe://example.org/a%2fb",
                "spiffe://example.org/a?b",
                "spiffe://example.org/a#b",
                "SPIFFE://example.org/a",
                "spiffe://example.org/" + "a" * 2048,
                "spiffe://example.org/a\n",
                "desk",
            )
        ),
    ],
)
def test_a_certificate_without_one_plain_uri_names_nobody(der: bytes, said: str) -> None:
    with pytest.raises(Rejected) as refused:
        read(der)
    assert (refused.value.cause, refused.value.message) == ("client_certificate", f"The client certificate {said}.")


@pytest.mark.parametrize("now_s", [BEGIN.timestamp() - 1, END.timestamp(), END.timestamp() + 1])
def test_a_certificate_counts_only_while_it_is_valid(now_s: float) -> None:
    with pytest.raises(Rejected, match="is not valid now"):
        granted(named(DESK), [TrustedWorkloads(DESK)], now_s=now_s)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_whatever_uri_a_ca_was_talked_into_reads_as_itself_or_as_nobody(path: str) -> None:
    uri = f"spiffe://example.org/{path}"
    try:
        der = uris(uri)
    except ValueError:
        return  # the library writes no such certificate
    try:
        found = read(der)
    except Rejected:
        return
    assert found.uri == uri
    assert granted(found, [TrustedWorkloads("spiffe://example.org/**")], now_s=NOW_S).subject.identity.id == uri

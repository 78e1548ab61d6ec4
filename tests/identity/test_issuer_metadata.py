"""An issuer's metadata: where it may be, and what of it counts."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.issuer_metadata import BadMetadata, Metadata, checked_url, read_metadata, well_known_urls

ISSUER = "https://id.example.com/tenant"
WHOLE = {
    "issuer": ISSUER,
    "jwks_uri": "https://keys.example.net/jwks",
    "token_endpoint": "https://id.example.com/token",
    "introspection_endpoint": "https://id.example.com/introspect",
    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    "introspection_endpoint_auth_methods_supported": ["client_secret_post", 5],
    "id_token_signing_alg_values_supported": ["RS256"],
    "something_else": {"deep": [1]},
}


def _read(members: Any, issuer: str = ISSUER) -> Metadata:
    return read_metadata(json.dumps(members).encode(), issuer=issuer)


def test_metadata_is_looked_for_where_both_rfcs_put_it() -> None:
    assert well_known_urls(ISSUER) == (
        "https://id.example.com/tenant/.well-known/openid-configuration",
        "https://id.example.com/.well-known/oauth-authorization-server/tenant",
        "https://id.example.com/.well-known/openid-configuration/tenant",
    )
    for root in ("https://id.example.com", "https://id.example.com/"):
        assert well_known_urls(root) == (
            "https://id.example.com/.well-known/openid-configuration",
            "https://id.example.com/.well-known/oauth-authorization-server",
        )


def test_whole_metadata_is_read_and_the_rest_ignored() -> None:
    assert _read(WHOLE) == Metadata(
        ISSUER,
        "https://keys.example.net/jwks",
        "https://id.example.com/token",
        "https://id.example.com/introspect",
        ("client_secret_basic",),
        ("client_secret_post",),
        ("RS256",),
    )
    assert _read({"issuer": ISSUER}) == Metadata(ISSUER)


@pytest.mark.parametrize(
    "issuer",
    ["https://id.example.com/tenant/", "https://ID.example.com/tenant", "https://id.example.com/Tenant", "", None, [ISSUER], 7],
)
def test_metadata_of_an_issuer_spelt_otherwise_does_not_count(issuer: Any) -> None:
    with pytest.raises(BadMetadata, match="character by character"):
        _read({**WHOLE, "issuer": issuer})


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/jwks",
        "http://127.0.0.1:8181/v1/data",  # ours: an issuer elsewhere must not have us ask it
        "file:///etc/passwd",
        "ftp://id.example.com/jwks",
        "//id.example.com/jwks",
        "/jwks",
        "https:///jwks",
        "https://user:secret@id.example.com/jwks",
        "https://id.example.com/jwks#fragment",
        "https://id.example.com/jw ks",
        "https://id.example.com\\@evil.example/jwks",
        "https://id.example.com:99999/jwks",
        "https://[::1/jwks",
        "https://id.example.com/" + "x" * 3000,
        {"url": "https://id.example.com/jwks"},
        5,
    ],
)
@pytest.mark.parametrize("member", ["jwks_uri", "token_endpoint", "introspection_endpoint"])
def test_metadata_with_an_endpoint_that_may_not_be_asked_does_not_count(member: str, url: Any) -> None:
    with pytest.raises(BadMetadata, match=member) as refused:
        _read({**WHOLE, member: url})
    assert "secret" not in str(refused.value)


def test_an_issuer_on_loopback_may_name_http_on_loopback() -> None:
    local = "http://127.0.0.1:9000"
    assert _read({"issuer": local, "jwks_uri": "http://localhost:9000/jwks"}, local).jwks_uri == "http://localhost:9000/jwks"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"issuer":"%s","issuer":"%s"}' % ((ISSUER.encode(),) * 2),
        b'{"issuer":NaN}',
    ],
)
def test_what_is_no_metadata_is_refused(document: bytes) -> None:
    with pytest.raises(BadMetadata):
        read_metadata(document, issuer=ISSUER)


@pytest.mark.parametrize(
    "issuer", ["", "id.example.com", "http://id.example.com", "https://id.example.com?x=1", "spiffe://example.org"]
)
def test_an_issuer_without_a_place_for_metadata_is_told(issuer: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        well_known_urls(issuer)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.from_regex(r"https?://[^ ]{0,20}", fullmatch=True))
def test_any_text_is_a_url_to_be_asked_or_a_value_error(text: str) -> None:
    try:
        parts = checked_url(text, what="it")
    except ValueError as error:
        assert str(error).startswith("it ")
    else:
        assert parts.scheme in {"http", "https"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from([*WHOLE]), _JSON) | _JSON)
def test_any_json_is_metadata_or_refused(document: Any) -> None:
    try:
        read = _read(document)
    except BadMetadata:
        return
    assert read.issuer == ISSUER

"""`WWW-Authenticate`, to the letter."""

import pytest

from gateway.errors import Kind, Refusal
from gateway.identity.challenge import challenge, metadata_url, surface_path
from gateway.identity.surfaces import check_surface
from gateway.model import Caller, Identity, Subject


def test_without_a_token_no_error_is_named() -> None:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3.1"""
    url = metadata_url("https://mcp.example.com/", surface_path("engineering"))
    said = challenge(description="send one", scopes=("mcp:read", "mcp:write"), resource_metadata=url)
    assert said == (
        'Bearer scope="mcp:read mcp:write", '
        'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp/engineering"'
    )


def test_a_bad_token_is_an_invalid_token() -> None:
    assert challenge(error="invalid_token", description="The token has expired.") == (
        'Bearer error="invalid_token", error_description="The token has expired."'
    )


def test_with_nothing_to_say_the_scheme_stands_alone() -> None:
    assert challenge() == "Bearer"


def test_dpop_is_the_second_challenge_where_it_is_spoken() -> None:
    """https://www.rfc-editor.org/rfc/rfc9449#section-7.2"""
    assert (
        challenge(scopes=("mcp:read",), dpop_algorithms=("ES256", "EdDSA")) == 'Bearer scope="mcp:read", DPoP algs="ES256 EdDSA"'
    )
    assert challenge(dpop_algorithms=("ES256",)) == 'Bearer, DPoP algs="ES256"'


def test_a_bad_proof_is_answered_by_dpop_alone() -> None:
    said = challenge(error="invalid_dpop_proof", description="It is late.", scheme="DPoP", dpop_algorithms=("ES256",))
    assert said == 'DPoP error="invalid_dpop_proof", error_description="It is late.", algs="ES256"'


def test_nothing_can_break_out_of_a_quoted_string() -> None:
    assert challenge(error="invalid_token", description='a"b\\c\r\nd\u00e9') == (
        'Bearer error="invalid_token", error_description="abcd"'
    )


def test_the_default_surface_is_at_the_root_of_mcp() -> None:
    assert (surface_path("default"), surface_path("sales")) == ("/mcp", "/mcp/sales")


CALLER = Caller(Subject("user", Identity("i", "a"), "jwt", groups=("devs",)), None, "127.0.0.1", surfaces=frozenset({"default"}))


def test_a_credential_for_another_surface_is_refused_here() -> None:
    check_surface(CALLER, "default")
    with pytest.raises(Refusal) as refused:
        check_surface(CALLER, "sales")
    assert (refused.value.kind, refused.value.cause) == (Kind.FORBIDDEN_SURFACE, "credential_surface")


def test_a_surface_for_groups_is_closed_to_everybody_else() -> None:
    check_surface(CALLER, "default", groups=("devs", "ops"))
    with pytest.raises(Refusal) as refused:
        check_surface(CALLER, "default", groups=("ops",))
    assert (refused.value.kind, refused.value.cause) == (Kind.FORBIDDEN_SURFACE, "surface_groups")

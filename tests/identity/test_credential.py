"""One credential, from one header, or a clear refusal."""

import dataclasses

import pytest

from gateway.identity.credential import MAX_TOKEN_BYTES, Sent, as_end_user, sent
from gateway.identity.grant import Grant, NamesUsers, Rejected
from gateway.model import Identity, Subject

BOT = Grant(
    Subject("workload", Identity("urn:mcp-gateway:keys", "support-bot"), "api_key", groups=("bots",), scopes=("mcp:read",)),
    agent_id="support-bot",
    names_users=NamesUsers("https://id.example.com", groups=("support-users",)),
)


@pytest.mark.parametrize("header", ["Bearer abc.def", "bearer abc.def", "BEARER   abc.def"])
def test_the_token_is_read_whatever_the_case_of_its_scheme(header: str) -> None:
    assert sent([("Authorization", header), ("x-other", "1")]) == Sent("abc.def", "bearer")


@pytest.mark.parametrize("header", ["DPoP abc.def", "dpop abc.def"])
def test_a_token_that_is_said_to_be_bound_is_told_apart(header: str) -> None:
    assert sent([("authorization", header)]) == Sent("abc.def", "dpop")


def test_a_token_shows_in_no_repr() -> None:
    assert "abc.def" not in repr(Sent("abc.def"))


def test_no_authorization_header_is_no_token() -> None:
    assert sent([("cookie", "token=abc")]) is None


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ([("authorization", "Bearer a"), ("Authorization", "Bearer a")], "malformed"),
        ([("authorization", "Basic dXNlcjpwYXNz")], "malformed"),
        ([("authorization", "Bearer")], "malformed"),
        ([("authorization", "Bearer ")], "malformed"),
        ([("authorization", "")], "malformed"),
        ([("authorization", "abc.def.ghi")], "malformed"),
        ([("authorization", "Bearer two tokens")], "malformed"),
        ([("authorization", "Bearer a, Bearer b")], "malformed"),
        ([("authorization", "Bearer t\u00f6ken")], "malformed"),
        ([("authorization", "Bearer " + "a" * (MAX_TOKEN_BYTES + 1))], "too_large"),
        ([("authorization", "Bearer " + "a" * 100_000)], "too_large"),
    ],
)
def test_a_misshapen_authorization_header_is_refused(headers: list[tuple[str, str]], cause: str) -> None:
    with pytest.raises(Rejected) as refused:
        sent(headers)
    assert refused.value.cause == cause


def test_a_trusted_workload_speaks_as_the_user_it_names() -> None:
    named = as_end_user(BOT, [("x-end-user", "alice@example.com")], header="X-End-User")
    assert named == dataclasses.replace(
        BOT,
        subject=Subject(
            "user",
            Identity("https://id.example.com", "alice@example.com"),
            "asserted",
            groups=("support-users",),
            scopes=("mcp:read",),
            actors=(Identity("urn:mcp-gateway:keys", "support-bot"),),
        ),
        names_users=None,
    )


def test_a_trusted_workload_that_names_nobody_is_itself() -> None:
    assert as_end_user(BOT, [], header="X-End-User") is BOT


def test_naming_a_user_without_being_trusted_to_is_refused_and_not_ignored() -> None:
    with pytest.raises(Rejected) as refused:
        as_end_user(dataclasses.replace(BOT, names_users=None), [("X-End-User", "alice")], header="X-End-User")
    assert refused.value.cause == "end_user"


@pytest.mark.parametrize(
    "values", [[""], [" "], ["alice", "bob"], ["alice,bob"], ["al ice"], ["alice\x00"], ["\u00e4lice"], ["a" * 257]]
)
def test_an_end_user_that_cannot_be_one_name_is_refused(values: list[str]) -> None:
    with pytest.raises(Rejected) as refused:
        as_end_user(BOT, [("x-end-user", value) for value in values], header="X-End-User")
    assert refused.value.cause == "end_user"


@pytest.mark.parametrize("issuer", ["urn:mcp-gateway:canary", "URN:MCP-Gateway:canary", "urn:mcp-gateway:keys", ""])
def test_no_workload_may_name_users_of_a_reserved_issuer(issuer: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        NamesUsers(issuer)

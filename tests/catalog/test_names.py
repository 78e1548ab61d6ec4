"""Public names: whose an item is can be read from its name, and no two items share one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.names import NAME, check_uri, public_name, public_uri, split_name, split_uri, uri_problem
from gateway.errors import Kind, Refusal

BACKENDS = st.from_regex(r"[a-z][a-z0-9]{0,23}", fullmatch=True)
NAMES = st.from_regex(NAME, fullmatch=True)
URIS = st.one_of(
    st.from_regex(re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,8}:[!-~]{0,30}"), fullmatch=True),
    st.from_regex(re.compile(r"ui://[!-~]{0,30}"), fullmatch=True),
    st.from_regex(re.compile(r"gw-[a-z]{1,3}\+ui://[!-~]{0,9}"), fullmatch=True),
)


@given(BACKENDS, NAMES)
def test_a_public_name_tells_the_backend_and_its_own_name(backend: str, name: str) -> None:
    assert split_name(public_name(backend, name)) == (backend, name)


@given(BACKENDS, URIS)
def test_a_public_uri_tells_the_backend_and_its_own_uri(backend: str, uri: str) -> None:
    assert split_uri(public_uri(backend, uri)) == (backend, uri)


@given(BACKENDS, NAMES, BACKENDS, NAMES)
def test_two_items_never_share_a_public_name(one: str, name: str, other: str, its_name: str) -> None:
    assert (public_name(one, name) == public_name(other, its_name)) == ((one, name) == (other, its_name))


@given(BACKENDS, URIS, BACKENDS, URIS)
def test_two_resources_never_share_a_public_uri(one: str, uri: str, other: str, its_uri: str) -> None:
    assert (public_uri(one, uri) == public_uri(other, its_uri)) == ((one, uri) == (other, its_uri))


@given(st.text(max_size=40) | BACKENDS.map(lambda name: f"gw-{name}+ui://x") | BACKENDS.map(lambda name: f"ui://gw-{name}.x"))
def test_no_uri_has_two_public_forms(public: str) -> None:
    place = split_uri(public)
    assert place is None or public_uri(*place) == public


@given(BACKENDS, URIS)
def test_a_public_uri_is_judged_like_the_backends_own(backend: str, uri: str) -> None:
    assert uri_problem(uri) is None or uri_problem(public_uri(backend, uri)) is not None


def test_underscores_in_names_cannot_move_an_item_to_another_backend() -> None:
    # a_b + c against a + b_c, and names that begin with underscores
    assert public_name("a", "b__c") == "a__b__c"
    assert split_name("a__b__c") == ("a", "b__c")
    assert split_name("a___c") == ("a", "_c")
    assert split_name("a_b__c") is None


@pytest.mark.parametrize("public", ["", "__x", "crm__", "crm", "crm_x", "CRM__x", "9a__x", f"{'a' * 25}__x"])
def test_what_no_backend_could_have_made_is_no_public_name(public: str) -> None:
    assert split_name(public) is None


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("file:///a/b", "gw-crm+file:///a/b"),
        ("note://{owner}/{+path}", "gw-crm+note://{owner}/{+path}"),
        ("ui://panel/main.html", "ui://gw-crm.panel/main.html"),
        ("gw-other+file:///a", "gw-crm+gw-other+file:///a"),
    ],
)
def test_a_public_uri_is_a_prefix_so_that_templates_and_parts_stay_what_they_are(uri: str, public: str) -> None:
    assert public_uri("crm", uri) == public


ABSOLUTE = "uri must be an absolute URI in ASCII, with other characters percent-encoded"
AMBIGUOUS = "uri must not have dot segments, or an encoded dot, slash, backslash or percent sign"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", ABSOLUTE),
        ("/a/b", ABSOLUTE),
        ("gw-crm+relative", ABSOLUTE),
        ("gw-crm+:a", ABSOLUTE),
        ("file:///a b", ABSOLUTE),
        ("file:///a\n", ABSOLUTE),
        ("file:///é", ABSOLUTE),
        ("file:///a\\b", ABSOLUTE),
        ("file:///{x}", ABSOLUTE),
        ("file:///a/../b", AMBIGUOUS),
        ("file:///a/./b", AMBIGUOUS),
        ("file:///a/..", AMBIGUOUS),
        ("file:///a/..;x/b", AMBIGUOUS),
        ("gw-crm+file:..", AMBIGUOUS),
        ("gw-crm+file:///a/%2E%2e/b", AMBIGUOUS),
        ("ui://gw-crm.../x", AMBIGUOUS),  # ui://../x at the backend
        ("ui://gw-crm../x", AMBIGUOUS),  # ui://./x
        ("ui://gw-crm...", AMBIGUOUS),
        ("ui://gw-crm...;a/x", AMBIGUOUS),
        ("file:///a%2fb", AMBIGUOUS),
        ("file:///a%5Cb", AMBIGUOUS),
        ("file:///a%252e", AMBIGUOUS),
        ("file:///a%00", AMBIGUOUS),
    ],
)
def test_an_ambiguous_uri_is_refused_rather_than_mended(uri: str, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_uri(uri)
    assert (refused.value.kind, refused.value.message) == (Kind.INVALID_PARAMS, message)


@pytest.mark.parametrize("uri", ["file:///a/b.txt", "note://x?q=%2f..", "mailto:a@b.c", "ui://gw-crm.p/a", "gw-crm+x:a/...#/.."])
def test_a_plain_uri_is_taken_as_it_is(uri: str) -> None:
    assert uri_problem(uri) is None
    check_uri(uri)

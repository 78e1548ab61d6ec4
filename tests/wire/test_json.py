"""JSON of the wire: one reading, no damage, and a price that follows the size."""

import json as standard
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Kind, Refusal
from gateway.model import Json
from gateway.wire.json import check_depth, check_members, decode, encode

NOT_JSON = "the body is not JSON in UTF-8: "  # what follows are the parser's own words

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=150)
def test_what_is_encoded_is_read_back_as_it_was(value: Json) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, 2**64 + 1, -(2**63) - 1, 10**4000])
def test_no_integer_is_damaged(number: int) -> None:
    assert encode(decode(b'{"id":%d}' % number)) == b'{"id":%d}' % number


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", NOT_JSON),
        (b"{", NOT_JSON),
        (b"{}{}", NOT_JSON),
        (b"\xef\xbb\xbf{}", NOT_JSON),
        ("{}".encode("utf-16"), NOT_JSON),
        (b'{"a":NaN}', NOT_JSON),
        (b'{"a":Infinity}', NOT_JSON),
        (b'{"a":-Infinity}', NOT_JSON),
        (b'{"a":1e999}', NOT_JSON),
        (b"1" * 5000, NOT_JSON),
        (b'{"a":"\xff"}', "the body is not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "the body is not UTF-8"),
    ],
)
def test_bytes_that_readers_disagree_about_are_no_json(body: bytes, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        decode(body)
    assert (refused.value.kind, refused.value.message[: len(message)]) == (Kind.PARSE, message)


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\udc00"', r'"\ud800\ud800"', r'"\ud800x"', r'{"\udfff":1}'])
def test_a_lone_surrogate_is_no_json(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        decode(text.encode())
    assert refused.value.kind is Kind.PARSE


def test_nesting_beyond_the_parsers_own_stack_is_a_refusal_too() -> None:
    with pytest.raises(Refusal) as refused:
        decode(b"[" * 100_000)
    assert (refused.value.kind, refused.value.message) == (Kind.PARSE, "the body is nested too deeply")


def test_of_two_equal_keys_the_last_is_what_is_judged_and_what_is_sent_on() -> None:
    assert encode(decode(b'{"name":"safe","name":"other"}')) == b'{"name":"other"}'


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    try:
        value = decode(body)
    except Refusal as refusal:
        assert refusal.kind is Kind.PARSE
    else:
        assert decode(encode(value)) == value


# --- depth ---


def _depth(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


@given(
    st.recursive(
        st.sampled_from(["", "[[[", '"', "\\", '\\"{', "]}", "é"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["[", "}", 'a"']), inner, max_size=3),
        max_leaves=30,
    ),
    st.integers(0, 6),
)
@settings(max_examples=300)
def test_depth_is_judged_as_a_parser_would_count_it(value: Json, limit: int) -> None:
    body = standard.dumps(value).encode()
    try:
        check_depth(body, limit)
    except Refusal as refusal:
        assert (_depth(value) > limit, refusal.kind, refusal.cause) == (True, Kind.INVALID_REQUEST, "too_deep")
    else:
        assert _depth(value) <= limit


def test_exactly_the_limit_is_deep_enough() -> None:
    check_depth(b"[" * 64 + b"]" * 64, 64)
    with pytest.raises(Refusal, match="the body is nested deeper than 64 levels"):
        check_depth(b"[" * 65 + b"]" * 65, 64)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 4_000_000,
        b'{"a":' * 800_000,
        b"[" * 65 + b'\\"' * 2_000_000,  # a string that never ends, made of escaped quotes: quadratic for a naive pattern
        b"[" * 65 + b'"' + b"\\" * 4_000_000,
        b"]" * 4_000_000 + b"[" * 70,
        b"[" + b"[]," * 1_300_000 + b"0]",
        b'["' + b"[{," * 1_300_000 + b'"]',
    ],
    ids=["brackets", "objects", "escaped quotes", "backslashes", "closers", "siblings", "brackets in a string"],
)
def test_nested_json_never_costs_the_square_of_its_depth(body: bytes) -> None:
    started = time.process_time()
    for check, limit in ((check_members, 100_000), (check_depth, 64)):
        try:
            check(body, limit)
        except Refusal:
            break
    assert time.process_time() - started < 2.0  # tens of milliseconds; the square would be hours


# --- members ---


def test_more_members_than_the_limit_are_refused_before_they_are_parsed() -> None:
    check_members(b"[" + b"1," * 98 + b"1]", 100)
    with pytest.raises(Refusal) as refused:
        check_members(b"[" + b"1," * 100 + b"1]", 100)
    assert (refused.value.kind, refused.value.cause) == (Kind.TOO_LARGE, "too_many_members")


def test_commas_and_brackets_within_a_string_are_no_members() -> None:
    check_members(b'["' + b"[,{" * 1000 + b'"]', 10)

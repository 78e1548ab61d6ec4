"""Cursors: only ours, only for the caller, list and surface that they were made for, only for a while."""

import base64
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import cursor
from gateway.catalog.cursor import Cursor
from gateway.errors import Kind, Refusal

KEY = bytes(range(32))
NONCE = bytes(12)
PLAIN = Cursor(method="tools/list", caller_key="user\x1fidp\x1falice\x1fide", surface="default", expires_s=100.0, last="crm__a")


@dataclass(frozen=True)
class Reader:
    key: bytes = KEY
    method: str = PLAIN.method
    caller_key: str = PLAIN.caller_key
    surface: str = PLAIN.surface
    now_s: float = 99.0

    def open(self, text: str) -> Cursor:
        return cursor.open(text, self.key, method=self.method, caller_key=self.caller_key, surface=self.surface, now_s=self.now_s)


def assert_refused(text: str, reader: Reader) -> None:
    """Whatever is wrong with it, the answer is one and the same."""
    with pytest.raises(Refusal) as refused:
        reader.open(text)
    assert refused.value.kind is Kind.INVALID_PARAMS
    assert refused.value.message == "cursor: not one of this list, or too old; start again without a cursor"
    assert refused.value.data is None


@given(st.builds(Cursor, method=st.text(), caller_key=st.text(), surface=st.text(), expires_s=st.just(100.0), upstream=st.text()))
def test_its_owner_opens_a_cursor_whole(plain: Cursor) -> None:
    reader = Reader(method=plain.method, caller_key=plain.caller_key, surface=plain.surface)
    assert reader.open(cursor.seal(plain, KEY, NONCE)) == plain


@pytest.mark.parametrize(
    "reader",
    [
        Reader(key=bytes(32)),
        Reader(method="prompts/list"),
        Reader(caller_key="user\x1fidp\x1fbob\x1fide"),
        Reader(caller_key="user\x1fidp\x1falice\x1fother"),
        Reader(surface="engineering"),
        Reader(now_s=100.0),
    ],
    ids=["another gateway", "another list", "another subject", "another agent", "another surface", "too late"],
)
def test_a_foreign_or_expired_cursor_is_refused(reader: Reader) -> None:
    assert_refused(cursor.seal(PLAIN, KEY, NONCE), reader)


def test_the_parts_that_bind_a_cursor_cannot_be_shifted_into_each_other() -> None:
    sealed = cursor.seal(Cursor(method="a", surface="b", caller_key="c\0d", expires_s=100.0), KEY, NONCE)
    assert_refused(sealed, Reader(method="a", surface="b\0c", caller_key="d"))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_cursor_that_was_altered_anywhere_is_refused(place: int, flip: int) -> None:
    text = cursor.seal(PLAIN, KEY, NONCE)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= flip
    assert_refused(base64.urlsafe_b64encode(raw).decode().rstrip("="), Reader())


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_a_cursor_that_we_did_not_make_is_refused(text: str) -> None:
    assert_refused(text, Reader())


def test_an_empty_cursor_and_a_huge_one_are_refused() -> None:
    assert_refused("", Reader())
    assert_refused("A" * (cursor.MAX_CHARS + 1), Reader())


def test_a_backends_cursor_does_not_show_in_ours() -> None:
    plain = Cursor(method="m", caller_key="c", surface="s", expires_s=1.0, upstream="offset-of-the-backend")
    text = cursor.seal(plain, KEY, NONCE)
    assert b"offset" not in base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_cursor_that_could_not_be_opened_again_is_not_handed_out() -> None:
    plain = Cursor(method="m", caller_key="c", surface="s", expires_s=1.0, upstream="x" * cursor.MAX_CHARS)
    with pytest.raises(Refusal) as refused:
        cursor.seal(plain, KEY, NONCE)
    assert refused.value.kind is Kind.BACKEND_FAILED

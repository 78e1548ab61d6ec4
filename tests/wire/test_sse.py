"""Server-sent events: any cut of the bytes gives the same events, and none is larger than it may be."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.sse import KEEP_ALIVE, Decoder, Event, TooLong, encode


def events(*chunks: bytes, max_event_bytes: int = 10_000) -> list[Event]:
    decoder = Decoder(max_event_bytes)
    return list(itertools.chain.from_iterable(decoder.feed(chunk) for chunk in chunks))


def test_a_message_is_one_event() -> None:
    assert encode(b'{"a":1}') == b'event: message\r\ndata: {"a":1}\r\n\r\n'


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_line_break_in_a_message_starts_no_field_of_its_own(end: bytes) -> None:
    assert events(encode(b'{"a":' + end + b"id: 5" + end + end + b"1}")) == [Event('{"a":\nid: 5\n\n1}')]


@pytest.mark.parametrize(
    ("stream", "read"),
    [
        (b"data: a\n\ndata: b\n\n", [Event("a"), Event("b")]),
        (b"data: a\rdata: b\r\r", [Event("a\nb")]),
        (b"data:a\r\ndata:  b\r\n\r\n", [Event("a\n b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event("a")]),
        (KEEP_ALIVE + b": a comment\ndata: a\n\n", [Event("a")]),
        (b"event: ping\n\nevent: message\ndata: a\n\n", [Event("a")]),
        (b"event: other\ndata: a\n\ndata: b\n\n", [Event("a", "other"), Event("b")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [Event("a", id="7"), Event("b", id="7")]),
        (b"id: a\0b\ndata: a\n\n", [Event("a")]),
        (b"retry: 500\ndata: a\n\n", [Event("a", retry_ms=500)]),
        (b"retry: 5s\nretry: -1\nretry: \xb2\ndata: a\n\n", [Event("a")]),
        (b"data\n\n", [Event("")]),
        (b"data: \n\n", [Event("")]),
        (b"unknown: x\ndatax: y\nDATA: z\n\n", []),
        (b"data: \xff\n\n", [Event("\ufffd")]),
        (b"\n\n\r\n", []),
    ],
)
def test_a_stream_is_read_as_the_specification_says(stream: bytes, read: list[Event]) -> None:
    assert events(stream) == read


@pytest.mark.parametrize("stream", [b"data: a", b"data: a\n", b"data: a\r\n", b"id: 1\ndata: a\r"])
def test_an_event_that_the_end_cuts_short_is_dropped(stream: bytes) -> None:
    assert events(stream) == []


PIECES = st.sampled_from(
    [b"data: x", b"data:", b"data: \xc3\xa9", b"event: e", b"id: 1", b":", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"q"]
)


@given(st.lists(PIECES, max_size=24).map(b"".join), st.lists(st.integers(0, 100), max_size=8))
@settings(max_examples=400)
def test_any_cut_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    whole = events(stream)
    assert events(*(stream[start:end] for start, end in itertools.pairwise(at))) == whole
    assert events(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
@settings(max_examples=100)
def test_what_is_encoded_is_read_back(texts: list[str]) -> None:
    lines = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    assert events(*(encode(text.encode()) for text in texts)) == [Event(line) for line in lines]


def test_an_event_of_the_bound_passes_and_one_byte_more_does_not() -> None:
    assert events(b"data: " + b"x" * 93 + b"\n\n", max_event_bytes=100) == [Event("x" * 93)]
    with pytest.raises(TooLong, match="an event of more than 100 bytes"):
        events(b"data: " + b"x" * 95, max_event_bytes=100)


@pytest.mark.parametrize("piece", [b"data: xxxx\n", b"xxxxxxxxxx", b":xxxxxxxxx"])
def test_an_endless_event_ends_at_the_bound_however_it_is_made(piece: bytes) -> None:
    decoder = Decoder(1000)
    with pytest.raises(TooLong):
        for _ in range(1000):
            decoder.feed(piece)

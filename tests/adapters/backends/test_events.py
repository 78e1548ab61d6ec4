"""Event streams: any split of the bytes gives the same events, and none is larger than it may be."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.backends.events import Decoder, EventTooLarge

STREAM = (
    b"\xef\xbb\xbf: comment\r\ndata: one\r\n\r\nevent: message\rdata:two\rdata: lines\r\r\n"
    b"id: 7\nretry: 5\ndata\n\nevent: ping\ndata: not ours\n\ndata: \xc3\xa9\n\n\ndata: cut off"
)
EVENTS = [b"one", b"two\nlines", b"", b"\xc3\xa9"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    decoder = Decoder(1000)
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [event for start, end in pairwise(edges) for event in decoder.feed(STREAM[start:end])]
    assert found == EVENTS


@pytest.mark.parametrize("chunks", [[b"data: " + b"x" * 101], [b"x" * 60, b"y" * 60], [b"data: " + b"x" * 40 + b"\n"] * 3])
def test_an_event_over_the_bound_is_refused(chunks: list[bytes]) -> None:
    decoder = Decoder(100)
    with pytest.raises(EventTooLarge):
        for chunk in chunks:
            decoder.feed(chunk)


def test_many_small_lines_in_one_chunk_cost_time_in_proportion() -> None:
    assert Decoder(1000).feed(b"data: x\n\n" * 50_000) == [b"x"] * 50_000


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(EventTooLarge):
        Decoder(200).feed(data)

"""Server-sent events, both ways: one JSON-RPC message an event (WHATWG HTML, 9.2 server-sent events)."""

import re
from dataclasses import dataclass
from typing import Final

KEEP_ALIVE = b":\r\n\r\n"
"""A comment: keeps proxies from closing a silent stream, and says nothing."""

_LINE_ENDS: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"


class TooLong(ValueError):
    """An event, or one line of it, is over the bound."""


@dataclass(frozen=True, slots=True)
class Event:
    data: str
    type: str = "message"
    id: str | None = None  # the last one that the stream told, with this event or before
    retry_ms: int | None = None  # likewise


def encode(message: bytes) -> bytes:
    """One event. A line break within JSON can only be a blank between two tokens; each line is a `data:` of its own."""
    if b"\n" in message or b"\r" in message:
        message = b"\r\ndata: ".join(_LINE_ENDS.split(message))
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"


class Decoder:
    """Bytes to events, however they are cut. An event that the end cuts short is dropped, as the specification says."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._pending = bytearray()  # an unfinished line
        self._after_cr = False  # a line feed that comes next belongs to the line end before
        self._begun = False
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._type = ""
        self._id: str | None = None
        self._retry_ms: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises `TooLong`."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        events: list[Event] = []
        start = 0
        for end in _LINE_ENDS.finditer(chunk):
            self._after_cr = end.group() == b"\r" and end.end() == len(chunk)
            self._pending += chunk[start : end.start()]
            start = end.end()
            line = bytes(self._pending)
            self._pending.clear()
            self._line(line, events)
        self._pending += chunk[start:]
        self._check_size(len(self._pending))
        return events

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not self._begun:
            line, self._begun = line.removeprefix(_BOM), True
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
            self._check_size(0)
        elif field == b"event":
            self._type = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit():
            self._retry_ms = int(value[:9])

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            text = b"\n".join(self._data).decode("utf-8", "replace")
            events.append(Event(text, self._type or "message", self._id, self._retry_ms))
        self._data, self._data_bytes, self._type = [], 0, ""

    def _check_size(self, unfinished_bytes: int) -> None:
        if self._data_bytes + unfinished_bytes > self._max_event_bytes:
            raise TooLong(f"an event of more than {self._max_event_bytes} bytes")

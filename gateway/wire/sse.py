"""Server-sent events, both ways: one JSON-RPC message an event (WHATWG HTML, server-sent events)."""

from dataclasses import dataclass

KEEP_ALIVE = b":\r\n\r\n"
"""A comment: keeps proxies from closing a silent stream, and says nothing."""


class TooLong(Exception):
    """An event is over the bound."""


@dataclass(frozen=True, slots=True)
class Event:
    data: str
    type: str = "message"
    id: str | None = None
    retry_ms: int | None = None


def encode(message: bytes) -> bytes:
    """One event. JSON has no line breaks outside its escapes, so the data is one line."""
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"


class Decoder:
    """Bytes to events, however they are cut. An event that the end cuts short is dropped, as the specification says."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._data: list[str] = []
        self._size = 0
        self._type = ""
        self._id: str | None = None
        self._retry_ms: int | None = None
        self._begun = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises `TooLong`."""
        events: list[Event] = []
        self._rest += chunk
        if not self._begun and len(self._rest) >= 3:
            self._begun = True
            self._rest = self._rest.removeprefix(b"\xef\xbb\xbf")
        while (line := self._line()) is not None:
            event = self._read(line)
            if event is not None:
                events.append(event)
        if len(self._rest) + self._size > self._max_event_bytes:
            raise TooLong(f"an event of more than {self._max_event_bytes} bytes")
        return events

    def _line(self) -> bytes | None:
        """The next whole line; a CR at the very end may be the first half of a CRLF, so it waits."""
        if not self._begun and len(self._rest) < 3 and b"\n" not in self._rest and b"\r" not in self._rest:
            return None
        ends = [at for at in (self._rest.find(b"\n"), self._rest.find(b"\r")) if at >= 0]
        if not ends:
            return None
        end = min(ends)
        if self._rest[end : end + 1] == b"\r" and end + 1 == len(self._rest):
            return None
        width = 2 if self._rest[end : end + 2] == b"\r\n" else 1
        line, self._rest = self._rest[:end], self._rest[end + width :]
        return line

    def _read(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(line)
            if self._size > self._max_event_bytes:
                raise TooLong(f"an event of more than {self._max_event_bytes} bytes")
        elif field == "event":
            self._type = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self._retry_ms = int(value[:9])
        return None

    def _dispatch(self) -> Event | None:
        data, type = self._data, self._type or "message"
        self._data, self._type, self._size = [], "", 0
        return Event("\n".join(data), type, self._id, self._retry_ms) if data else None

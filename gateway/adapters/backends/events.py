"""Server-sent events, read as they come: any split of the bytes gives the same events, and none is larger than it may be.

Pure. WHATWG HTML, 9.2.6 "Interpreting an event stream". An event that the end of the stream cuts off is dropped.
"""


class EventTooLarge(ValueError):
    """One event, or one line of it, is over the bound."""


class Decoder:
    """The data of each event of type `message`; other types, ids and retry hints concern nobody here."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._pending = bytearray()  # an unfinished line
        self._searched = 0  # how much of it holds no line end
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._type = b""
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that `chunk` completes. Raises `EventTooLarge`."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._pending += chunk
        events: list[bytes] = []
        start = 0
        while (end := self._line_end(max(start, self._searched))) is not None:
            self._line(bytes(self._pending[start : end[0]]), events)
            start = end[1]
        del self._pending[:start]
        self._searched = len(self._pending)
        if len(self._pending) + self._data_bytes > self._max:
            raise EventTooLarge
        return events

    def _line_end(self, start: int) -> tuple[int, int] | None:
        """Where the line ends, and where the next one begins."""
        lf = self._pending.find(b"\n", start)
        cr = self._pending.find(b"\r", start, lf if lf >= 0 else len(self._pending))
        if cr < 0:
            return (lf, lf + 1) if lf >= 0 else None
        if cr + 1 == len(self._pending):
            self._after_cr = True  # its line feed may still come
            return cr, cr + 1
        return cr, cr + 2 if self._pending[cr + 1] == 0x0A else cr + 1

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if self._first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._first = False
        if not line:
            if self._data and self._type in (b"", b"message"):
                events.append(b"\n".join(self._data))
            self._data, self._data_bytes, self._type = [], 0, b""
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._max + 1:
                raise EventTooLarge
        elif name == b"event":
            self._type = value

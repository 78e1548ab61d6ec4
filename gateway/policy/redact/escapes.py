"""Escapes of JSON in a text that was not read as JSON: other readers are more lenient, so a match is also looked for behind them.

What was not read: JSON with a half of a surrogate pair or a number that is too large, lines of JSON, JSON in prose, a text alone.
"""

import re
from bisect import bisect_left
from typing import Final

from gateway.policy.redact.marker import Span

SIGN: Final = "\\u"  # without it there is none
MAX_CHARACTER_BYTES = 4
ONE_CHARS = 6  # of an escape that is no pair
_ESCAPE = re.compile(r"\\u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|[0-9a-fA-F]{4})")


def unescaped(text: str) -> str:
    """`text` with the characters that its escapes stand for."""
    return _ESCAPE.sub(_character, text)


def ends(text: str) -> list[int]:
    """Where in `unescaped(text)`, as UTF-8, characters end that were escaped."""
    found: list[int] = []
    position = before = 0
    for escape in _ESCAPE.finditer(text):
        start, end = escape.span()
        before += len((text[position:start] + _character(escape)).encode("utf-8", "replace"))
        position = end
        found.append(before)
    return found


def touched(escaped: list[int], match: Span) -> bool:
    """Whether one of these characters is part of the match or stands beside it, where it may be what makes it one."""
    nearest = bisect_left(escaped, match[0])
    return nearest < len(escaped) and escaped[nearest] - MAX_CHARACTER_BYTES <= match[1]


def _character(escape: re.Match[str]) -> str:
    said = escape[0]
    first = int(said[2:6], 16)
    if len(said) == ONE_CHARS:
        return chr(first)
    return chr(0x10000 + ((first & 0x3FF) << 10) + (int(said[8:], 16) & 0x3FF))  # RFC 8259, section 7: a pair is one character

"""What stands where something was: constant texts, and hashes that can be told from imitations.

What the gateway itself has put in is never redacted again; otherwise arguments that were redacted, and are then decided
a second time, would change once more. A constant can be known by its text. A hash cannot, and an unsealed one would let
a sixteen-digit card number pass as `[hash:4111111111111111]`; so the last four digits seal the first twelve.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import re2

REDACTED: Final = "[redacted]"
REDACTED_URI: Final = "redacted:link"  # a URI still: some clients refuse a whole result for a link that is none
WITHHELD_TEXT: Final = "[withheld: text that cannot be checked for redacted fields]"
WITHHELD_BINARY: Final = "[withheld: binary content cannot be checked]"
WITHHELD_UNKNOWN: Final = "[withheld: content of a kind that cannot be checked]"
WITHHELD_DEPTH: Final = "[withheld: nested too deeply to be checked]"
WITHHELD_MUCH: Final = "[withheld: too much to be checked]"
CONSTANTS: Final = (REDACTED, REDACTED_URI, WITHHELD_TEXT, WITHHELD_BINARY, WITHHELD_UNKNOWN, WITHHELD_DEPTH, WITHHELD_MUCH)

MIN_KEY_BYTES = 16
HASH_HEX, SEAL_HEX = 12, 4  # 48 bits tell values apart, 16 tell our marker from one that was typed in


class BadRedaction(ValueError):
    """A demanded redaction that cannot be understood; the message names what is wrong with it."""


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Hashes:
    """Keyed hashes: whoever lacks the key cannot find a card number by trying all of them."""

    key: bytes

    def marker(self, secret: bytes) -> str:
        return self._sealed(self._hex(b"value", secret, HASH_HEX))

    def is_own(self, marker: bytes) -> bool:
        """Whether `[hash:…]` is one that this key made."""
        body = marker[len("[hash:") :][:HASH_HEX].decode("ascii", "replace")
        return hmac.compare_digest(self._sealed(body).encode(), marker)

    def _sealed(self, body: str) -> str:
        return f"[hash:{body}{self._hex(b'seal', body.encode(), SEAL_HEX)}]"

    def _hex(self, purpose: bytes, data: bytes, digits: int) -> str:
        return hmac.digest(self.key, b"redact/" + purpose + b"\0" + data, "sha256").hex()[:digits]


@dataclass(frozen=True, slots=True)
class Markers:
    """Finds what the gateway has put into a text."""

    constants: tuple[bytes, ...]
    hashes: Hashes

    def spans(self, text: bytes) -> list[Span]:
        found = [span for constant in self.constants for span in _occurrences(constant, text)]
        if b"[hash:" in text:
            found += [match.span() for match in _HASH.finditer(text) if self.hashes.is_own(match.group())]
        return found


_HASH = re2.compile(rb"\[hash:[0-9a-f]{16}\]")


def _occurrences(constant: bytes, text: bytes) -> Iterator[Span]:
    start = text.find(constant)
    while start >= 0:
        yield start, start + len(constant)
        start = text.find(constant, start + len(constant))

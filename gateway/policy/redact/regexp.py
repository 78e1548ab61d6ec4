"""Regular expressions as rules write them: RE2 only, bounded in size, and none that matches everywhere."""

from collections.abc import Iterable
from typing import Protocol

import re2

from gateway.policy.redact.marker import BadRedaction, Span

MAX_PATTERN_CHARS = 4_096
MAX_PROGRAM_SIZE = 20_000  # RE2 instructions; six credential patterns together have 500
MAX_PATTERN_BYTES = 8 << 20  # RE2's own default for program and automaton together


class Regexp(Protocol):
    """The part of `re2`'s compiled pattern that is used; it comes without types."""

    def search(self, text: bytes) -> object: ...
    def finditer(self, text: bytes, pos: int = 0, endpos: int = ...) -> "Iterable[Match]": ...
    def fullmatch(self, text: bytes, pos: int = 0, endpos: int = ...) -> object: ...
    @property
    def programsize(self) -> int: ...


class Match(Protocol):
    def span(self) -> Span: ...
    def group(self) -> bytes: ...


def regexp(pattern: str) -> Regexp:
    """`pattern` compiled by RE2. Raises `BadRedaction`, also for one that matches the empty text."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise BadRedaction(f"a pattern may have {MAX_PATTERN_CHARS} characters, not {len(pattern)}")
    found = compiled(pattern)
    if found.search(b"") is not None:
        raise BadRedaction(f"pattern {pattern!r} matches the empty text, so it matches everywhere")
    return found


def compiled(pattern: str) -> Regexp:
    """The same without a measure of its length, for patterns that were put together here."""
    options = re2.Options()
    options.never_capture = True  # only whole matches are redacted, and finding them without groups is faster
    options.log_errors = False
    options.max_mem = MAX_PATTERN_BYTES
    try:
        found: Regexp = re2.compile(pattern.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        raise BadRedaction(f"pattern {pattern!r} is not RE2: {_reason(error)}") from error
    if found.programsize > MAX_PROGRAM_SIZE:
        raise BadRedaction(f"pattern {pattern!r} is too large: {found.programsize} steps of {MAX_PROGRAM_SIZE}")
    return found


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)

"""Regular expressions as rules write them: RE2 only, bounded in size, and none that matches everywhere."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import re2

from gateway.policy.redact.marker import BadRedaction, Span

MAX_PATTERN_CHARS = 4_096
MAX_PROGRAM_SIZE = 20_000  # RE2 instructions; six credential patterns together have 500
MAX_PATTERN_BYTES = 8 << 20  # RE2's own default for program and automaton together
MAX_GATE_SIZE = 2 * MAX_PROGRAM_SIZE  # one is filled up to half of it, so the largest pattern alone fits in any case
MAX_GATE_BYTES = 16 << 20  # with 8 MiB the automaton of a gate full of classes of Unicode is begun anew again and again


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
    found = _compiled(pattern, MAX_PROGRAM_SIZE, MAX_PATTERN_BYTES)
    if found.search(b"") is not None:
        raise BadRedaction(f"pattern {pattern!r} matches the empty text, so it matches everywhere")
    return found


def gate(patterns: Sequence[str]) -> Regexp:
    """One pattern that matches where any of these does; they are bounded already."""
    return _compiled("|".join(patterns), MAX_GATE_SIZE, MAX_GATE_BYTES)


def _compiled(pattern: str, max_size: int, max_bytes: int) -> Regexp:
    options = re2.Options()
    options.never_capture = True  # only whole matches are redacted, and finding them without groups is faster
    options.log_errors = False
    options.max_mem = max_bytes
    try:
        found: Regexp = re2.compile(pattern.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        raise BadRedaction(f"pattern {pattern!r} is not RE2: {_reason(error)}") from error
    if found.programsize > max_size:
        raise BadRedaction(f"pattern {pattern!r} is too large: {found.programsize} steps of {max_size}")
    return found


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)

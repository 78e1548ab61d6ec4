"""Patterns applied to one text: RE2 only, whose time is linear whatever a rule's author or a server writes.

All patterns are asked first in a few alternations, the gates; most texts end there. `re2.Set` would be as fast, but answers
"nothing" when it runs out of memory. The output is a fixed point: a match that only comes to be because its neighbour was
taken out is taken out too.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import re2

from gateway.policy.redact.checks import Checked
from gateway.policy.redact.escapes import SIGN, ends, touched, unescaped
from gateway.policy.redact.marker import CONSTANTS, REDACTED, BadRedaction, Hashes, Markers, Span
from gateway.policy.redact.regexp import MAX_PROGRAM_SIZE, Regexp, gate
from gateway.policy.redact.steps import CHECKED_STEPS, FOUND_STEPS, MATCH_STEPS, Steps

MAX_ROUNDS = 4
MAX_SPANS = 10_000  # in one text; beyond it the whole text goes: each may cost a scan to the text's end

RANKS = {"remove": 0, "replace": 1, "hash": 2}  # the strictest first


@dataclass(frozen=True, slots=True)
class PatternDuty:
    """One duty with a pattern; `index` is its place among all duties, for counting."""

    index: int
    regexp: Regexp
    keeps: Regexp | None
    action: str
    marker: str  # what replace puts in
    check: Checked | None = None

    @property
    def rank(self) -> tuple[int, int]:
        return RANKS[self.action], self.index


Found = tuple[int, int, PatternDuty]

BLANKS = " \t\r\n\ufeff"
_FLAGS_TAKEN_AWAY = re2.compile(r"\(\?[a-zA-Z]*-")  # one of them may be `m`
_LINE_EDGES = {r"\A": "(?m:^)", r"\z": "(?m:$)"}


class Tally:
    """How often each duty has been carried out in one value, and what it may still cost."""

    __slots__ = ("counts", "steps")

    def __init__(self, duties: int, steps: int) -> None:
        self.counts = [0] * duties
        self.steps = Steps(steps)

    def add(self, duty: int, count: int = 1) -> None:
        self.counts[duty] += count


@dataclass(frozen=True, slots=True)
class TextRedactor:
    """The pattern duties of one redactor, for any text."""

    duties: tuple[PatternDuty, ...]
    gates: tuple[Regexp, ...]  # each pattern is in one of them; none: some cannot be put together, so each is asked
    lines: tuple[Regexp, ...]  # the same for texts joined as lines; none: some pattern cannot be asked so
    markers: Markers
    hashes: Hashes

    def may_match(self, text: bytes) -> bool:
        """Cheap: False means that no pattern matches anywhere."""
        return bool(self.duties) and (not self.gates or _any_matches(self.gates, text))

    def may_match_any(self, texts: list[str]) -> bool:
        """The same for many texts at once; True also where only their neighbourhood makes a match."""
        if not self.lines:
            return True
        joined = "\n".join(texts)
        if "\\" in joined and any("\\" in text and text.lstrip(BLANKS)[:1] in ("{", "[") for text in texts):
            return True  # JSON with escapes has to be read first
        if SIGN in joined:
            joined = f"{joined}\n{unescaped(joined)}"
        return _any_matches(self.lines, joined.encode("utf-8", "replace"))

    def redacted(self, text: str, tally: Tally) -> str:
        """`text` without what the patterns match; the very same object where there is nothing."""
        if not self.duties or not text:
            return text
        original = data = text.encode("utf-8", "replace")
        if not self.may_match(data):
            return text
        for _ in range(MAX_ROUNDS):
            found = self.found(data, tally.steps)
            if not found:
                break
            for _, _, duty in found:
                tally.add(duty.index)
            data = REDACTED.encode() if len(found) > MAX_SPANS else self._applied(data, found)
        else:  # it would go on: markers that another pattern matches in their surroundings
            data = REDACTED.encode()
        return text if data == original else data.decode("utf-8", "replace")

    def escaped(self, text: str, tally: Tally) -> bool:
        """Whether escapes hide a match in `text`, which is no JSON that we can read."""
        if SIGN not in text or not self.duties or (plain := unescaped(text)) == text:
            return False
        data = plain.encode("utf-8", "replace")
        if not self.may_match(data):
            return False
        found = self.found(data, tally.steps)
        escapes = ends(text) if found else []
        for start, end, duty in found:
            if touched(escapes, (start, end)) or len(found) > MAX_SPANS:
                tally.add(duty.index)
                return True
        return False

    def found(self, text: bytes, steps: Steps) -> list[Found]:
        """What is to go, of every duty, overlaps included: no match kept by its `except`, nothing of our own making. All of
        the text where the steps do not suffice to say.
        """
        raw: list[Found] = []
        for duty in self.duties:
            for start, end in _matches(duty, text, steps):
                steps.take(FOUND_STEPS)
                if not (duty.keeps is not None and duty.keeps.fullmatch(text[start:end])):
                    raw.append((start, end, duty))
                if len(raw) > MAX_SPANS:
                    return raw
        own = sorted(self.markers.spans(text)) if raw else []
        return [span for span in raw if not _within(span, own)] if own else raw

    def whole(self, text: bytes, duty: PatternDuty) -> str:
        """What stands for a value that cannot be cut, a number for instance."""
        return self.hashes.marker(text) if duty.action == "hash" else duty.marker

    def _applied(self, text: bytes, found: list[Found]) -> bytes:
        pieces: list[bytes] = []
        position = 0
        for start, end, duty in _merged(found):
            pieces.append(text[position:start])
            if duty.action != "remove":
                pieces.append(self.whole(text[start:end], duty).encode())
            position = end
        pieces.append(text[position:])
        return b"".join(pieces)


def _any_matches(gates: tuple[Regexp, ...], text: bytes) -> bool:
    for one in gates:  # noqa: SIM110 — mostly there is one, and a generator around it costs as much as its search
        if one.search(text) is not None:
            return True
    return False


def _matches(duty: PatternDuty, text: bytes, steps: Steps) -> Iterator[Span]:
    """What `duty` finds, its check passed; all of the text once the steps are spent."""
    for match in duty.regexp.finditer(text):
        start, end = match.span()
        if end == start:
            continue
        if duty.check is None:
            steps.take(MATCH_STEPS)
            yield start, end
        elif steps.take(CHECKED_STEPS):
            yield from duty.check.parts(duty.regexp, text, (start, end), steps)
        if steps.spent:
            yield 0, len(text)
            return


def _within(found: Found, own: list[Span]) -> bool:
    """Whether the match lies in one of our own markers, which are sorted and hardly ever overlap."""
    nearest = bisect_right(own, found[0], key=lambda span: span[0])
    return any(found[1] <= end for _, end in own[max(0, nearest - len(CONSTANTS)) : nearest])


def _merged(found: list[Found]) -> list[Found]:
    """Overlapping spans as one, under the strictest duty among them."""
    merged: list[Found] = []
    for start, end, duty in sorted(found, key=lambda span: (span[0], span[1])):
        if merged and start < merged[-1][1]:
            first, last, other = merged[-1]
            merged[-1] = (first, max(last, end), min(duty, other, key=lambda one: one.rank))
        else:
            merged.append((start, end, duty))
    return merged


def text_redactor(duties: tuple[PatternDuty, ...], patterns: Sequence[str], markers: Markers) -> TextRedactor:
    """`patterns` are those of `duties`, as text."""
    sized = [(pattern, duty.regexp.programsize) for pattern, duty in zip(patterns, duties, strict=True)]
    return TextRedactor(duties, _gates(sized), _gates(sized, lines=True), markers, markers.hashes)


def _gates(sized: Sequence[tuple[str, int]], *, lines: bool = False) -> tuple[Regexp, ...]:
    """All patterns, given with their sizes, in as few as may be. With `lines`, the edges of a text are those of a line, so that
    a text among lines is found too; a pattern that takes flags away cannot be asked so.
    """
    if lines and any(_FLAGS_TAKEN_AWAY.search(pattern) for pattern, _ in sized):
        return ()
    if any(r"\Q" in pattern for pattern, _ in sized):  # an open quotation would swallow what follows
        return ()
    packed: list[list[str]] = []
    filled = MAX_PROGRAM_SIZE
    for pattern, size in sized:
        if filled + size > MAX_PROGRAM_SIZE:
            packed.append([])
            filled = 0
        packed[-1].append(f"(?m:{_by_lines(pattern)})" if lines else f"(?:{pattern})")
        filled += size
    try:
        return tuple(gate(together) for together in packed)
    except BadRedaction:  # one that can be read only alone
        return ()


def _by_lines(pattern: str) -> str:
    """`pattern` with the edges of a line where it names the edges of the text."""
    pieces: list[str] = []
    position = 0
    while position < len(pattern):
        width = 2 if pattern[position] == "\\" else 1  # a backslash and what it escapes are one
        piece = pattern[position : position + width]
        pieces.append(_LINE_EDGES.get(piece, piece))
        position += width
    return "".join(pieces)

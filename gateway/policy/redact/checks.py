"""What has to hold of a match beside its pattern: a checksum, or that an address is none of ours.

A number is looked for wherever a run of its characters begins within a match, not only where the match does: `17 4111 1111
1111 1111` is one match of most patterns for cards, and hides a card. Each part has to match the whole pattern by itself.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import NamedTuple, Protocol

from gateway.policy.duty import FOREIGN, Check
from gateway.policy.extract.addresses import recipients
from gateway.policy.extract.hosts import domain_name
from gateway.policy.extract.unreadable import Unreadable
from gateway.policy.redact.marker import BadRedaction, Span
from gateway.policy.redact.numbers import NUMBERS, Number, normal
from gateway.policy.redact.regexp import Regexp
from gateway.policy.redact.steps import Steps

REACH_BYTES = 4  # for each character of a number: how far beyond a match one that begins in it may end


ADDRESS_STEPS = 10  # to read one


class Checked(Protocol):
    """Which parts of a match count, at least the whole of it where it does; it ends early when the steps are spent."""

    def parts(self, regexp: Regexp, text: bytes, match: Span, steps: Steps) -> Iterator[Span]: ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of one kind."""

    number: Number

    def parts(self, regexp: Regexp, text: bytes, match: Span, steps: Steps) -> Iterator[Span]:
        start, end = match
        reach = REACH_BYTES * self.number.longest
        before, limit = max(0, start - 1), min(len(text), end + reach)
        runs = self._runs(text, before, limit, steps.left)
        if not steps.take(len(runs)):
            return
        runs = [run for run in runs if run.start >= start]  # an earlier one is a longer number
        if runs and limit < len(text) and runs[-1].end == limit:
            runs.pop()  # it may go on
        whole = match if end - start <= reach else None
        if whole is not None:
            inside = [run for run in runs if run.end <= end]
            if self._is_one(inside) and inside == self._runs(text, start, end, len(inside) + 1):
                yield whole
        ends = list(accumulate(len(run.said) for run in runs))
        compact = "".join([run.said for run in runs])
        holds = self.number.within(compact)
        for first, run in enumerate(runs):
            if run.start >= end:
                return
            begin = ends[first] - len(run.said)
            lengths = self.number.lengths(compact[begin : begin + 4])
            if not lengths:
                continue
            nearest = bisect_left(ends, begin + lengths[0], first)
            beyond = bisect_right(ends, begin + lengths[-1], nearest, min(len(ends), nearest + lengths[-1]))
            if not steps.take(beyond - nearest):
                return
            for last in range(nearest, beyond):
                if ends[last] - begin in lengths and holds(begin, ends[last]):
                    part = (run.start, runs[last].end)
                    if part != whole and regexp.fullmatch(text, *part) is not None:
                        yield part

    def _is_one(self, runs: "list[Run]") -> bool:
        compact = "".join([run.said for run in runs])
        return self.number.shortest <= len(compact) <= self.number.longest and self.number.holds(compact)

    def _runs(self, text: bytes, start: int, end: int, most: int) -> "list[Run]":
        """All characters that such numbers have, as far as they stand together; whatever stands between separates. Of more
        than `most`, one more.
        """
        while start and text[start] & 0xC0 == 0x80:
            start -= 1  # within a character
        while start < end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1
        piece = text[start:end]
        pattern = _LETTERS if self.number.letters else _DIGITS
        if piece.isascii():
            some = islice(pattern.finditer(piece.decode()), most + 1)
            return [Run(start + run.start(), start + run.end(), run.group().upper()) for run in some]
        runs: list[Run] = []
        said, position = piece.decode("utf-8", "replace"), 0
        for run in islice(pattern.finditer(said), most + 1):
            begin = start + len(said[position : run.start()].encode("utf-8", "replace"))
            start, position = begin + len(run.group().encode("utf-8", "replace")), run.end()
            runs.append(Run(begin, start, normal(run.group())))
        return runs


class Run(NamedTuple):
    """Where it stands, and what it says in the characters of its standard."""

    start: int
    end: int
    said: str


_DIGITS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class ForeignAddresses:
    """Addresses of mail, but for ours; names below our domains are not ours. What cannot be read is foreign."""

    domains: frozenset[str]
    addresses: frozenset[str]

    def parts(self, regexp: Regexp, text: bytes, match: Span, steps: Steps) -> Iterator[Span]:
        start, end = match
        steps.take(ADDRESS_STEPS)
        if not self._is_ours(text[start:end]):
            yield match

    def _is_ours(self, match: bytes) -> bool:
        try:
            named = list(recipients(match.decode()))
        except (Unreadable, UnicodeDecodeError):
            return False
        return len(named) == 1 and (named[0]["domain"] in self.domains or _plain(str(named[0]["address"])) in self.addresses)


def checked(check: Check, ours: tuple[str, ...] | None) -> Checked:
    """The check of that name. Raises `BadRedaction` for one that is not known, and for an own domain that is none."""
    if check == FOREIGN:
        return _foreign(ours)
    if check not in NUMBERS:
        raise BadRedaction(f"check {check!r} is none of {', '.join((*NUMBERS, FOREIGN))}")
    if ours is not None:
        raise BadRedaction(f"'ours' belongs to the check {FOREIGN}")
    return Numbers(NUMBERS[check])


def _foreign(ours: tuple[str, ...] | None) -> ForeignAddresses:
    if ours is None:
        raise BadRedaction(f"the check {FOREIGN} needs 'ours', which may be empty")
    try:
        domains = frozenset(domain_name(name) for name in ours if "@" not in name)
        addresses = frozenset(_plain(_address(name)) for name in ours if "@" in name)
    except Unreadable as unreadable:
        raise BadRedaction(f"'ours' names something that is neither a domain nor an address: {unreadable}") from unreadable
    return ForeignAddresses(domains, addresses)


def _address(name: str) -> str:
    named = list(recipients(name))
    if len(named) != 1:
        raise Unreadable("it names several")
    return str(named[0]["address"])


def _plain(address: str) -> str:
    return address.casefold()  # servers may tell Ann from ann; who owns the one owns the other

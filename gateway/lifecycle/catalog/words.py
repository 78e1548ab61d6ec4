"""Texts of backends as a reader may see them: nothing in them moves, hides or colours anything, and changes stand in brackets."""

import difflib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

MAX_TEXT = 4_000  # characters of one text that are shown; what is longer is cut, and has a sign (`signals.py`)
MAX_NAME = 100  # of a member's name: likewise
KEPT = 6  # unchanged words shown on each side of a change
PIECES = re.compile(r"\s+|[^\W_]+|.", re.DOTALL)
MAX_WORDS = (
    300  # on either side that are compared; it costs up to their number times that of the pairs, and texts are a backend's
)
MAX_PAIRS = 10_000  # of equal words
BRACKETS = re.compile(r"\[-|-\]|\{\+|\+\}")


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Literal["same", "removed", "added"]
    text: str


def visible(text: str) -> str:
    """`text` in which each character can be seen, in one line: what cannot, or turns the line around, is written `\\u{…}`."""
    return "".join(each if each.isprintable() and not _sly(each) else _escaped(each) for each in text)


def shortened(text: str, most: int = MAX_TEXT) -> str:
    """`visible`; of what is longer than `most` characters the head and the tail, and how much lies between."""
    return _cut_to(text, most, visible)


def quoted(text: str) -> str:
    """A text as JSON writes it, visible and shortened; what counts is its own length, not that of its escapes."""
    return f'"{_cut_to(text, MAX_TEXT, lambda part: visible(json.dumps(part, ensure_ascii=False)[1:-1]))}"'


def _cut_to(text: str, most: int, write: Callable[[str], str]) -> str:
    if len(text) <= most:
        return write(text)
    tail = most // 4
    return f"{write(text[: most - tail])} … {len(text) - most:,} more characters … {write(text[-tail:])}"


def changed_words(before: str, now: str) -> tuple[Piece, ...]:
    """`now` against `before`, word by word. What is too long to compare is shown as removed and added."""
    old, new = PIECES.findall(before), PIECES.findall(now)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    middle = old[start : len(old) - end], new[start : len(new) - end]
    found = [Piece("same", "".join(old[:start]))]
    if _costly(*middle):
        found += [Piece("removed", "".join(middle[0])), Piece("added", "".join(middle[1]))]
    else:
        found += _changes(*middle)
    found.append(Piece("same", "".join(old[len(old) - end :])))
    return tuple(piece for piece in found if piece.text)


def _costly(old: list[str], new: list[str]) -> bool:
    ours, theirs = (Counter(each for each in side if not each.isspace()) for side in (old, new))
    pairs = sum(count * theirs[word] for word, count in ours.items())
    return max(ours.total(), theirs.total()) > MAX_WORDS or pairs > MAX_PAIRS


def _changes(old: list[str], new: list[str]) -> Iterator[Piece]:
    """Blanks alone between two changes are part of them: nobody reads word after word in brackets of its own."""
    removed = added = blanks = ""
    for gone, come, same in _aligned(old, new):
        if gone or come:
            removed, added, blanks = removed + blanks + gone, added + blanks + come, ""
        blanks += same
        if same.strip() or not (removed or added):
            yield from (Piece("removed", removed), Piece("added", added), Piece("same", blanks))
            removed = added = blanks = ""
    yield from (Piece("removed", removed), Piece("added", added), Piece("same", blanks))


def _aligned(old: list[str], new: list[str]) -> Iterator[tuple[str, str, str]]:
    """What goes, what comes, and what stays behind both, by words: blanks are compared only where they stand between them."""
    words = [[at for at, each in enumerate(side) if not each.isspace()] for side in (old, new)]
    compared = difflib.SequenceMatcher(None, [old[at] for at in words[0]], [new[at] for at in words[1]], autojunk=False)
    kept = [(words[0][i + at], words[1][j + at]) for i, j, size in compared.get_matching_blocks() for at in range(size)]
    a = b = 0
    for i, j in (*kept, (len(old), len(new))):
        head = _common(old[a:i], new[b:j])
        tail = _common(old[a + head : i][::-1], new[b + head : j][::-1])
        yield "", "", "".join(old[a : a + head])
        yield "".join(old[a + head : i - tail]), "".join(new[b + head : j - tail]), "".join(old[i - tail : i + 1])
        a, b = i + 1, j + 1


def bracketed(pieces: tuple[Piece, ...]) -> str:
    """One line: `[-removed-]{+added+}`, what is unchanged cut to a few words. No text can put such brackets there itself."""
    said = []
    for place, piece in enumerate(pieces):
        text = piece.text
        if piece.kind == "same":
            text = _cut(text, first=place == 0, last=place == len(pieces) - 1)
        shown = BRACKETS.sub(lambda met: f"{met[0][0]}\\{met[0][1]}", shortened(text))
        said.append({"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}[piece.kind].format(shown))
    return "".join(said)


def _cut(text: str, *, first: bool, last: bool) -> str:
    words = re.findall(r"\s*\S+|\s+", text)
    most = KEPT if first or last else 2 * KEPT
    if len(words) <= most:
        return text
    head = [] if first else words[:KEPT]
    tail = [] if last else words[-KEPT:]
    return f"{''.join(head)}{' …' if head else '…'}{''.join(tail)}"


def _common(one: list[str], other: list[str]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _sly(each: str) -> bool:
    """Combining marks may pile up over other lines, and fillers are letters that show nothing."""
    return unicodedata.category(each) in {"Mn", "Me"} or each in "\u115f\u1160\u3164\uffa0\u2800"


def _escaped(each: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(each, f"\\u{{{ord(each):x}}}")

"""Texts of backends as a reader may see them: nothing in them moves, hides or colours anything, and changes stand in brackets."""

import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

MAX_TEXT = 4_000  # characters of one text that are shown; what is longer is cut, and has a sign (`signals.py`)
MAX_NAME = 100  # of a member's name: likewise
KEPT = 6  # unchanged words shown on each side of a change
PIECES = re.compile(r"\s+|[^\W_]+|.", re.DOTALL)
MAX_WORDS = 2_000  # on either side; comparing costs up to their product, and the text is a backend's
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
    if max(len(middle[0]), len(middle[1])) > MAX_WORDS:
        found += [Piece("removed", "".join(middle[0])), Piece("added", "".join(middle[1]))]
    else:
        found += _changes(*middle)
    found.append(Piece("same", "".join(old[len(old) - end :])))
    return tuple(piece for piece in found if piece.text)


def _changes(old: list[str], new: list[str]) -> Iterator[Piece]:
    """Blanks alone between two changes are part of them: nobody reads word after word in brackets of its own."""
    removed = added = ""
    operations = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for place, (tag, a, b, c, d) in enumerate(operations):
        same = "".join(old[a:b]) if tag == "equal" else ""
        if tag == "equal" and (same.strip() or not (removed or added) or place == len(operations) - 1):
            yield from (Piece("removed", removed), Piece("added", added), Piece("same", same))
            removed = added = ""
        else:
            removed += "".join(old[a:b])
            added += "".join(new[c:d])
    yield from (Piece("removed", removed), Piece("added", added))


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

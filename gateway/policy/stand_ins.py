"""Stand-ins for what a recording must not hold: alike for alike values, of the same form, and not to be turned back.

Numbers, booleans and short words of one case stay (a region, a mode, a state); everything else that a caller or a
backend said is replaced, word by word, each letter by a letter and each digit by a digit, so that two values which were equal
are equal, two which differed differ, and whatever compares them whole, word by word or regardless of case judges alike.
Under a name that says secret nothing stays. A replaced place is named, so that nobody takes a stand-in for the value.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from gateway.model import Json, JsonObject

REPLACED = ("arguments", "extracted", "result", "unknown_arguments")  # members of the document that callers and backends fill
MAX_WORD_CHARS = 24  # a longer word may be a key
MAX_TEXT_CHARS = 512  # a longer text is replaced whole: word by word would cost milliseconds
MAX_PLACES = 100  # named one by one; beyond, the whole member counts as replaced
ROUNDS = 4  # of the Feistel network that makes words out of words
DIGITS, LETTERS = 10, 26

V = TypeVar("V")

_SHORT_WORD = re.compile(rf"(?=.{{1,{MAX_WORD_CHARS}}}\Z)(?:[a-z]+(?:[_.-][a-z]+)*|[A-Z]+(?:[_.-][A-Z]+)*)")
_MEMBER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.-]{0,63}")
_RUN = re.compile(r"[^\W_]+")  # letters and digits of any script
_SECRET = re.compile(
    r"pass(?:word|wd|phrase)|secret|token(?!s)|credential|cookie|session|authori[sz]ation|(?:api|access|private|signing)[_-]?key"
    r"|\bpin\b|\bcvv\b|\bcvc\b|\botp\b|signature|bearer",
    re.IGNORECASE,
)


@dataclass(slots=True)
class StandIns:
    """One document's: the values with their stand-ins, and where they are (RFC 6901 below `input`, `*` for any element)."""

    document: JsonObject
    places: tuple[str, ...] = ()


@dataclass(slots=True)
class _Work:
    word: Callable[[str], str]
    key: bytes
    places: dict[str, None] = field(default_factory=dict)


def stand_ins(document: JsonObject, key: bytes) -> StandIns:
    """The document (without the outer `input`) as it may be recorded. `key`: who knows it could try values out."""
    work = _Work(_words(key), key)
    said = {name: _replaced(value, (name,), False, work) if name in REPLACED else value for name, value in document.items()}
    return StandIns(said, _bounded(tuple(work.places)))


def of_answer(answer: Json, key: bytes) -> Json:
    """What a policy answered, with stand-ins in the details of its refusals: rules quote arguments there."""
    if not isinstance(answer, dict):
        return answer
    work = _Work(_words(key), key)
    said = dict(answer)
    for name in ("denials", "waived"):
        refusals = answer.get(name)
        if isinstance(refusals, list):
            said[name] = [_without_details(each, work) for each in refusals]
    return said


def _without_details(refusal: Json, work: _Work) -> Json:
    if not isinstance(refusal, dict) or "details" not in refusal:
        return refusal
    return {**refusal, "details": _replaced(refusal["details"], ("details",), False, work)}


def _replaced(value: Json, path: tuple[str, ...], secret: bool, work: _Work) -> Json:
    """Depth is bounded by the wire, which refuses what is nested too deep."""
    if isinstance(value, dict):
        members = list(_members(value, path, secret, work))
        return dict(members)
    if isinstance(value, list):
        return [_replaced(each, (*path, "*"), secret, work) for each in value]
    if isinstance(value, str):
        kept = not value or (not secret and _SHORT_WORD.fullmatch(value) is not None)
        return value if kept else _marked(_text(value, work), path, work)
    if secret and isinstance(value, int) and not isinstance(value, bool):
        return _marked(_number(value, work), path, work)
    return value


def _members(value: JsonObject, path: tuple[str, ...], secret: bool, work: _Work) -> Iterator[tuple[str, Json]]:
    for name, member in value.items():
        shown = name
        if _MEMBER.fullmatch(name) is None:
            shown = _marked(_text(name, work), (*path, "*"), work)
        below = (*path, shown if shown == name else "*")
        yield shown, _replaced(member, below, secret or _SECRET.search(name) is not None, work)


def _marked(stand_in: V, path: tuple[str, ...], work: _Work) -> V:
    work.places["/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)] = None
    return stand_in


def _text(text: str, work: _Work) -> str:
    if len(text) <= MAX_TEXT_CHARS:
        return _RUN.sub(lambda run: work.word(run.group()), text)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=work.key, digest_size=16).hexdigest()
    return f"text of {len(text)} characters {digest}"


def _number(number: int, work: _Work) -> int:
    digits = work.word(str(abs(number)))
    return int(digits) if number >= 0 else -int(digits)


def _bounded(places: tuple[str, ...]) -> tuple[str, ...]:
    return places if len(places) <= MAX_PLACES else tuple(dict.fromkeys("/" + each.split("/")[1] for each in places))


@lru_cache(maxsize=4)
def _words(key: bytes) -> Callable[[str], str]:
    """Word -> stand-in under this key, remembered for the words that come again and again."""

    @lru_cache(maxsize=8192)
    def word(text: str) -> str:
        return _permuted(text, key)

    return word


def _permuted(text: str, key: bytes) -> str:
    """One to one among words of the same pattern of letters and digits: a Feistel network over their two halves.

    Upper case is put back afterwards, so that words which differ only in case have stand-ins that differ only in case.
    What is neither a letter of ASCII nor a digit becomes a letter, so of such words only the equal ones are sure to stay apart.
    """
    folded = text.lower() if len(text.lower()) == len(text) else text
    radices = [DIGITS if each in "0123456789" else LETTERS for each in folded]
    values = [_value(each) for each in folded]
    half = len(values) // 2
    left, right = values[:half], values[half:]
    odd = "" if folded.isascii() else folded
    pattern = "".join("d" if radix == DIGITS else "l" for radix in radices) + odd
    for number in range(ROUNDS):
        left = _shifted(left, radices[:half], (pattern, number, "l", bytes(right)), key)
        right = _shifted(right, radices[half:], (pattern, number, "r", bytes(left)), key)
    shown = [str(value) if radix == DIGITS else chr(97 + value) for value, radix in zip(left + right, radices, strict=True)]
    return "".join(each.upper() if before.isupper() else each for each, before in zip(shown, text, strict=True))


def _value(character: str) -> int:
    if character in "0123456789":
        return ord(character) - 48
    return (ord(character) - 97) % LETTERS


def _shifted(values: list[int], radices: list[int], by: tuple[str, int, str, bytes], key: bytes) -> list[int]:
    """Each digit moved on by its own part of a keyed hash: one to one for whatever the hash is of."""
    pattern, number, side, other = by
    stream = b""
    while len(stream) < len(values):
        seed = f"{pattern} {number} {side} {len(stream)} ".encode("utf-8", "surrogatepass") + other
        stream += hashlib.blake2b(seed, key=key, digest_size=64).digest()
    return [(value + byte) % radix for value, byte, radix in zip(values, stream, radices, strict=False)]

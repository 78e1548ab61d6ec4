"""Stand-ins for what a recording must not hold: alike for alike values, of the same form, and not to be turned back.

Small numbers, booleans and short words of one case stay (a region, a mode, a state); everything else that a caller or a
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
QUOTING = ("denials", "waived", "observed")  # members of the answer in which rules quote them
MAX_WORD_CHARS = 24  # a longer word may be a key
MAX_DIGITS = 9  # a longer whole number may be a card's or a telephone's
MAX_NAME_WORDS, MAX_NAME_DIGITS = 6, 4  # a member's name with more may be a key
MAX_TEXT_CHARS = 512  # a longer text is replaced whole: word by word would cost milliseconds
MAX_PLACES = 100  # named one by one; beyond, the whole member counts as replaced
ROUNDS = 4  # of the Feistel network that makes words out of words
DIGITS, LETTERS = 10, 26

V = TypeVar("V")

_SHORT_WORD = re.compile(rf"(?=.{{1,{MAX_WORD_CHARS}}}\Z)(?:[a-z]+(?:[_.-][a-z]+)*|[A-Z]+(?:[_.-][A-Z]+)*)")
_MEMBER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.-]{0,63}")
_NAME_WORD = re.compile(rf"(?:[A-Z]?[a-z]{{1,{MAX_WORD_CHARS}}}|[A-Z]{{1,{MAX_WORD_CHARS}}})\d{{0,4}}|\d{{1,3}}")
_NAME_BORDER = re.compile(r"[_$.-]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
_RUN = re.compile(r"[^\W_]+")  # letters and digits of any script
_SECRET = re.compile(
    r"pass(?:word|wd|phrase|code)|secret|token(?!s)|credential|cookie|session|authori[sz]ation"
    r"|(?:api|access|private|signing)[_-]?key|signature|bearer",
    re.IGNORECASE,
)
_SECRET_WORDS = frozenset({"pin", "puk", "cvv", "cvc", "otp", "totp", "pwd", "pass", "auth", "jwt"})  # of a name's words


@dataclass(slots=True)
class StandIns:
    """One document's: the values with their stand-ins, and where they are (RFC 6901 below `input`, `*` for any element)."""

    document: JsonObject
    places: tuple[str, ...] = ()


@dataclass(slots=True)
class _Work:
    word: Callable[[str], str]
    key: bytes
    own: frozenset[str]  # texts of the gateway
    places: dict[str, None] = field(default_factory=dict)


def stand_ins(document: JsonObject, key: bytes) -> StandIns:
    """The document (without the outer `input`) as it may be recorded. `key`: who knows it could try values out."""
    work = _Work(_words(key), key, own_words(document))
    said = {name: _replaced(value, (name,), False, work) if name in REPLACED else value for name, value in document.items()}
    return StandIns(said, _bounded(tuple(work.places)))


def of_answer(answer: Json, key: bytes, own: frozenset[str] = frozenset()) -> Json:
    """What a policy answered, or a record that says as much, with stand-ins in the details of refusals: rules quote
    arguments there. `own`: texts that stay.
    """
    if not isinstance(answer, dict):
        return answer
    work = _Work(_words(key), key, own)
    return {name: _without_details(said, work) if name in QUOTING else said for name, said in answer.items()}


def own_words(document: JsonObject) -> frozenset[str]:
    """What the gateway itself says in a document: where it found a text of which kind, and why it cannot be read."""
    kinds = document.get("extracted")
    lists = [each for each in kinds.values() if isinstance(each, list)] if isinstance(kinds, dict) else []
    entries = [entry for each in lists for entry in each if isinstance(entry, dict)]
    said = [entry.get("why") for entry in entries] + [_place(entry.get("at")) for entry in entries]
    return frozenset(each for each in said if isinstance(each, str))


def _place(at: Json) -> str | None:
    """A pointer, where it consists of names and numbers alone."""
    if not isinstance(at, str):
        return None
    return at if all(_is_name(each) or each.isdecimal() for each in at.split("/")[1:]) else None


def _without_details(said: Json, work: _Work) -> Json:
    if isinstance(said, list):
        return [_without_details(each, work) for each in said]
    if not isinstance(said, dict):
        return said
    return {
        name: _replaced(each, (name,), False, work) if name == "details" else _without_details(each, work)
        for name, each in said.items()
    }


def _replaced(value: Json, path: tuple[str, ...], secret: bool, work: _Work) -> Json:
    """Depth is bounded by the wire, which refuses what is nested too deep."""
    if isinstance(value, dict):
        members = list(_members(value, path, secret, work))
        return dict(members)
    if isinstance(value, list):
        return [_replaced(each, (*path, "*"), secret, work) for each in value]
    if isinstance(value, str):
        kept = not value or value in work.own or (not secret and _SHORT_WORD.fullmatch(value) is not None)
        return value if kept else _marked(_text(value, work), path, work)
    if isinstance(value, int) and not isinstance(value, bool) and (secret or abs(value) >= 10**MAX_DIGITS):
        return _marked(_number(value, work), path, work)
    return value


def _members(value: JsonObject, path: tuple[str, ...], secret: bool, work: _Work) -> Iterator[tuple[str, Json]]:
    for name, member in value.items():
        shown = name
        if not _is_name(name):
            shown = _marked(_text(name, work), (*path, "*"), work)
        below = (*path, shown if shown == name else "*")
        yield shown, _replaced(member, below, secret or _says_secret(name), work)


def _is_name(name: str) -> bool:
    """Whether a member's name is one that somebody gave to a member, and not a value: no address, no key."""
    if _MEMBER.fullmatch(name) is None or sum(each.isdigit() for each in name) > MAX_NAME_DIGITS:
        return False
    words = _name_words(name)
    return len(words) <= MAX_NAME_WORDS and all(_NAME_WORD.fullmatch(each) for each in words)


def _says_secret(name: str) -> bool:
    return _SECRET.search(name) is not None or not _SECRET_WORDS.isdisjoint(each.lower() for each in _name_words(name))


@lru_cache(maxsize=4096)
def _name_words(name: str) -> tuple[str, ...]:
    """`cardCvv_2` -> card, Cvv, 2."""
    return tuple(each for each in _NAME_BORDER.split(name) if each)


def _marked(stand_in: V, path: tuple[str, ...], work: _Work) -> V:
    work.places["/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)] = None
    return stand_in


def _text(text: str, work: _Work) -> str:
    if len(text) <= MAX_TEXT_CHARS:
        return _RUN.sub(lambda run: work.word(run.group()), text)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=work.key, digest_size=16).hexdigest()
    return f"text of {len(text)} characters {digest}"


def _number(number: int, work: _Work) -> int:
    """Of as many digits: a stand-in that begins with 0 is replaced once more, which keeps all apart."""
    digits = work.word(str(abs(number)))
    while len(digits) > 1 and digits[0] == "0":
        digits = work.word(digits)
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

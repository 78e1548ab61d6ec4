"""Numbers that carry a checksum, each by the text of its standard: arithmetic on digits, without their separators.

What a standard leaves open counts as valid: what is taken for a number too much is redacted, one too few is lost.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from gateway.policy.duty import Check

Part: TypeAlias = Callable[[int, int], bool]
"""Whether the part of one row of characters, from a place to a place, holds."""


@dataclass(frozen=True, slots=True)
class Number:
    """`holds` is asked for `shortest` to `longest` characters: decimal digits as ASCII, and capital letters where `letters`."""

    holds: Callable[[str], bool]
    shortest: int
    longest: int
    letters: bool = False
    heads: Callable[[str], Sequence[int]] | None = None  # how long, in order, one may be that begins with these four characters
    rows: Callable[[str], Part] | None = None  # `holds` for every part of one row, each in constant time

    def lengths(self, head: str) -> Sequence[int]:
        return range(self.shortest, self.longest + 1) if self.heads is None else self.heads(head)

    def within(self, row: str) -> Part:
        """`holds`, for parts of `row`."""
        return (lambda begin, end: self.holds(row[begin:end])) if self.rows is None else self.rows(row)


def normal(run: str) -> str:
    """Decimal digits of any script as ASCII, letters without width and case."""
    return "".join(str(unicodedata.decimal(char, char)) for char in unicodedata.normalize("NFKC", run).upper())


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right doubled, its digits added; the sum is a multiple of 10."""
    return luhn_within(digits)(0, len(digits))


def luhn_within(row: str) -> Part:
    """Sums up to every place, one with the digits at even places doubled and one with those at odd places: a part that ends
    at an even place has its doubled digits at even places, so the difference of two sums is its own.
    """
    once, twice = row.encode().translate(_ONCE), row.encode().translate(_DOUBLED)
    even, odd = bytearray(once), bytearray(once)
    even[0::2], odd[1::2] = twice[0::2], twice[1::2]
    sums = list(accumulate(even, initial=0)), list(accumulate(odd, initial=0))

    def holds(begin: int, end: int) -> bool:
        upto = sums[end % 2]
        return (upto[end] - upto[begin]) % 10 == 0

    return holds


_ONCE = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


def iban(text: str) -> bool:
    """ISO 13616-1: two letters, two digits, then the account; moved behind it, as a number, 1 modulo 97 (ISO 7064).

    A country that the table does not know may have any length.
    """
    if not text.isascii() or len(text) not in iban_lengths(text[:4]):
        return False
    return int((text[4:] + text[:4]).translate(_AS_DIGITS)) % 97 == 1


_AS_DIGITS = {ord(letter): str(value) for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)}


def iban_lengths(head: str) -> Sequence[int]:
    """How long an account may be that begins so; none: no account does."""
    if not (head.isascii() and head[:2].isalpha() and head[2:4].isdigit()):
        return ()
    known = IBAN_LENGTHS.get(head[:2])
    return range(15, 35) if known is None else (known,)


# The IBAN registry of SWIFT, release 99: total lengths.
IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}


def aba(digits: str) -> bool:
    """The routing number of a bank of the United States: a district that exists; weights 3, 7, 1, modulo 10."""
    district = int(digits[:2])
    known = district <= 12 or 21 <= district <= 32 or 61 <= district <= 72 or district == 80
    return known and digits != "000000000" and _weighed(digits, (3, 7, 1, 3, 7, 1, 3, 7, 1)) % 10 == 0


def nhs(digits: str) -> bool:
    """The NHS number of England, Wales and the Isle of Man: weights 10 to 2; 11 less the rest modulo 11; 10 is none."""
    check = 11 - _weighed(digits[:9], range(10, 1, -1)) % 11
    return check != 10 and check % 11 == int(digits[9])


def aadhaar(digits: str) -> bool:
    """The number of residents of India: begins with 2 to 9; Verhoeff's checksum over the dihedral group of order 10."""
    rest = 0
    for place, digit in enumerate(reversed(digits)):
        rest = _DIHEDRAL[rest][_PERMUTED[place % 8][int(digit)]]
    return digits[0] not in "01" and rest == 0


_DIHEDRAL = tuple(tuple((a + b) % 5 + 5 * (b >= 5) if a < 5 else (a - b) % 5 + 5 * (b < 5) for b in range(10)) for a in range(10))


def _permutations() -> tuple[tuple[int, ...], ...]:
    powers = [tuple(range(10))]
    for _ in range(7):
        powers.append(tuple((1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit] for digit in powers[-1]))
    return tuple(powers)


_PERMUTED = _permutations()


def cpf(digits: str) -> bool:
    """The number of taxpayers of Brazil: two check digits modulo 11; all digits alike are none."""
    first = _weighed(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = _weighed(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def nir(text: str) -> bool:
    """The French number of social security: sex, year, month, place (2A and 2B in Corsica), rank, and 97 less all modulo 97."""
    plain = text[:5] + text[5:7].replace("2A", "19").replace("2B", "18") + text[7:]
    if not (plain.isascii() and plain.isdigit()) or plain[0] not in "123478":
        return False
    return 97 - int(plain[:13]) % 97 == int(plain[13:])


def _weighed(digits: str, weights: "range | tuple[int, ...]") -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


NUMBERS: dict[Check, Number] = {
    "luhn": Number(luhn, 13, 19, rows=luhn_within),
    "iban": Number(iban, 15, 34, letters=True, heads=iban_lengths),
    "aba": Number(aba, 9, 9),
    "nhs": Number(nhs, 10, 10),
    "aadhaar": Number(aadhaar, 12, 12),
    "cpf": Number(cpf, 11, 11),
    "nir": Number(nir, 15, 15, letters=True),
}

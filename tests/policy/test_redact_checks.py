"""Checks beside patterns: a number counts only with its checksum, an address only where it is none of ours."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Json
from gateway.policy.duty import Redaction
from gateway.policy.redact import BadRedaction, Redacted, compile_redactions
from gateway.policy.redact.numbers import NUMBERS

KEY = b"0123456789abcdef0123456789abcdef"
SEPARATED = r"[\p{Zs}\t\p{Pd}.]{0,3}"
CARD = rf"\p{{Nd}}(?:{SEPARATED}\p{{Nd}}){{12,}}"
BOUNDED_CARD = r"\b(?:\d[ -]?){12,18}\d\b"
LETTER = r"A-Za-z\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}"
IBAN = rf"[{LETTER}]{{2}}\p{{Nd}}{{2}}(?:[ -]?[{LETTER}\p{{Nd}}]){{11,}}"
ADDRESS = r"[^\s<>,;:()]+(?:@[^\s<>,;:()]+)+"
VALID: dict[str, tuple[str, ...]] = {
    "luhn": ("4111111111111111", "378282246310005", "5555555555554444", "6011111111111117", "4222222222222"),
    "iban": ("DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"),
    "aba": ("021000021", "111000025", "322271627"),
    "nhs": ("9434765919", "4505577104"),
    "aadhaar": ("234123412346", "999941057058"),
    "cpf": ("52998224725", "11144477735"),
    "nir": ("255081416802538", "269054958815780"),
}
OURS = ("example.com", "bücher.example", "tax@office.example.net")


def duty(pattern: str, check: str | None, **changes: object) -> Redaction:
    fields: dict[str, object] = {
        "target": "arguments",
        "pointer": None,
        "except_pattern": None,
        "action": "replace",
        "value": "#",
        "binary": None,
    }
    return Redaction("org/r", "c", pattern=pattern, check=check, **{**fields, **changes})  # type: ignore[arg-type]


def done(value: Json, one: Redaction) -> Redacted:
    return compile_redactions([one], KEY).arguments({"-": value})


def cut(value: Json, one: Redaction) -> Json:
    return done(value, one).value.get("-")


@pytest.mark.parametrize(("check", "number"), [(check, number) for check, numbers in VALID.items() for number in numbers])
def test_a_number_counts_with_its_checksum_and_with_no_other(check: str, number: str) -> None:
    one = duty(r"[0-9A-Za-z]+", check)
    assert cut(f"no. {number}.", one) == "no. #."
    wrong = number[:-1] + str((int(number[-1], 36) + 1) % 10)
    assert cut(f"no. {wrong}.", one) == f"no. {wrong}."


def test_every_check_of_a_number_has_numbers_here() -> None:
    assert set(VALID) == set(NUMBERS)


TEXTS: dict[str, tuple[str, str, str, str | None]] = {
    "alone": ("luhn", CARD, "4111111111111111", "#"),
    "in groups": ("luhn", CARD, "pay 4111 1111 1111 1111 now", "pay # now"),
    "with hyphens": ("luhn", CARD, "4111-1111-1111-1111", "#"),
    "digit by digit": ("luhn", CARD, "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "#"),
    "with separators of other scripts": ("luhn", CARD, "4111\u00a01111\u20111111\u20091111", "#"),
    "fullwidth digits": ("luhn", CARD, "\uff14\uff11" + "\uff11" * 14, "#"),
    "Arabic digits": ("luhn", CARD, "\u0664" + "\u0661" * 15, "#"),
    "digits of several scripts": ("luhn", CARD, "4111 1111 1111 \uff11\u0661\u0967\u0661", "#"),
    "another number before it": ("luhn", CARD, "17 4111 1111 1111 1111", "17 #"),
    "another number behind it": ("luhn", CARD, "4111 1111 1111 1111 17", "# 17"),
    "a pattern that ends within it": ("luhn", BOUNDED_CARD, "1234 4111 1111 1111 1111", "1234 #"),
    "two in one match": ("luhn", CARD, "4111 1111 1111 1111 - 378282246310005", "# - #"),
    "a wrong one before a right one": ("luhn", CARD, "4111 1111 1111 1112 4111 1111 1111 1111", "4111 1111 1111 1112 #"),
    "a wrong one": ("luhn", CARD, "4111 1111 1111 1112", "4111 1111 1111 1112"),
    "a longer number": ("luhn", CARD, "41111111111111110000000", "41111111111111110000000"),
    "a pattern that ends within a longer number": ("luhn", r"\d{16}", "41111111111111110 a41111111111111110", None),
    "a pattern that begins within a longer number": ("luhn", r"4\d{15}", "94111111111111111", None),
    "a pattern with a word before the number": ("luhn", r"card:? [\d ]{13,}", "card: 4111 1111 1111 1111", "#"),
    "in JSON": ("luhn", CARD, r'{"a": "4111\u00201111 1111 1111"}', '{"a":"#"}'),
    "as a number in JSON": ("luhn", CARD, '{"a": 4111111111111111, "b": 4111111111111112}', '{"a":"#","b":4111111111111112}'),
    "an IBAN": ("iban", IBAN, "to DE89 3704 0044 0532 0130 00 by", "to # by"),
    "an IBAN in small letters": ("iban", IBAN, "gb82west12345698765432", "#"),
    "an IBAN in wide letters": ("iban", IBAN, "\uff24\uff25\uff18\uff19370400440532013000", "#"),
    "an IBAN among words": ("iban", IBAN, "ab12 pay DE89370400440532013000 OK THEN", "ab12 pay # OK THEN"),
    "an IBAN of another length": ("iban", IBAN, "DE3800044053201300", "DE3800044053201300"),
    "no IBAN": ("iban", IBAN, "DE89 3704 0044 0532 0130 01", "DE89 3704 0044 0532 0130 01"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_numbers_are_found_as_the_table_says(case: str) -> None:
    check, pattern, before, expected = TEXTS[case]
    after = before if expected is None else expected
    assert cut(before, duty(pattern, check)) == after
    assert cut(after, duty(pattern, check)) == after


def test_a_number_that_is_none_of_text_and_a_key_are_checked_too() -> None:
    one = duty(CARD, "luhn")
    assert [cut(value, one) for value in (4111111111111111, 4111111111111111.0, 4111111111111112)] == ["#", "#", 4111111111111112]
    keys = compile_redactions([one], KEY).arguments({"4111111111111111": 1, "4111111111111112": 2}).value
    assert keys == {"#": 1, "4111111111111112": 2}


def test_a_checked_number_over_the_border_of_two_blocks_takes_both() -> None:
    one = duty(CARD, "luhn", target="result")
    texts = ["4111 1111 ", "1111 1111", " and 4111 1111 1111 1112"]
    result: dict[str, Json] = {"content": [{"type": "text", "text": text} for text in texts]}
    assert compile_redactions([one], KEY).result(result).withheld == 2


def test_except_and_every_action_go_with_a_check() -> None:
    text = "4111 1111 1111 1111, 5555555555554444"
    assert cut(text, duty(CARD, "luhn", except_pattern="5{12}4{4}")) == "#, 5555555555554444"
    assert cut(text, duty(CARD, "luhn", action="remove", value=None)) == ", "
    hashed = cut(text, duty(CARD, "luhn", action="hash", value=None))
    assert re.fullmatch(r"\[hash:[0-9a-f]{16}\], \[hash:[0-9a-f]{16}\]", str(hashed))
    assert done(text, duty(CARD, "luhn")).hits[0].count == 2


def test_a_text_with_more_parts_than_can_be_looked_at_goes_whole() -> None:
    assert cut("1 " * 40_000, duty(CARD, "luhn")) == "#"


def blocks(*texts: str) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": text} for text in texts]}


MUCH = "[withheld: too much to be checked]"
WORST: dict[str, dict[str, Json]] = {
    "many texts of many parts": blocks(*["4 1 " * 5_000] * 50),
    "one text of many parts": blocks("4 1 " * 250_000),
    "many values of one part": {"structuredContent": {"ids": ["4111111111111112"] * 50_000}},
    "many keys of one part": {"structuredContent": {f"4111111111111112 {each}": 1 for each in range(40_000)}},
    "many numbers": {"structuredContent": {"ids": [4111111111111112] * 50_000}},
    "many cards": {"structuredContent": {"ids": ["4111111111111111"] * 50_000}},
}


@pytest.mark.parametrize("case", WORST)
def test_the_steps_of_one_result_are_counted_over_all_of_it_and_all_duties(case: str) -> None:
    """Otherwise a result of many texts costs many times what one text may."""
    duties = [duty(CARD, "luhn", target="result"), duty(IBAN, "iban", target="result")]
    result: dict[str, Json] = {**WORST[case], "last": ["4111111111111111"]}
    done = compile_redactions(duties, KEY).result(result)
    assert (done.spent, "last" in done.value) == (True, False)
    assert done.withheld > 0


def test_what_is_left_when_the_steps_are_spent_is_withheld_unseen() -> None:
    one = compile_redactions([duty(CARD, "luhn", target="result")], KEY)
    done = one.result({"completion": {"values": ["hello", "4 2 " * 100_000, "hello"]}})
    assert done.value == {"completion": {"values": ["hello", "#", MUCH]}}


def test_neighbouring_blocks_in_which_the_steps_end_are_withheld_together() -> None:
    done = compile_redactions([duty(CARD, "luhn", target="result")], KEY).result(blocks("hello", "4 2 " * 100_000, "hello"))
    assert done.value == blocks(MUCH, MUCH, MUCH)


def test_a_large_table_with_few_numbers_keeps_all_else() -> None:
    rows: list[Json] = [{"id": row, "note": "nothing to see"} for row in range(60_000)]
    kept: list[Json] = [*rows[:30_000], {"card": "4111111111111111"}, *rows[30_000:]]
    done = compile_redactions([duty(CARD, "luhn", target="result")], KEY).result({"structuredContent": {"rows": kept}})
    assert done.value == {"structuredContent": {"rows": [*rows[:30_000], {"card": "#"}, *rows[30_000:]]}}


def test_what_is_nested_deep_is_not_asked_about_at_every_depth() -> None:
    """Told by the steps: each of sixty arrays around one large one is looked at, and the large one but a few times."""
    value: Json = [1] * 2_000
    for _ in range(60):
        value = ["4111111111111111", value]
    done = compile_redactions([duty(CARD, "luhn", target="result")], KEY).result({"structuredContent": value})
    assert (done.hits[0].count, done.spent) == (60, False)


ADDRESSES: dict[str, tuple[str, str]] = {
    "ours": ("ask ann@example.com now", "ask ann@example.com now"),
    "ours in capitals": ("Ann@EXAMPLE.com", "Ann@EXAMPLE.com"),
    "ours, international": ("ann@b\u00fccher.example", "ann@b\u00fccher.example"),
    "ours, as DNS writes it": ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
    "a single address": ("TAX@office.example.net", "TAX@office.example.net"),
    "somebody else there": ("ann@office.example.net", "#"),
    "foreign": ("ask eve@evil.example now", "ask # now"),
    "below ours": ("eve@guests.example.com", "#"),
    "ends alike": ("eve@evilexample.com", "#"),
    "begins alike": ("eve@example.com.evil.example", "#"),
    "a look-alike": ("ann@ex\u0430mple.com", "#"),
    "two signs": ("ann@example.com@evil.example", "#"),
    "a percent route": ("eve%evil.example@example.com", "#"),
    "a machine": ("ann@[192.0.2.1]", "#"),
    "a domain without a dot": ("ann@localhost", "#"),
    "an invisible character": ("ann@exam\u200bple.com", "#"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_every_address_but_ours_goes(case: str) -> None:
    before, after = ADDRESSES[case]
    assert cut(before, duty(ADDRESS, "foreign_address", ours=OURS)) == after


def test_where_nothing_is_ours_every_address_goes() -> None:
    assert cut("ann@example.com", duty(ADDRESS, "foreign_address", ours=())) == "#"


BAD: dict[str, tuple[Redaction, str]] = {
    "an unknown check": (duty("a", "isbn"), "check 'isbn' is none of"),
    "a check of a pointer": (duty(None, "luhn", pointer="/a"), "'check' belongs to a pattern"),  # type: ignore[arg-type]
    "ours without a check": (duty("a", None, ours=()), "'ours' belongs to a check"),
    "ours of another check": (duty("a", "luhn", ours=()), "'ours' belongs to the check foreign_address"),
    "nothing said of ours": (duty("a", "foreign_address"), "needs 'ours'"),
    "ours that is no domain": (duty("a", "foreign_address", ours=("localhost",)), "neither a domain nor an address"),
    "ours that is no address": (duty("a", "foreign_address", ours=("a@b@c.example",)), "neither a domain nor an address"),
    "ours that is several": (duty("a", "foreign_address", ours=("a@b.example,c@d.example",)), "neither a domain nor"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_check_that_cannot_be_understood_is_refused_with_the_reason(case: str) -> None:
    one, reason = BAD[case]
    with pytest.raises(BadRedaction, match=reason):
        compile_redactions([one], KEY)


# --- what holds for every text ------------------------------------------------------------------------------------------

few = settings(max_examples=120, deadline=None)
digits = st.sampled_from("0123456789")
numbers = st.text(digits, min_size=1, max_size=20)


def with_check_digit(payload: str) -> str:
    return next(payload + digit for digit in "0123456789" if plain_luhn(payload + digit))


def plain_luhn(number: str) -> bool:
    """As the standard tells it, in as many words as it takes."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        if place % 2:
            value *= 2
            value = value - 9 if value > 9 else value
        total += value
    return total % 10 == 0


cards = st.text(digits, min_size=12, max_size=18).map(with_check_digit)
separators = st.sampled_from(["", " ", "-", "  ", "\u00a0", "\u2011", ". "])
scripts = st.sampled_from([0x30, 0x660, 0x966, 0xFF10, 0x1D7CE])


@st.composite
def written(draw: st.DrawFn, number: str) -> str:
    """A number with separators where it pleases, in digits of any scripts."""
    pieces = [chr(draw(scripts) + int(digit)) + draw(separators) for digit in number[:-1]]
    return "".join(pieces) + number[-1]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Cards, other numbers and words, near to each other."""
    parts = draw(st.lists(cards.flatmap(written) | numbers | st.sampled_from(["a", "no.", "\u00e4", "[", "#"]), max_size=5))
    return draw(st.sampled_from([" ", "-", ", ", "\n"])).join(parts)


def valid_parts(text: str, pattern: str) -> list[str]:
    """All parts of a text from a digit's run to a digit's run that have a checksum and match; slowly, with `re`."""
    decimal = [char.isdecimal() for char in text]
    begins = [at for at, is_digit in enumerate(decimal) if is_digit and not (at and decimal[at - 1])]
    ends = [at + 1 for at, is_digit in enumerate(decimal) if is_digit and not (at + 1 < len(text) and decimal[at + 1])]
    found = []
    for begin in begins:
        for end in ends:
            number = "".join(str(int(char)) for char in text[begin:end] if char.isdecimal())
            if 13 <= len(number) <= 19 and plain_luhn(number) and re.compile(pattern).fullmatch(text, begin, end):
                found.append(text[begin:end])
    return found


SLOW = r"\d(?:[ \t\u00a0\u2009\u2010-\u2015.-]{0,3}\d){12,}"  # CARD as `re` says it


@few
@given(texts(), st.sampled_from(["replace", "remove", "hash"]))
def test_no_text_keeps_a_number_with_a_checksum_that_the_pattern_matches(text: str, action: str) -> None:
    one = duty(CARD, "luhn", action=action, value="[gone]" if action == "replace" else None)
    after = str(cut(text, one))
    assert valid_parts(re.sub(r"\[hash:[0-9a-f]{16}\]", "[gone]", after), SLOW) == []


@few
@given(texts())
def test_a_text_without_a_checksum_is_left_alone(text: str) -> None:
    before: dict[str, Json] = {"-": text}
    after = compile_redactions([duty(CARD, "luhn")], KEY).arguments(before)
    assert (after.value is before) == (valid_parts(text, SLOW) == [])


@few
@given(cards.flatmap(written), st.sampled_from(["replace", "remove", "hash"]))
def test_a_card_is_found_however_it_is_written(card: str, action: str) -> None:
    one = duty(CARD, "luhn", action=action, value=None)
    assert card not in str(cut(f"pay {card} at once", one))
    assert card not in str(cut({"deep": [f'{{"card": "{card}"}}']}, one))


@few
@given(st.sampled_from(sorted(NUMBERS)), st.text("0123456789ABDE", min_size=1, max_size=34))
def test_a_checksum_is_asked_about_anything_and_fails_over_nothing(check: str, text: str) -> None:
    after = str(cut(text, duty(r"\w+", check)))
    assert after == text or "#" in after

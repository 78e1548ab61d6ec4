"""Escapes hide nothing either where a text looks like JSON and our decoder, stricter than others, does not take it."""

import pytest

from gateway.model import Json, JsonObject
from gateway.policy.duty import Redaction
from gateway.policy.redact import Hit, Redacted, compile_redactions
from gateway.policy.redact.escapes import ends, unescaped

KEY = b"0123456789abcdef0123456789abcdef"
TOKEN = r"\bghp_[A-Za-z0-9]{12,}"
PLAIN = "ghp_abcdefABCDEF"
HIDDEN = "\\u0067hp_abcdefABCDEF"
DEEP = "[withheld: nested too deeply to be checked]"
ONE_HIT = (Hit("org/r", "c", 1),)


def redacted(result: JsonObject, pattern: str = TOKEN, action: str = "replace") -> Redacted:
    owed = Redaction("org/r", "c", "result", None, pattern, None, action, None, None)  # type: ignore[arg-type]
    return compile_redactions([owed], KEY).result(result)


def blocks(said: str) -> JsonObject:
    return {"content": [{"type": "text", "text": said}]}


UNREAD: dict[str, str] = {
    "half of a surrogate pair": f'{{"a":"{HIDDEN}","b":"\\ud800"}}',
    "a number that is too large": f'{{"a":"{HIDDEN}","b":1e999}}',
    "a number that is none": f'{{"a":"{HIDDEN}","b":NaN}}',
    "a text alone": f'"{HIDDEN}"',
    "lines of JSON": f'{{"a":"{HIDDEN}"}}\n{{"b":1}}',
    "JSON in a fence": f'```json\n{{"a":"{HIDDEN}"}}\n```',
    "an escape at the end of what matches alone": "see ghp_abcdefABCDEF\\u0047HIJ",
    "an escape right before it": "see\\u0020ghp_abcdefABCDEF",
    "an escape right after it": "see ghp_abcdefABCDEF\\u0020",
    "capital digits": "\\u0067\\u0068\\u0070\\u005Fabcdef\\u0041BCDEF",
}


@pytest.mark.parametrize("action", ["remove", "replace", "hash"])
@pytest.mark.parametrize("case", UNREAD)
def test_a_text_goes_whole_if_escapes_hide_a_match_in_it(case: str, action: str) -> None:
    assert redacted(blocks(UNREAD[case]), action=action) == Redacted(blocks("[redacted]"), ONE_HIT)


@pytest.mark.parametrize("case", UNREAD)
def test_escapes_hide_nothing_among_many_other_texts(case: str) -> None:
    rows: list[Json] = [f"row {row}" for row in range(50)]
    done = redacted({"structuredContent": {"rows": [*rows, UNREAD[case], *rows]}})
    assert done == Redacted({"structuredContent": {"rows": [*rows, "[redacted]", *rows]}}, ONE_HIT)


def test_a_pair_of_escapes_is_one_character() -> None:
    assert redacted(blocks("no. \\ud835\\udfd2\\ud835\\udfd2"), r"\p{Nd}{2}\z") == Redacted(blocks("[redacted]"), ONE_HIT)


def test_a_match_away_from_any_escape_is_cut_alone() -> None:
    before, after = (f'{{"name":"J\\u00fcrgen","key":"{key}"}}\n{{"b":1}}' for key in (PLAIN, "[redacted]"))
    assert redacted(blocks(before)) == Redacted(blocks(after), ONE_HIT)


@pytest.mark.parametrize("said", ["C:\\users\\ada", "J\\u00fcrgen and ghp_", "\\u12", '{"a": "\\u00fc"}\n{"a": "\\ud800"}'])
def test_a_text_with_escapes_that_hide_nothing_stays_as_it_is(said: str) -> None:
    within: JsonObject = {"structuredContent": {"a": [said]}}
    for before in (blocks(said), within):
        assert redacted(before).value is before


def test_json_that_is_nested_too_deeply_to_be_decoded_is_withheld() -> None:
    deep = f'{{"a":"{HIDDEN}","b":{"[" * 1_500}{"]" * 1_500}}}'
    assert redacted(blocks(deep)) == Redacted(blocks(DEEP), (), withheld=1)


def test_more_matches_than_are_counted_beside_an_escape_take_the_text() -> None:
    done = redacted(blocks("1 " * 10_001 + "and \\u0041"), r"\d")
    assert done.value == blocks("[redacted]")


@pytest.mark.parametrize("text", ["", "a", "\\u0041", "é\\u00e9z", "\\ud835\\udfd2x", "\\ud800x\\u0041", "x\\\\u0041"])
def test_the_ends_of_escaped_characters_are_those_in_the_text_without_escapes(text: str) -> None:
    data = unescaped(text).encode("utf-8", "replace")
    assert all(data[:end].decode() for end in ends(text))
    assert len(ends(text)) == text.count("\\u") - text.count("\\udf")

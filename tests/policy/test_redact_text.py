"""Patterns on one text: what goes, what stays, and what stands in its place."""

import hmac

import msgspec
import pytest

from gateway.model import Json
from gateway.policy.duty import Redaction
from gateway.policy.redact import BadRedaction, Redactor, compile_redactions

KEY = b"0123456789abcdef0123456789abcdef"


def duty(pattern: str, **changes: object) -> Redaction:
    fields: dict[str, object] = {
        "rule": "org/r",
        "code": "c",
        "target": "arguments",
        "pointer": None,
        "except_pattern": None,
        "action": "replace",
        "value": None,
        "binary": None,
    }
    return Redaction(pattern=pattern, **{**fields, **changes})  # type: ignore[arg-type]


def redactor(*duties: Redaction) -> Redactor:
    return compile_redactions(duties, KEY)


def cut(text: str, *duties: Redaction) -> Json:
    return redactor(*duties).arguments({"-": text}).value["-"]


TABLE: dict[str, tuple[str, str, list[Redaction]]] = {
    "replaced": ("a 12 b 34", "a [redacted] b [redacted]", [duty(r"\d+")]),
    "removed": ("a 12 b", "a  b", [duty(r"\d+", action="remove")]),
    "own value": ("a 12 b", "a # b", [duty(r"\d+", value="#")]),
    "a value that is no text": ("a 12 b", "a 0 b", [duty(r"\d\d+", value=0)]),
    "an empty value": ("a 12 b", "a  b", [duty(r"\d+", value="")]),
    "a value that its own pattern matches": ("a 12 b", "a 000 b", [duty(r"\d+", value="000")]),
    "except keeps a match": ("a@x.org b@y.org", "a@x.org [redacted]", [duty(r"\w+@[\w.]+", except_pattern=r"\w+@x\.org")]),
    "except must be the whole match": ("a@x.org.evil", "[redacted]", [duty(r"\w+@[\w.]+", except_pattern=r"\w+@x\.org")]),
    "except loosens its own duty only": (
        "a@x.org",
        "[redacted]",
        [duty(r"\w+@[\w.]+", except_pattern=r"\w+@x\.org"), duty(r"@x\.org\b|a@x.org", rule="other/r")],
    ),
    "overlapping spans merge": ("abcdef", "[redacted]f", [duty("abc"), duty("bcde")]),
    "touching spans stay apart": ("abcd", "[redacted][redacted]", [duty("ab"), duty("cd")]),
    "remove beats replace": ("xabcdefx", "xx", [duty("abcd"), duty("cdef", action="remove")]),
    "replace beats hash": ("abcdef", "[redacted]", [duty("abcd", action="hash"), duty("cdef")]),
    "what removal brings together goes too": ("ababcc", "", [duty("abc", action="remove")]),
    "umlauts and emoji around": ("ä12😀", "ä[redacted]😀", [duty(r"\d+")]),
    "flags are a pattern's own": ("AB ab CD cd", "[redacted] [redacted] CD [redacted]", [duty("(?i)ab"), duty("cd")]),
    "an open quotation": ("a.b a|b", "[redacted] [redacted]", [duty(r"\Qa.b"), duty(r"a\|b")]),
    "nothing": ("abc", "abc", [duty(r"\d")]),
}


@pytest.mark.parametrize("case", TABLE)
def test_text_is_redacted_as_the_table_says(case: str) -> None:
    before, after, duties = TABLE[case]
    assert cut(before, *duties) == after
    assert cut(after, *duties) == after


def test_a_hash_is_keyed_sealed_and_the_same_for_the_same_text() -> None:
    body = hmac.digest(KEY, b"redact/value\x004111111111111111", "sha256").hex()[:12]
    seal = hmac.digest(KEY, b"redact/seal\x00" + body.encode(), "sha256").hex()[:4]
    one = duty(r"\b\d{16}\b", action="hash")
    assert cut("pay 4111111111111111", one) == f"pay [hash:{body}{seal}]"
    other_key = compile_redactions([one], b"another key of the gateway").arguments({"-": "4111111111111111"})
    assert other_key.value["-"] != f"[hash:{body}{seal}]"


def test_a_hash_of_our_own_stays_even_where_a_pattern_matches_it() -> None:
    one = duty(r"[0-9a-f]{16}", action="hash")
    once = cut("4111111111111111", one)
    assert isinstance(once, str)
    assert once.startswith("[hash:")
    assert cut(once, one) == once


def test_a_secret_dressed_up_as_a_hash_does_not_pass() -> None:
    assert cut("[hash:4111111111111111]", duty(r"\d{16}")) == "[hash:[redacted]]"


def test_a_pattern_that_would_never_come_to_rest_takes_the_whole_text() -> None:
    assert cut("x1x1x1", duty("x.", value="axax")) == "[redacted]"


def test_too_many_matches_take_the_whole_text() -> None:
    assert cut("1 " * 10_001, duty(r"\d")) == "[redacted]"


@pytest.mark.parametrize("action", ["remove", "replace", "hash"])
def test_a_number_is_matched_by_its_digits_and_goes_whole(action: str) -> None:
    done = redactor(duty("^4[0-9]+$", action=action)).arguments({"a": 42, "b": 4.5, "c": [45, 1], "d": True})
    assert done.hits[0].count == 2
    assert "42" not in str(done.value)
    assert (done.value["b"], done.value["d"]) == (4.5, True)


def test_members_whose_keys_are_redacted_alike_stay_two() -> None:
    done = redactor(duty(r"\d+")).arguments({"12": "a", "34": "b", "x": "c"})
    first, second, third = done.value.items()
    assert (first, second[1], third) == (("[redacted]", "a"), "b", ("x", "c"))
    assert second[0].startswith("[hash:")
    assert redactor(duty(r"\d+", action="remove")).arguments({"12": "a", "x": "c"}).value == {"x": "c"}


BAD: dict[str, tuple[dict[str, object], str]] = {
    "not RE2": ({"pattern": "("}, "is not RE2"),
    "a look-ahead": ({"pattern": "(?=a)b"}, "is not RE2"),
    "a back-reference": ({"pattern": r"(a)\1"}, "is not RE2"),
    "matches everywhere": ({"pattern": "a*"}, "matches the empty text"),
    "too long": ({"pattern": "a" * 5_000}, "may have 4096 characters"),
    "too large": ({"pattern": r"(?:(?:\pL{20}){20}){20}"}, "pattern"),
    "bad except": ({"pattern": "a", "except_pattern": "("}, "is not RE2"),
    "pattern and pointer": ({"pattern": "a", "pointer": "/a"}, "either a pointer or a pattern"),
    "except without pattern": ({"pattern": None, "pointer": "/a", "except_pattern": "b"}, "'except' belongs to a pattern"),
    "neither": ({"pattern": None}, "either a pointer or a pattern"),
    "unknown action": ({"pattern": "a", "action": "mask"}, "action 'mask'"),
    "value for remove": ({"pattern": "a", "action": "remove", "value": "x"}, "'value' belongs to"),
    "no slash": ({"pattern": None, "pointer": "a/b"}, "start with '/'"),
    "bad escape": ({"pattern": None, "pointer": "/a~2"}, "neither '~0' nor '~1'"),
    "bare tilde": ({"pattern": None, "pointer": "/a~"}, "neither '~0' nor '~1'"),
    "long pointer": ({"pattern": None, "pointer": "/a" * 1_000}, "1024 characters"),
    "too many depths": ({"pattern": None, "pointer": "/**/a/**/b/**/c/**/d/**/e"}, "more than 4"),
    "an item's name": ({"pattern": None, "pointer": "/name", "target": "item"}, "what makes it one"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_redaction_that_cannot_be_understood_is_refused_with_the_reason(case: str) -> None:
    changes, reason = BAD[case]
    pattern = changes.pop("pattern") if "pattern" in changes else "a"
    with pytest.raises(BadRedaction, match=reason):
        redactor(duty(pattern, **changes))  # type: ignore[arg-type]


def test_redacting_without_a_key_is_refused() -> None:
    with pytest.raises(BadRedaction, match="must have at least 16 bytes"):
        compile_redactions([duty("a", action="hash")], b"short")


def test_more_duties_than_may_apply_are_refused() -> None:
    with pytest.raises(BadRedaction, match="64 may apply"):
        redactor(*[duty("a", rule=f"org/{number}") for number in range(65)])


POINTERS: dict[str, tuple[str, Json, Json]] = {
    "a member": ("/a", {"a": 1, "b": 2}, {"b": 2}),
    "an element": ("/a/1", {"a": [1, 2, 3]}, {"a": [1, 3]}),
    "an escaped slash": ("/a~1b", {"a/b": 1, "a": {"b": 2}}, {"a": {"b": 2}}),
    "an escaped tilde before a one": ("/~01", {"~1": 1, "/": 2}, {"/": 2}),
    "the empty key": ("/", {"": 1, "a": 2}, {"a": 2}),
    "any member": ("/*/x", {"a": {"x": 1, "y": 2}, "b": [{"x": 1}], "x": 3}, {"a": {"y": 2}, "b": [{"x": 1}], "x": 3}),
    "any element": ("/a/*", {"a": [1, {"b": 2}]}, {"a": []}),
    "any depth, none included": ("/**/x", {"x": 1, "a": [{"x": 2, "y": [{"x": 3}]}]}, {"a": [{"y": [{}]}]}),
    "any depth in the middle": ("/a/**/x", {"x": 1, "a": {"x": 2, "b": {"x": 3}}}, {"x": 1, "a": {"b": {}}}),
    "the whole": ("", {"a": 1}, {}),
    "no such member": ("/b/c", {"a": 1, "b": 2}, {"a": 1, "b": 2}),
    "an index with a leading zero": ("/a/01", {"a": [1, 2]}, {"a": [1, 2]}),
}


@pytest.mark.parametrize("case", POINTERS)
def test_a_pointer_leads_where_the_table_says(case: str) -> None:
    pointer, before, after = POINTERS[case]
    assert isinstance(before, dict)
    one = redactor(duty(None, pointer=pointer, action="remove"))  # type: ignore[arg-type]
    assert one.arguments(before).value == after


def test_an_ancestor_wins_over_what_lies_below_it() -> None:
    above = duty(None, pointer="/a", action="hash")  # type: ignore[arg-type]
    below = duty(None, pointer="/a/b", action="remove", rule="org/below")  # type: ignore[arg-type]
    done = redactor(below, above).arguments({"a": {"b": 1}})
    assert [hit.rule for hit in done.hits] == ["org/r"]
    assert str(done.value["a"]).startswith("[hash:")


def test_at_one_place_the_strictest_action_wins() -> None:
    duties = [duty(None, pointer="/a", action=action) for action in ("hash", "replace", "remove")]  # type: ignore[arg-type]
    assert redactor(*duties).arguments({"a": 1, "b": 2}).value == {"b": 2}
    assert redactor(*duties[:2]).arguments({"a": 1}).value == {"a": "[redacted]"}


def test_a_pointer_hashes_a_text_to_the_same_marker_as_a_pattern_does() -> None:
    by_pointer = redactor(duty(None, pointer="/a", action="hash")).arguments({"a": "4111"}).value  # type: ignore[arg-type]
    assert by_pointer == redactor(duty(r"\d+", action="hash")).arguments({"a": "4111"}).value


def test_what_is_nested_too_deeply_is_withheld() -> None:
    value: Json = "12"
    for _ in range(200):
        value = [value]
    done = redactor(duty(r"\d+")).arguments({"a": value})
    assert done.withheld == 1
    assert "12" not in str(done.value)


def test_depth_counts_through_json_in_texts_so_that_no_value_exhausts_the_stack() -> None:
    value: Json = "12"
    for _ in range(4):
        for _ in range(100):
            value = [value]
        value = msgspec.json.encode(value).decode()
    done = redactor(duty(r"\d+")).arguments({"a": value})
    assert done.withheld == 1
    assert "12" not in str(done.value)


def test_arguments_that_nothing_touches_are_the_same_object() -> None:
    before: dict[str, Json] = {"a": ["b", {"c": 1}], "d": '{"e": "\\u0041"}'}
    done = redactor(duty("zzz")).arguments(before)
    assert done.value is before
    assert done.hits == ()

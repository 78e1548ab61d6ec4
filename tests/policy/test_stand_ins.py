"""Stand-ins keep what rules compare and nothing that anybody could read."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import JsonObject
from gateway.policy.stand_ins import MAX_TEXT_CHARS, of_answer, own_words, stand_ins

KEY = b"k" * 32
TEXTS = st.text(alphabet=st.sampled_from("abcxyzABC0123456789 .@/-_äß"), max_size=40)


def replaced(arguments: Any, key: bytes = KEY) -> Any:
    return stand_ins({"arguments": arguments}, key).document["arguments"]


def places(arguments: Any) -> tuple[str, ...]:
    return stand_ins({"arguments": arguments}, KEY).places


def test_numbers_booleans_and_short_words_of_one_case_stay() -> None:
    kept = {"count": 7, "share": 0.5, "dry": True, "none": None, "region": "eu", "mode": "read_only", "state": "OPEN", "to": ""}
    assert (replaced(kept), places(kept)) == (kept, ())


def test_what_somebody_wrote_is_replaced_in_its_own_form_and_its_place_is_named() -> None:
    said = {"note": "Call Ada, 0171 555-12", "to": ["ada@example.com"], "when": "2026-11-21"}
    shown = replaced(said)
    assert re.fullmatch(r"[A-Z][a-z]{3} [A-Z][a-z]{2}, \d{4} \d{3}-\d\d", shown["note"])
    assert re.fullmatch(r"[a-z]{3}@[a-z]{7}\.[a-z]{3}", shown["to"][0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", shown["when"])
    assert not {"Ada", "ada", "example", "0171", "2026"} & set(re.findall(r"\w+", repr(shown)))
    assert places(said) == ("/arguments/note", "/arguments/to/*", "/arguments/when")


def test_under_a_name_that_says_secret_nothing_stays() -> None:
    said = {"password": "hunter", "api_key": {"value": "open", "pin": 1234}, "max_tokens": 100}
    shown = replaced(said)
    assert shown["password"] != "hunter"
    assert shown["api_key"]["value"] != "open"
    assert shown["api_key"]["pin"] != 1234
    assert shown["max_tokens"] == 100
    assert places(said) == ("/arguments/password", "/arguments/api_key/value", "/arguments/api_key/pin")


def test_a_long_text_and_a_name_that_is_data_are_replaced_whole() -> None:
    long = "word " * MAX_TEXT_CHARS
    assert re.fullmatch(rf"text of {len(long)} characters [0-9a-f]{{32}}", replaced({"text": long})["text"])
    shown = replaced({"ada@example.com": 1})
    assert "ada@example.com" not in shown
    assert places({"ada@example.com": "Hello"}) == ("/arguments/*",)


def test_only_what_callers_and_backends_say_is_replaced() -> None:
    document: Any = {
        "subject": {"id": "Ada 1"},
        "resources": [{"uri": "crm://customers/7"}],
        "context": {"source_ip": "10.0.0.1"},
    }
    assert stand_ins(document, KEY).document == document


def test_too_many_places_are_named_by_their_member() -> None:
    assert places({f"a{number}": "Some Text" for number in range(500)}) == ("/arguments",)


def test_another_key_makes_other_stand_ins_and_the_same_key_the_same() -> None:
    assert replaced({"a": "Ada Lovelace"}) == replaced({"a": "Ada Lovelace"})
    assert replaced({"a": "Ada Lovelace"}) != replaced({"a": "Ada Lovelace"}, b"x" * 32)


def test_details_of_a_refusal_are_replaced_and_its_rule_and_code_stay() -> None:
    said: Any = {"rule": "servers/crm/changes", "code": "not_an_address", "message": "no {email}"}
    shown: Any = of_answer({"denials": [said | {"details": {"email": "Ada Lovelace"}}], "visible": [0]}, KEY)
    assert shown["denials"][0] | {"details": {}} == said | {"details": {}}
    assert shown["denials"][0]["details"]["email"] != "Ada Lovelace"


@pytest.mark.parametrize(
    "name", ["user_pin", "otp_code", "card_cvv", "pinCode", "pwd", "pass", "passcode", "x-auth", "API_KEY", "sessionId"]
)
def test_a_name_says_secret_by_any_of_its_words(name: str) -> None:
    assert replaced({name: "open"}) != {name: "open"}


@pytest.mark.parametrize("name", ["spin", "shipping", "passenger", "author", "max_tokens", "compass"])
def test_a_name_that_merely_holds_such_letters_says_no_secret(name: str) -> None:
    assert replaced({name: "open"}) == {name: "open"}


@pytest.mark.parametrize(
    "name",
    ["ghp_1234567890abcdefghijABCDEFGHIJ123456", "AKIAIOSFODNN7EXAMPLE", "a1b2c3d4", "4111111111111111", "ada@example.com"],
)
def test_a_value_in_the_place_of_a_name_is_replaced(name: str) -> None:
    assert name not in replaced({name: 1})


@pytest.mark.parametrize(
    "name",
    ["customer_id", "maxResults2", "address_line_2", "sha256", "iso8601", "$ref", "HTTPServerURL", "x-user-id", "_meta"],
)
def test_a_name_stays(name: str) -> None:
    assert replaced({name: 1}) == {name: 1}


def test_a_long_whole_number_is_replaced_by_one_of_as_many_digits() -> None:
    shown = replaced({"card": 4111111111111111, "count": 999_999_999})
    assert (shown["card"] != 4111111111111111, len(str(shown["card"])), shown["count"]) == (True, 16, 999_999_999)
    assert places({"card": 4111111111111111}) == ("/arguments/card",)


def test_numbers_under_a_name_that_says_secret_keep_their_length_and_stay_apart() -> None:
    shown = [replaced({"pin": number})["pin"] for number in range(1, 10_000)]
    assert [len(str(each)) for each in shown] == [len(str(number)) for number in range(1, 10_000)]
    assert len(set(shown)) == len(shown)


def test_what_the_gateway_says_of_a_text_that_cannot_be_read_stays() -> None:
    read: JsonObject = {"argument": "statement", "at": "/statement", "unreadable": True, "why": "it is no SQL of this dialect"}
    document: Any = {"arguments": {"statement": "Explain 1"}, "extracted": {"sql": [read, {**read, "at": "/Ada 1/0"}]}}
    shown: Any = stand_ins(document, KEY).document["extracted"]
    assert shown["sql"][0] == read
    assert (shown["sql"][1]["why"], shown["sql"][1]["at"] != "/Ada 1/0") == (read["why"], True)
    refused: Any = {"denials": [{"details": {"why": read["why"], "text": "Explain 1"}}]}
    details: Any = of_answer(refused, KEY, own_words(document))["denials"][0]["details"]  # type: ignore[call-overload, index]
    assert (details["why"], details["text"] != "Explain 1") == (read["why"], True)


def test_details_of_an_observed_refusal_are_replaced_as_well() -> None:
    refusal: JsonObject = {"rule": "org/a", "code": "a", "message": "no", "details": {"email": "Ada Lovelace"}}
    shown: Any = of_answer({"observed": {"org/a": {"deny": [refusal]}}}, KEY)
    assert shown["observed"]["org/a"]["deny"][0]["details"]["email"] != "Ada Lovelace"


@given(TEXTS, TEXTS)
def test_two_values_are_equal_exactly_where_their_stand_ins_are(one: str, other: str) -> None:
    shown = replaced({"password": one, "password2": other})
    assert (shown["password"] == shown["password2"]) == (one == other) or not (one + other).isascii()
    if one == other:
        assert shown["password"] == shown["password2"]


@given(TEXTS, TEXTS)
def test_a_beginning_up_to_a_separator_and_a_domain_stay_comparable(one: str, other: str) -> None:
    shown = replaced({"password": one, "secret": f"{one}/{other}", "token": f"{other}@{one}"})
    assert shown["secret"].startswith(shown["password"] + "/")
    assert shown["token"].endswith("@" + shown["password"])


@given(st.text(alphabet="abcXYZ019", min_size=1, max_size=20))
def test_case_stays_in_step_and_the_pattern_of_letters_and_digits_stays(text: str) -> None:
    shown = replaced({"password": text, "secret": text.lower()})
    assert shown["password"].lower() == shown["secret"]
    pattern = [(each.isdigit(), each.isupper()) for each in text]
    assert [(each.isdigit(), each.isupper()) for each in shown["password"]] == pattern

"""A redaction reaches every form in which the same value can come back."""

import base64

import pytest

from gateway.model import Json, JsonObject
from gateway.policy.duty import Redaction
from gateway.policy.redact import Hit, Redacted, Redactor, compile_redactions

KEY = b"0123456789abcdef0123456789abcdef"
CARD = r"\b4[0-9]{15}\b"
TOKEN = r"\bghp_[A-Za-z0-9]{12}\b"
SECRET = "ghp_abcdefABCDEF"
WITHHELD_TEXT = "[withheld: text that cannot be checked for redacted fields]"
WITHHELD_BINARY = "[withheld: binary content cannot be checked]"


def duty(**changes: object) -> Redaction:
    fields: dict[str, object] = {
        "rule": "org/credentials",
        "code": "credential",
        "target": "result",
        "pointer": None,
        "pattern": None,
        "except_pattern": None,
        "action": "replace",
        "value": None,
        "binary": None,
    }
    return Redaction(**{**fields, **changes})  # type: ignore[arg-type]


def redactor(*duties: Redaction) -> Redactor:
    return compile_redactions(duties, KEY)


def text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


HIT = (Hit("org/credentials", "credential", 1),)

PATTERN_FORMS: dict[str, tuple[JsonObject, JsonObject]] = {
    "text": ({"content": [text(f"key {SECRET}!")]}, {"content": [text("key [redacted]!")]}),
    "structured": (
        {"content": [], "structuredContent": {"a": [{"b": SECRET}], "n": 1}},
        {"content": [], "structuredContent": {"a": [{"b": "[redacted]"}], "n": 1}},
    ),
    "key of a member": (
        {"content": [], "structuredContent": {SECRET: 1, "n": 2}},
        {"content": [], "structuredContent": {"[redacted]": 1, "n": 2}},
    ),
    "embedded resource": (
        {"content": [{"type": "resource", "resource": {"uri": "crm://a", "text": SECRET}}]},
        {"content": [{"type": "resource", "resource": {"uri": "crm://a", "text": "[redacted]"}}]},
    ),
    "link description": (
        {"content": [{"type": "resource_link", "uri": "crm://a", "name": "a", "description": SECRET}]},
        {"content": [{"type": "resource_link", "uri": "crm://a", "name": "a", "description": "[redacted]"}]},
    ),
    "link name": (
        {"content": [{"type": "resource_link", "uri": "crm://a", "name": SECRET}]},
        {"content": [{"type": "resource_link", "uri": "crm://a", "name": "[redacted]"}]},
    ),
    "link uri": (
        {"content": [{"type": "resource_link", "uri": f"https://x/?key={SECRET}", "name": "a"}]},
        {"content": [{"type": "resource_link", "uri": "redacted:link", "name": "a"}]},
    ),
    "percent-encoded uri": (
        {"content": [{"type": "resource_link", "uri": "https://x/?key=gh%70_abcdefABCDEF", "name": "a"}]},
        {"content": [{"type": "resource_link", "uri": "redacted:link", "name": "a"}]},
    ),
    "meta": ({"content": [], "_meta": {"x/y": SECRET}}, {"content": [], "_meta": {"x/y": "[redacted]"}}),
    "block annotations": (
        {"content": [{**text("a"), "annotations": {"note": SECRET}}]},
        {"content": [{**text("a"), "annotations": {"note": "[redacted]"}}]},
    ),
    "prompt message": (
        {"description": "d", "messages": [{"role": "user", "content": text(SECRET)}]},
        {"description": "d", "messages": [{"role": "user", "content": text("[redacted]")}]},
    ),
    "prompt description": ({"description": SECRET, "messages": []}, {"description": "[redacted]", "messages": []}),
    "resource read": (
        {"contents": [{"uri": "crm://a", "mimeType": "text/plain", "text": f"a {SECRET}"}]},
        {"contents": [{"uri": "crm://a", "mimeType": "text/plain", "text": "a [redacted]"}]},
    ),
    "completion": (
        {"completion": {"values": ["a", SECRET], "total": 2}},
        {"completion": {"values": ["a", "[redacted]"], "total": 2}},
    ),
    "a member nobody knows yet": ({"content": [], "later": {"x": SECRET}}, {"content": [], "later": {"x": "[redacted]"}}),
    "a word of the protocol that is none": (
        {"messages": [{"role": SECRET, "content": text("a")}]},
        {"messages": [{"role": "[redacted]", "content": text("a")}]},
    ),
    "json text": (
        {"content": [text('{"a": "' + SECRET + '"}')]},
        {"content": [text('{"a":"[redacted]"}')]},
    ),
    "escape in json text": (
        {"content": [text('{"a": "\\u0067hp_abcdefABCDEF", "b": 18446744073709551617}')]},
        {"content": [text('{"a":"[redacted]","b":18446744073709551617}')]},
    ),
    "json text in json text": (
        {"content": [text('["{\\"a\\": \\"\\\\u0067hp_abcdefABCDEF\\"}"]')]},
        {"content": [text('["{\\"a\\":\\"[redacted]\\"}"]')]},
    ),
}


@pytest.mark.parametrize("form", PATTERN_FORMS)
def test_a_pattern_reaches_every_form(form: str) -> None:
    before, after = PATTERN_FORMS[form]
    assert redactor(duty(pattern=TOKEN)).result(before).value == after


def test_the_same_text_in_content_and_structured_content_is_masked_in_both() -> None:
    before: JsonObject = {"content": [text('{"key":"' + SECRET + '"}')], "structuredContent": {"key": SECRET}}
    after: JsonObject = {"content": [text('{"key":"[redacted]"}')], "structuredContent": {"key": "[redacted]"}}
    assert redactor(duty(pattern=TOKEN)).result(before) == Redacted(after, (Hit("org/credentials", "credential", 2),))


def test_the_record_can_tell_which_rule_redacted_how_often() -> None:
    by_card = duty(rule="servers/crm/cards", code="card", pattern=CARD)
    done = redactor(duty(pattern=TOKEN), by_card).result({"content": [text(f"{SECRET} {SECRET} 4111111111111111")]})
    assert done.hits == (Hit("org/credentials", "credential", 2), Hit("servers/crm/cards", "card", 1))


@pytest.mark.parametrize("number", [4111111111111111, 4111111111111111.0])
def test_a_number_whose_digits_match_goes_whole(number: float) -> None:
    before: JsonObject = {"content": [text(f'{{"card": {number}}}')], "structuredContent": {"card": number}}
    after: JsonObject = {"content": [text('{"card":"[redacted]"}')], "structuredContent": {"card": "[redacted]"}}
    assert redactor(duty(pattern=CARD)).result(before).value == after


def test_true_and_null_are_no_text() -> None:
    before: JsonObject = {"content": [], "structuredContent": {"a": True, "b": None}}
    assert redactor(duty(pattern="true|null|1")).result(before).value is before


IMAGE: JsonObject = {"type": "image", "data": base64.b64encode(SECRET.encode()).decode(), "mimeType": "image/png"}
BLOB: JsonObject = {"uri": "crm://a", "mimeType": "application/pdf", "blob": "AAAA"}


@pytest.mark.parametrize("change", [{"pattern": TOKEN}, {"pointer": "/a"}])
def test_binary_content_is_withheld_unless_the_rule_keeps_it(change: dict[str, object]) -> None:
    before: JsonObject = {"content": [IMAGE, {"type": "resource", "resource": BLOB}]}
    kept_text: JsonObject = {"uri": "crm://a", "mimeType": "text/plain", "text": WITHHELD_BINARY}
    after: JsonObject = {"content": [text(WITHHELD_BINARY), {"type": "resource", "resource": kept_text}]}
    assert redactor(duty(**change)).result(before) == Redacted(after, (), withheld=2)
    assert redactor(duty(**change, binary="keep")).result(before).value is before
    assert redactor(duty(**change, binary="keep"), duty(pattern=CARD)).result(before).withheld == 2


def test_content_of_an_unknown_kind_is_withheld() -> None:
    done = redactor(duty(pattern=TOKEN)).result({"content": [{"type": "hologram", "rays": "AAAA"}]})
    assert done.value == {"content": [text("[withheld: content of a kind that cannot be checked]")]}


def test_a_secret_that_is_split_over_two_blocks_withholds_both() -> None:
    before: JsonObject = {"content": [text("a"), text("ghp_abcdef"), text("ABCDEF"), text("b")]}
    done = redactor(duty(pattern="ghp_[A-Za-z0-9]{12}")).result(before)
    assert done.value == {"content": [text("a"), text(WITHHELD_TEXT), text(WITHHELD_TEXT), text("b")]}
    assert done.hits == HIT


PEM = r"-----BEGIN PRIVATE KEY-----(?s:.*?)(?:-----END PRIVATE KEY-----|\z)"


def test_a_secret_whose_first_part_matches_alone_withholds_every_block_it_touches() -> None:
    key = [text("-----BEGIN PRIVATE KEY-----\nMIIE"), text("SECRETBODY"), text("MORE\n-----END PRIVATE KEY-----")]
    done = redactor(duty(pattern=PEM)).result({"content": [text("a"), *key, text("b")]})
    withheld = [text(WITHHELD_TEXT)] * 3
    assert done == Redacted({"content": [text("a"), *withheld, text("b")]}, HIT, withheld=3)


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_token_cut_anywhere_over_two_blocks_leaves_no_part(cut: int) -> None:
    token = "ghp_" + "A1b2" * 9
    before: JsonObject = {"content": [text(f"key {token[:cut]}"), text(token[cut:])]}
    done = redactor(duty(pattern=r"\bghp_[A-Za-z0-9]{20,}")).result(before)
    assert done.value == {"content": [text(WITHHELD_TEXT)] * 2}


def test_a_match_within_one_of_many_blocks_is_cut_there() -> None:
    before: JsonObject = {"content": [text("a"), text(f"key {SECRET}"), text(" b")]}
    assert redactor(duty(pattern=TOKEN)).result(before) == Redacted(
        {"content": [text("a"), text("key [redacted]"), text(" b")]}, HIT
    )


def test_what_a_removal_brings_together_over_two_blocks_is_withheld() -> None:
    before: JsonObject = {"content": [text(f"ghp_{SECRET}"), text("abcdefABCDEF")]}
    done = redactor(duty(pattern="ghp_[a-f]{6}[A-F]{6}", action="remove")).result(before)
    assert done.value == {"content": [text(WITHHELD_TEXT)] * 2}


def test_prose_beside_json_withheld_with_its_neighbour_is_withheld_too() -> None:
    before: JsonObject = {"content": [text('{"card":"1"}ghp_abcdef'), text("ABCDEF"), IMAGE, text("card 1")]}
    one = redactor(duty(pattern="ghp_[A-Za-z0-9]{12}"), duty(pointer="/card"))
    withheld = text(WITHHELD_TEXT)
    assert one.result(before).value == {"content": [withheld, withheld, text(WITHHELD_BINARY), withheld]}


def test_more_matches_over_borders_than_are_counted_withhold_all_their_blocks() -> None:
    filler = [text(half) for _ in range(10_001) for half in ("x ghp_abcdef", "ABCDEF ")]
    before: JsonObject = {"content": [*filler, text("ghp_abcdef"), text("ABCDEF")]}
    done = redactor(duty(pattern=TOKEN)).result(before)
    assert done.value == {"content": [text("[withheld: too much to be checked]")] * 20_004}
    assert (done.withheld, done.spent) == (20_004, False)


# --- pointers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pointer", ["/card", "/**/card", "/structuredContent/card", "/*", "/**"])
def test_a_pointer_reaches_structured_content_and_json_text_alike(pointer: str) -> None:
    before: JsonObject = {
        "content": [text('{"card": 4111111111111111}')],
        "structuredContent": {"card": 4111111111111111},
    }
    done = redactor(duty(pointer=pointer)).result(before)
    assert "4111" not in str(done.value)
    assert done.hits


@pytest.mark.parametrize(
    "said",
    [
        pytest.param('{"card_number": "4111", "card_number": 0}', id="as_the_same_member"),
        pytest.param('{"a": {"card_number": "4111"}, "a": {}}', id="below_another"),
        pytest.param('[{"a": ":", "a": {"x": ["4111"]}, "a": 1}]', id="in_a_list"),
    ],
)
def test_a_member_said_twice_in_json_text_does_not_hide_the_first(said: str) -> None:
    shown = redactor(duty(pattern=None, pointer="/**/card_number")).result({"content": [text(said)]}).value
    assert "4111" not in str(shown)


def test_json_text_that_says_each_member_once_stays_as_it_was_written() -> None:
    whole: JsonObject = {"content": [text('{ "a": "b:c", "d": [ {"e": 1.50} ] }')]}
    assert redactor(duty(pattern=None, pointer="/**/card_number")).result(whole).value is whole


def test_prose_beside_a_removed_field_is_withheld() -> None:
    before: JsonObject = {
        "content": [text("The card is 4111 1111."), text('{"card":"4111 1111","name":"A"}')],
        "structuredContent": {"card": "4111 1111", "name": "A"},
    }
    after: JsonObject = {"content": [text(WITHHELD_TEXT), text('{"name":"A"}')], "structuredContent": {"name": "A"}}
    done = redactor(duty(pointer="/card", action="remove")).result(before)
    assert done == Redacted(after, (Hit("org/credentials", "credential", 2),), withheld=1)


def test_prose_alone_is_withheld_from_a_tool_that_promised_structured_content() -> None:
    one = redactor(duty(pointer="/card"))
    prose: JsonObject = {"content": [text("The card is 4111 1111.")]}
    assert one.result(prose, lambda _: True).value == {"content": [text(WITHHELD_TEXT)]}
    assert one.result(prose).value is prose
    failed: JsonObject = {**prose, "isError": True}
    assert one.result(failed, lambda _: True).value is failed


def test_prose_beside_structured_content_without_the_field_passes() -> None:
    before: JsonObject = {"content": [text("No card.")], "structuredContent": {"name": "A"}}
    assert redactor(duty(pointer="/card")).result(before).value is before


def test_a_pointer_reaches_json_within_an_embedded_resource() -> None:
    before: JsonObject = {"contents": [{"uri": "crm://a", "text": '{"people": [{"card": 1}, {"card": 2}]}'}]}
    after: JsonObject = {"contents": [{"uri": "crm://a", "text": '{"people":[{"card":"[redacted]"},{"card":"[redacted]"}]}'}]}
    assert redactor(duty(pointer="/people/*/card")).result(before).value == after


def test_a_struck_part_of_the_protocol_itself_keeps_its_shape() -> None:
    before: JsonObject = {"content": [text("{}"), text("[1]")], "structuredContent": {"a": 1}}
    assert redactor(duty(pointer="/content")).result(before).value == {"content": [], "structuredContent": {"a": 1}}
    assert redactor(duty(pointer="", action="remove")).result(before).value["structuredContent"] == {}
    assert redactor(duty(pointer="/content/0", action="remove")).result(before).value["content"] == [text("[1]")]


# --- errors, messages on the way, definitions, arguments --------------------------------------------------------------


def test_an_error_is_redacted_in_message_and_data() -> None:
    before: JsonObject = {"code": -32000, "message": f"bad {SECRET}", "data": {"sent": SECRET}}
    after: JsonObject = {"code": -32000, "message": "bad [redacted]", "data": {"sent": "[redacted]"}}
    assert redactor(duty(pattern=TOKEN)).error(before).value == after


def test_a_number_hidden_as_the_code_of_an_error_becomes_that_of_an_internal_error() -> None:
    one = redactor(duty(pattern=CARD), duty(pointer="/**/code"))
    before: JsonObject = {"code": 4111111111111111, "message": "bad", "data": None}
    assert one.error(before) == Redacted({"code": -32603, "message": "bad", "data": None}, HIT)
    for code in (-32602, 404):
        other: JsonObject = {**before, "code": code}
        assert one.error(other).value is other
    whatever: JsonObject = {**before, "code": -32602}
    assert redactor(duty(pattern=r"\d+")).error(whatever).value is whatever


def test_progress_and_log_messages_are_redacted() -> None:
    one = redactor(duty(pattern=TOKEN), duty(pointer="/card"))
    assert one.notice({"progress": 1, "message": SECRET}, "progress").value == {"progress": 1, "message": "[redacted]"}
    log: JsonObject = {"level": "info", "data": {"card": 1, "line": [SECRET]}}
    assert one.notice(log, "log").value == {"level": "info", "data": {"card": "[redacted]", "line": ["[redacted]"]}}
    assert one.notice({"level": "info", "data": f"a {SECRET}"}, "log").value == {"level": "info", "data": "a [redacted]"}


def test_a_definition_is_redacted_but_keeps_what_names_it() -> None:
    schema: JsonObject = {"type": "object", "properties": {"a": {"default": SECRET, "description": "d"}}}
    before: JsonObject = {"name": SECRET, "description": f"use {SECRET}", "inputSchema": schema}
    cut: JsonObject = {"type": "object", "properties": {"a": {"default": "[redacted]", "description": "d"}}}
    after: JsonObject = {"name": SECRET, "description": "use [redacted]", "inputSchema": cut}
    assert redactor(duty(target="item", pattern=TOKEN)).item(before).value == after
    gone = redactor(duty(target="item", pointer="/**/description", action="remove")).item(before).value
    assert gone == {"name": SECRET, "inputSchema": {"type": "object", "properties": {"a": {"default": SECRET}}}}


def test_a_definition_never_loses_its_input_schema() -> None:
    before: JsonObject = {"name": "a", "inputSchema": {"type": "object", "properties": {}}}
    done = redactor(duty(target="item", pointer="/*", action="remove")).item(before)
    assert done.value == {"name": "a", "inputSchema": {"type": "object"}}


def test_arguments_are_redacted_by_pointer_and_pattern() -> None:
    one = redactor(duty(target="arguments", pointer="/people/*/card", action="remove"), duty(target="arguments", pattern=TOKEN))
    before: JsonObject = {"people": [{"card": 1, "name": "A"}], "note": f"x {SECRET}"}
    assert one.arguments(before).value == {"people": [{"name": "A"}], "note": "x [redacted]"}


def test_a_duty_applies_to_its_own_target_only() -> None:
    one = redactor(duty(target="arguments", pattern=TOKEN))
    before: JsonObject = {"content": [text(SECRET), IMAGE]}
    assert one.result(before) == Redacted(before)
    assert one.result(before).value is before
    assert (one.owes("arguments"), one.owes("result"), one.owes("item")) == (True, False, False)


# --- output schema ----------------------------------------------------------------------------------------------------


def fits_integer_card(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(value.get("card"), int)


@pytest.mark.parametrize("change", [{"pointer": "/card"}, {"pointer": "/card", "action": "remove"}, {"pattern": CARD}])
def test_a_placeholder_of_the_same_type_is_used_where_the_schema_needs_it(change: dict[str, object]) -> None:
    before: JsonObject = {"content": [], "structuredContent": {"card": 4111111111111111}}
    done = redactor(duty(**change)).result(before, fits_integer_card)
    assert done == Redacted({"content": [], "structuredContent": {"card": 0}}, HIT)


def test_structured_content_that_cannot_be_made_to_fit_is_said_so() -> None:
    before: JsonObject = {"content": [], "structuredContent": {"card": 4111111111111111}}
    done = redactor(duty(pointer="/card")).result(before, lambda value: value == before["structuredContent"])
    assert not done.fits


def test_an_error_result_and_untouched_content_are_not_held_against_the_schema() -> None:
    def never(_: Json) -> bool:
        return False

    one = redactor(duty(pattern=CARD))
    assert one.result({"content": [], "structuredContent": {"card": 1}}, never).fits
    assert one.result({"content": [], "isError": True, "structuredContent": {"card": 4111111111111111}}, never).fits


@pytest.mark.parametrize(
    "result",
    [
        {"messages": [], "isError": {"note": SECRET}},
        {"contents": [], "ttlMs": [SECRET], "cacheScope": {"note": SECRET}},
        {"completion": {"values": [], "total": {"note": SECRET}, "hasMore": [SECRET]}},
        {"content": [{"type": "text", "text": "a", "annotations": {"audience": [SECRET]}}], "resultType": [SECRET]},
    ],
)
def test_what_stands_in_the_place_of_a_word_of_the_protocol_is_looked_into(result: JsonObject) -> None:
    assert SECRET not in str(redactor(duty(pattern=TOKEN)).result(result).value)

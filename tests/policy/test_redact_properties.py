"""What holds for every value: no secret is left, what is done once is done, what is untouched is the same."""

import base64
import string
from dataclasses import replace
from urllib.parse import quote

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Json, JsonObject
from gateway.policy.duty import Redaction
from gateway.policy.redact import BadRedaction, Redactor, compile_redactions

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "tok_Zx93QaPl"
PATTERN = r"tok_[A-Za-z0-9]{8}"
CARD = 4111111111111111

few = settings(max_examples=150, deadline=None)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(words, values, max_size=4)
with_secret: st.SearchStrategy[str] = st.builds(lambda before, after: before + SECRET + after, words, words)


def duty(target: str, action: str = "replace", **changes: object) -> Redaction:
    fields: dict[str, object] = {"pointer": None, "pattern": None, "except_pattern": None, "value": None, "binary": None}
    return Redaction(rule="org/r", code="c", target=target, action=action, **{**fields, **changes})  # type: ignore[arg-type]


def redactor(*duties: Redaction) -> Redactor:
    return compile_redactions(duties, KEY)


def serialised(value: Json) -> bytes:
    return msgspec.json.encode(value)


def escaped(text: str) -> str:
    """`text` in JSON where every character that can be is written as an escape."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


@st.composite
def planted(draw: st.DrawFn) -> Json:
    """A value with the secret somewhere in it: in a text, a key, or JSON in a text, with escapes."""
    form = draw(st.integers(0, 5))
    text = draw(with_secret)
    match form:
        case 0:
            return text
        case 1:
            return {**draw(objects), text: draw(values)}
        case 2:
            return [draw(values), text]
        case 3:
            return {draw(words): [draw(values), {draw(words): text}]}
        case 4:
            return '{"a": ["' + escaped(text) + '"]}'
        case _:
            return serialised({**draw(objects), draw(words): text}).decode()


@st.composite
def results(draw: st.DrawFn) -> JsonObject:
    """A result of some method with the secret planted in one of its forms."""
    secret = draw(planted())
    text = secret if isinstance(secret, str) else serialised(secret).decode()
    data = base64.b64encode(text.encode()).decode()
    forms: list[JsonObject] = [
        {"content": [{"type": "text", "text": text}], "structuredContent": draw(objects)},
        {"content": [], "structuredContent": {"x": secret}},
        {"content": [{"type": "text", "text": "a"}], "_meta": {"x/y": secret}},
        {"content": [{"type": "resource", "resource": {"uri": "a://b", "text": text}}]},
        {"content": [{"type": "resource", "resource": {"uri": "a://b", "blob": data}}]},
        {"content": [{"type": "image", "data": data, "mimeType": "image/png"}]},
        {"content": [{"type": "resource_link", "uri": "a://" + quote(text), "name": "n", "title": text}]},
        {"content": [{"type": text, "x": secret}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}], "description": text},
        {"contents": [{"uri": "a://" + text, "mimeType": text, "text": text}]},
        {"completion": {"values": [text, "b"], "total": 2}},
        {"content": secret},
        {"messages": [secret]},
        {"unheard_of": [secret]},
    ]
    return draw(st.sampled_from(forms))


@few
@given(results(), st.sampled_from(["replace", "remove", "hash"]))
def test_no_form_of_a_result_keeps_the_secret(result: JsonObject, action: str) -> None:
    done = redactor(duty("result", action, pattern=PATTERN)).result(result)
    assert SECRET.encode() not in serialised(done.value)
    assert base64.b64encode(SECRET.encode()) not in serialised(done.value)
    assert done.hits or done.withheld


@few
@given(planted(), st.sampled_from(["replace", "remove", "hash"]))
def test_no_argument_error_or_message_keeps_the_secret(value: Json, action: str) -> None:
    one = redactor(duty("arguments", action, pattern=PATTERN), duty("result", action, pattern=PATTERN))
    text = value if isinstance(value, str) else serialised(value).decode()
    for done in (
        one.arguments({"x": value}),
        one.error({"code": 1, "message": text, "data": value}),
        one.notice({"level": "info", "data": value}, "log"),
        one.notice({"progress": 1, "message": text}, "progress"),
    ):
        assert SECRET.encode() not in serialised(done.value)
        assert done.hits


@few
@given(
    st.dictionaries(words, values | planted(), max_size=4),
    st.lists(
        st.sampled_from([PATTERN, r"[a-z]{3,}", r"\d{2,}", r"\S{12,}", r"[\[\]]", r"(?i)redacted.{0,3}", r"."]),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["replace", "remove", "hash"]),
)
def test_arguments_that_are_redacted_again_do_not_change(value: JsonObject, patterns: list[str], action: str) -> None:
    one = redactor(*[duty("arguments", action, pattern=pattern) for pattern in patterns])
    once = one.arguments(value)
    again = one.arguments(once.value)
    assert again.value is once.value
    assert again.hits == ()


@few
@given(objects, st.sampled_from(["/x", "/**/x", "/*/x", "/x/**", "/*"]), st.sampled_from(["replace", "remove", "hash"]))
def test_pointers_on_arguments_come_to_rest_at_once(value: JsonObject, pointer: str, action: str) -> None:
    one = redactor(duty("arguments", action, pointer=pointer))
    once = one.arguments({**value, "x": {"x": 1}, "y": [{"x": "a"}]})
    assert one.arguments(once.value).value is once.value


@few
@given(results(), st.sampled_from(["replace", "remove", "hash"]))
def test_a_result_that_is_redacted_again_does_not_change(result: JsonObject, action: str) -> None:
    one = redactor(duty("result", action, pattern=PATTERN), duty("result", action, pointer="/**/x"))
    once = one.result(result)
    assert one.result(once.value).value is once.value


@few
@given(st.text(string.ascii_letters, min_size=6, max_size=12), values, words)
def test_a_pointer_takes_the_field_out_of_every_form(field: str, value: Json, prose: str) -> None:
    inner: JsonObject = {"other": 1, "list": [{field: [SECRET, value]}], "text": serialised({field: SECRET}).decode()}
    result: JsonObject = {
        "content": [
            {"type": "text", "text": serialised(inner).decode()},
            {"type": "text", "text": f"{prose} {SECRET}"},
            {"type": "resource", "resource": {"uri": "a://b", "text": serialised([inner]).decode()}},
        ],
        "structuredContent": inner,
        "_meta": {field: SECRET},
    }
    done = redactor(duty("result", "remove", pointer=f"/**/{field}")).result(result)
    assert SECRET.encode() not in serialised(done.value)
    assert done.withheld == 1


@few
@given(objects, st.lists(words, max_size=3))
def test_what_no_duty_concerns_is_the_same_object(value: JsonObject, texts: list[str]) -> None:
    one = redactor(
        *[duty(target, pattern=PATTERN) for target in ("arguments", "result", "item")], duty("arguments", pointer="/a/b/c")
    )
    result: JsonObject = {"content": [{"type": "text", "text": text} for text in texts], "structuredContent": value}
    assert one.result(result).value is result
    assert one.item({"name": "n", "inputSchema": value}).hits == ()
    only_patterns = redactor(duty("arguments", pattern=PATTERN))
    assert only_patterns.arguments(value).value is value


@few
@given(objects)
def test_what_stands_beside_the_secret_is_untouched(value: JsonObject) -> None:
    done = redactor(duty("arguments", pattern=PATTERN)).arguments({"beside": value, "x": SECRET})
    assert done.value == {"beside": value, "x": "[redacted]"}
    assert done.value["beside"] is value


@few
@given(st.lists(st.sampled_from([SECRET, "tok_PUBLIC00", " ", "a", "é"]), max_size=8))
def test_except_keeps_its_own_matches_and_nothing_else(parts: list[str]) -> None:
    text = " ".join(parts)
    done = redactor(duty("arguments", pattern=PATTERN, except_pattern="tok_PUBLIC00")).arguments({"x": text})
    assert done.value == {"x": text.replace(SECRET, "[redacted]")}


@few
@given(
    st.dictionaries(words, values | planted(), max_size=4),
    st.sampled_from(
        [
            "^a",
            "[0-9]$",
            r"\b\d",
            r"\Ba",
            r"^$|x",
            "(?m)^b",
            r"[^y]z",
            "(?s)a.b",
            r"\\",
            r"\A[0-9]",
            r"[0-9]\z",
            r"\\z?",
            "0e|e0",
            '"',
            r"\.0",
            "^[0-9]{2,}$",
        ]
    ),
)
def test_asking_all_texts_at_once_misses_nothing(value: JsonObject, pattern: str) -> None:
    try:
        one = redactor(duty("arguments", pattern=pattern))
    except BadRedaction:
        return
    plan = one.plans["arguments"]
    singly = replace(plan, texts=replace(plan.texts, lines=()))
    assert one.arguments(value) == Redactor({**one.plans, "arguments": singly}).arguments(value)

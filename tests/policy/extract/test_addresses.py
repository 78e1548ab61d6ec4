"""Addresses: whom a mail server would deliver to, and not whom a reader would take it for."""

# ruff: noqa: RUF001 — letters that look like others are the point

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import JsonObject
from gateway.policy.extract.addresses import recipients
from gateway.policy.extract.unreadable import Unreadable


def read(text: str) -> list[JsonObject] | str:
    try:
        return list(recipients(text))
    except Unreadable as error:
        return str(error)


def is_ours(text: str) -> bool:
    said = read(text)
    return isinstance(said, list) and all(each["domain"] == "ours.com" for each in said)


HOSTILE = (
    "eve@evil.test",
    "ann@ours.com, eve@evil.test",
    "ann@ours.com;eve@evil.test",
    '"ann@ours.com" <eve@evil.test>',
    "ann@ours.com <eve@evil.test>",
    '"a, b" <eve@evil.test>',
    "eve@evil.test <>",
    "<eve@evil.test> ann@ours.com",
    "ann@ours.com\r\nBcc: eve@evil.test",
    "ann@ours.com\neve@evil.test",
    "ann@ours.com\0@evil.test",
    "eve%evil.test@ours.com",
    "evil.test!eve@ours.com",
    "<@evil.test:ann@ours.com>",
    '"eve@evil.test"@ours.com',
    '"eve@evil.test\\""@ours.com',
    "eve@evil.test@ours.com",
    "ann@ours.com@evil.test",
    "ann@ours.com(@evil.test)",
    "eve@evil.test(ours.com)",
    "ann@(evil.test)ours.com",
    "ann@ours.com.evil.test",
    "ann@0urs.com",
    "ann@оurs.com",
    "ann@[10.0.0.1]",
    "ann@localhost",
    "ann@10.0.0.1",
    "team: eve@evil.test;",
    "team: ann@ours.com, eve@evil.test;",
    "=?utf-8?q?eve=40evil.test=3e=00?=ann@ours.com",
    "=?utf-8?q?eve?= <ann@ours.com>",
    "eve＠evil.test,ann@ours.com",
    "eve＠evil.test@ours.com",
    "ann@ours.com?bcc=eve@evil.test",
    "mailto:ann@ours.com",
    "<ann@ours.com",
    "ann@ours.com>",
    '"ann@ours.com',
    "ann@ours.com\u200b",
    "ann @ours.com",
    "ann",
    "",
    " , ; ",
    "<<ann@ours.com>>",
    "a" * 65 + "@ours.com",
    "-oQ/tmp@ours.com",
    "ann@ours.com, -oQ/tmp@ours.com",
    "<-oQ/tmp@ours.com>",
    "-X/tmp/log <ann@ours.com>",
    "\uff0doQ/tmp@ours.com",
    "/etc/x@ours.com",
    "|id@ours.com",
    "*@ours.com",
    "a*@ours.com",
)
INNOCENT = (
    "ann@ours.com",
    "ANN@OURS.COM",
    " ann@ours.com ",
    "<ann@ours.com>",
    "Ann <ann@ours.com>",
    '"Ann, the boss" <ann@ours.com>',
    "ann@ours.com, bob@ours.com",
    "Ann <ann@ours.com>; Bob <bob@ours.com>;",
    "ann.o'neil+tag@ours.com",
    "ann_b-c@ours.com",
    "ann/sales@ours.com",
    "Jean-Luc <jean-luc@ours.com>",
    '"- Ann" <ann@ours.com>',
    "jürgen@ours.com",
    "Jürgen Müller <j.mueller@ours.com>",
    "ann@ours.com,",
    "ann@ours.com.",  # the same domain
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_not_taken_for_one_of_ours(text: str) -> None:
    assert not is_ours(text)


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_text_is_ours(text: str) -> None:
    assert is_ours(text)


def test_every_recipient_is_told() -> None:
    assert read('Ann <a@x.org>, "b@ours.com" <b@Bücher.example>') == [
        {"address": "a@x.org", "local": "a", "domain": "x.org", "shown": True, "misleading": False},
        {
            "address": "b@xn--bcher-kva.example",
            "local": "b",
            "domain": "xn--bcher-kva.example",
            "shown": True,
            "misleading": True,
        },
    ]


PIECES = st.sampled_from(
    ["ann", "eve", "@", "ours.com", "evil.test", "<", ">", '"', ",", ";", " ", "(", ")", ":", "\\", "%", "!", "＠", "."]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_whoever_is_named_after_an_at_sign_is_told_or_the_text_is_unreadable(pieces: list[str]) -> None:
    text = "".join(pieces)
    outside_names = "".join(part for number, part in enumerate(text.split('"')) if number % 2 == 0)
    if "@evil.test" in outside_names and "<" not in text:
        assert not is_ours(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=50))
def test_any_text_is_read_or_unreadable(text: str) -> None:
    read(text)

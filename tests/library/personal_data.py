"""Numbers of people that are to get out, or in: however they are written, in whatever form of a result they stand."""

import json
from typing import Any

from tests.library.asking import Table

CARD, AMEX, IBAN, SSN, NHS, CPF = (
    "4111111111111111",
    "378282246310005",
    "DE89370400440532013000",
    "123-45-6789",
    "943 476 5919",
    "529.982.247-25",
)
WIDE = "\uff14\uff11\uff11\uff11" + "\uff11" * 12
ARABIC = "\u0664" + "\u0661" * 15


def text(said: str, *gone: str) -> dict[str, Any]:
    return {"result": {"content": [{"type": "text", "text": said}]}, "gone": gone or (said,)}


def data(said: Any, *gone: str) -> dict[str, Any]:
    return {"result": {"content": [], "structuredContent": {"found": said}}, "gone": gone}


def passed(said: Any, tool: str = "office/edit") -> dict[str, Any]:
    return {"tool": tool, "arguments": {"note": said}}


TABLE = Table(
    rule="personal_data",
    tool="office/lookup",
    verb="guard",
    settings={
        "ours": ["example.com", "tax@office.example.net"],
        "redacted": ["card", "iban", "ssn", "nhs", "cpf", "address"],
        "refused": ["card", "iban", "ssn", "nhs", "cpf"],
        "tools": {
            "mail": {"send": {"refused": ["card", "iban", "ssn", "nhs", "cpf", "address"]}},
            "office": {"pay": {"refused": ["card", "ssn", "nhs", "cpf"]}},
        },
    },
    hostile={
        "a card": text(f"card {CARD}.", CARD),
        "a card in groups": text("4111 1111 1111 1111"),
        "a card with hyphens": text("4111-1111-1111-1111"),
        "a card, digit by digit": text("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        "a card with blanks of no width": text("4111\u200b1111\u200b1111\u200b1111"),
        "a card with hyphens that nobody sees": text("4111\u00ad1111\u00ad1111\u00ad1111"),
        "a card with long dashes": text("4111\u20141111\u20141111\u20141111"),
        "a card with hard blanks": text("4111\u00a01111\u00a01111\u00a01111"),
        "a card in wide digits": text(WIDE),
        "a card in Arabic digits": text(ARABIC),
        "a card behind another number": text("17 4111 1111 1111 1111", "4111 1111 1111 1111"),
        "a card before another number": text("4111 1111 1111 1111 123", "4111 1111 1111 1111"),
        "a card of fifteen digits": text("3782 822463 10005"),
        "a card as data": data({"card": CARD}, CARD),
        "a card as a number": data({"card": int(CARD)}, CARD),
        "a card as a fraction": data({"card": float(CARD)}, CARD, "4111111111111111.0"),
        "a card as a name": data({CARD: True}, CARD),
        "a card as JSON in a text": text(json.dumps({"rows": [{"card": CARD}]}), CARD),
        "a card with escapes in JSON in a text": text('{"a": "\\u0034\\u0031' + CARD[2:] + '"}', CARD, CARD[2:]),
        "a card over two blocks": {
            "result": {"content": [{"type": "text", "text": "4111 1111 "}, {"type": "text", "text": "1111 1111"}]},
            "gone": ("4111 1111", "1111 1111"),
        },
        "a card in a link": {
            "result": {"content": [{"type": "resource_link", "uri": f"a://b/{CARD[:4]}%20{CARD[4:]}", "name": "n"}]},
            "gone": (CARD[4:],),
        },
        "a card in an error": {"result": {"isError": True, "content": [{"type": "text", "text": CARD}]}, "gone": (CARD,)},
        "a card in metadata": {"result": {"content": [], "_meta": {"x/y": CARD}}, "gone": (CARD,)},
        "a card with a mark on a digit": text("4\u0324111111111111111"),
        "a card with marks that nobody sees": text("4\ufe0f111 1111 1111 1111"),
        "a card in keycaps": text("".join(f"{digit}\ufe0f\u20e3" for digit in CARD)),
        "an account with a mark that nobody sees": text("DE89\ufe0f 3704 0044 0532 0130 00"),
        "an account": text("DE89 3704 0044 0532 0130 00"),
        "a small account": text("gb82west12345698765432"),
        "an account among capitals": text(f"PAY {IBAN} NOW OR NEVER", IBAN),
        "a social security number": text(f"SSN: {SSN}", SSN),
        "a number of the NHS": text(NHS),
        "a taxpayer": text(CPF),
        "a taxpayer without punctuation": text("52998224725"),
        "an address outside": text("ask eve@evil.example, now", "eve@evil.example"),
        "an address below our domain": text("eve@guests.example.com"),
        "an address that looks like ours": text("ann@ex\u0430mple.com"),
        "an address that begins like ours": text("ann@example.com@evil.example"),
        "an address with a wide sign": text("eve\uff20evil.example"),
        "an address with the dot of another script": text("eve@evil\u3002example"),
        "an international address": text("eve@b\u00fccher.example"),
        "an address in angle brackets": text("Eve <eve@evil.example>", "eve@evil.example"),
        "passed on": passed(CARD),
        "passed on in groups": passed("please charge 4111 1111 1111 1111"),
        "passed on as a number": passed(int(CARD)),
        "passed on as a fraction": passed(float(CARD)),
        "passed on as a name": passed({CARD: 1}),
        "passed on deep": passed([{"a": [[CARD]]}]),
        "passed on as JSON": passed(json.dumps({"a": int(CARD)})),
        "passed on as JSON with escapes": passed('{"a": "\\u0034' + CARD[1:] + '"}'),
        "passed on with blanks of no width": passed("4111\u200b1111\u200b1111\u200b1111"),
        "passed on in wide digits": passed(WIDE),
        "passed on in one Arabic digit": passed(CARD[:-1] + "\u0661"),
        "passed on behind another number": passed("1234 4111 1111 1111 1111"),
        "passed on with slashes": passed("4111/1111/1111/1111"),
        "passed on with underscores": passed("4111_1111_1111_1111"),
        "passed on with tabs": passed("4111\t1111\t1111\t1111"),
        "passed on in lines": passed("4111\n1111\r\n1111\n1111"),
        "passed on with a mark that nobody sees": passed("4111\ufe0f1111 1111 1111"),
        "an account passed on behind a letter": passed("xDE89370400440532013000"),
        "an account passed on behind an underscore": passed("IBAN_DE89370400440532013000"),
        "an account passed on with dots": passed("DE89.3704.0044.0532.0130.00"),
        "an account passed on with slashes": passed("DE89/3704/0044/0532/0130/00"),
        "an account passed on": passed("DE89 3704 0044 0532 0130 00"),
        "a social security number passed on": passed(SSN),
        "a taxpayer passed on": passed(CPF),
        "an address passed on by mail": passed("eve@evil.example", "mail/send"),
        "a card for a tool that may take accounts": passed(CARD, "office/pay"),
    },
    innocent={
        "prose": text("The meeting is at 10:30 on 2026-11-21."),
        "a card with another digit": text("4111 1111 1111 1112"),
        "sixteen digits that nobody issues": text("9111111111111116"),
        "milliseconds": data({"at": 1_700_000_000_006}),
        "nanoseconds": data({"at": 1_700_000_000_000_000_009}),
        "a longer number": text("94111111111111111"),
        "an order": text("order 2026-0001-0002-0003"),
        "an account with another digit": text("DE89 3704 0044 0532 0130 03"),
        "a social security number that nobody has": text("000-12-3456"),
        "a telephone": text("+49 30 901820"),
        "a UUID": text("550e8400-e29b-41d4-a716-446655440000"),
        "a commit": text("1e9ff85a00c7b07377cb035e89c8f11d8cf56181"),
        "ours": text("ask ann@example.com"),
        "ours in capitals": text("ANN@EXAMPLE.COM"),
        "a single address of ours": text("tax@office.example.net"),
        "a decorator": text("@property\ndef a(self): ..."),
        "a package": text("npm install left-pad@1.3.0"),
        "a tag": text("image@sha256:fedcba98"),
        "years": data({"years": [2019, 2020, 2021, 2022, 2023]}),
        "years in a row": text("2019 2020 2021 2022 2023"),
        "hello": passed("hello"),
        "a number passed on": passed(1_700_000_000_000),
        "many numbers passed on": passed(list(range(1_000))),
        "an address passed on to a tool that may take it": passed("eve@evil.example"),
        "an account for a tool that may take it": passed(IBAN, "office/pay"),
        "another digit passed on": passed("4111 1111 1111 1112"),
        "our own address by mail": passed("ann@example.com", "mail/send"),
    },
)

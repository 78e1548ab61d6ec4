"""Recipients who are somebody else than they seem."""

from typing import Any

from tests.library.asking import Table


def room(channel: Any) -> dict[str, Any]:
    return {"tool": "chat/post", "arguments": {"channel": channel}}


TABLE = Table(
    rule="recipients_inside",
    tool="mail/send",
    argument="to",
    hostile={
        "outside": "eve@evil.example",
        "outside among others": "ann@example.com, eve@evil.example",
        "outside behind a semicolon": "ann@example.com; eve@evil.example",
        "outside in a list": {"arguments": {"to": ["ann@example.com", "eve@evil.example"]}},
        "outside in a copy": {"arguments": {"to": "ann@example.com", "cc": "eve@evil.example"}},
        "a name that looks like an address": '"ann@example.com" <eve@evil.example>',
        "a misleading name before an own address": '"ceo@partner.example" <ann@example.com>',
        "a name of ours": "Ann Example <eve@evil.example>",
        "a domain that ends alike": "eve@evilexample.com",
        "a domain that begins alike": "eve@example.com.evil.example",
        "below our domain": "eve@guests.example.com",
        "above our domain": "eve@com",
        "our domain as a name": "example.com@evil.example",
        "a percent route": "eve%evil.example@example.com",
        "a bang route": "evil.example!eve@example.com",
        "a source route": "<@example.com:eve@evil.example>",
        "two signs": "ann@example.com@evil.example",
        "a quoted name": '"eve@evil.example"@example.com',
        "a comment": "ann@example.com (eve@evil.example)",
        "a comment in the domain": "ann@(x)example.com",
        "a group": "friends: eve@evil.example, ann@example.com;",
        "a line break": "ann@example.com\r\nBcc: eve@evil.example",
        "an encoded word": "=?utf-8?q?ann=40example.com?= <eve@evil.example>",
        "an invisible character": "ann@exam\u200bple.com",
        "a look-alike": "ann@ex\u0430mple.com",
        "a machine": "ann@[192.0.2.1]",
        "a URL": "mailto:eve@evil.example",
        "open brackets": "ann@example.com <eve@evil.example",
        "no domain": "ann",
        "an option": "-oQ/tmp@example.com",
        "a file": "/etc/x@example.com",
        "everybody": "*@example.com",
        "nothing": "",
        "an object": {"arguments": {"to": {"address": "ann@example.com"}}},
        "somebody else at a known office": "eve@office.example.net",
        "a room with guests": room("shared-with-customers"),
        "a room in other capitals": room("General"),
        "a room with a sign": room("#general"),
        "several rooms": room(["general", "shared-with-customers"]),
        "no room": {"tool": "chat/post", "arguments": {}},
        "a room that is no text": room(None),
    },
    innocent={
        "somebody of ours": "ann@example.com",
        "several of ours": "ann@example.com, bob@example.com",
        "a list of ours": {"arguments": {"to": ["ann@example.com", "bob@example.com"]}},
        "a copy to one of ours": {"arguments": {"to": "ann@example.com", "cc": "bob@example.com"}},
        "a name": "Ann Example <ann@example.com>",
        "a name in quotes": '"Example, Ann" <ann@example.com>',
        "capitals": "Ann@EXAMPLE.com",
        "a tag": "ann+reports@example.com",
        "a dot": "ann.example@example.com",
        "a known address outside": "tax@office.example.net",
        "nobody": {"arguments": {}},
        "no copy": {"arguments": {"to": "ann@example.com", "cc": None}},
        "a known room": room("general"),
        "another known room": room("incidents"),
        "another tool": {"tool": "office/lookup", "arguments": {"to": "eve@evil.example"}},
    },
)

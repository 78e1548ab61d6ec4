"""Arguments beside those that a schema names."""

from typing import Any

from tests.library.asking import Table

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "path": {"type": "string"},
        "options": {"type": "object", "properties": {"deep": {"type": "boolean"}}},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def more(**arguments: Any) -> dict[str, Any]:
    return {"arguments": {"id": 1, **arguments}}


TABLE = Table(
    rule="unknown_arguments",
    tool="office/edit",
    base={"schema": SCHEMA},
    hostile={
        "an option": more(force=True),
        "an option that is off": more(force=False),
        "an option without a value": more(force=None),
        "another spelling": more(Path="/etc/passwd"),
        "another case": more(PATH="/etc/passwd"),
        "an underscore": more(_path="/etc/passwd"),
        "a space at the end": more(**{"path ": "/etc/passwd"}),
        "a look-alike": {"arguments": {"p\u0430th": "/etc/passwd"}},
        "an invisible character": more(**{"path\u200b": "/etc/passwd"}),
        "an array's spelling": more(**{"path[]": "/etc/passwd"}),
        "a dotted spelling": more(**{"options.deep": True}),
        "a prototype": more(__proto__={"admin": True}),
        "a constructor": more(constructor={"prototype": {}}),
        "a user": more(user="root"),
        "a token": more(token="t"),
        "a header": more(headers={"Authorization": "x"}),
        "a template": more(**{"{{id}}": 1}),
        "an operator of a database": more(**{"$where": "1"}),
        "no name": more(**{"": 1}),
        "a slash": more(**{"a/b": 1}),
        "below a known one": more(options={"deep": True, "force": True}),
        "in a row": more(rows=[{"name": "a"}, {"name": "b", "admin": True}]),
        "tolerated with a companion": more(note="x", force=True),
        "tolerated below another": more(options={"note": "x"}),
        "tolerated for another tool": {"tool": "office/lookup", "arguments": {"note": "x"}},
        "tolerated for another backend": {"tool": "files/read", "arguments": {"note": "x"}},
        "alone": {"arguments": {"force": True}},
    },
    innocent={
        "nothing": {"arguments": {}},
        "one": {"arguments": {"id": 1}},
        "two": more(path="a"),
        "below": more(options={"deep": True}),
        "nothing below": more(options={}),
        "rows": more(rows=[{"name": "a"}, {"name": "b"}]),
        "no rows": more(rows=[]),
        "free names where the schema says so": more(labels={"anything": "x", "force": "y"}),
        "tolerated": more(note="x"),
        "tolerated, empty": more(note=""),
        "tolerated alone": {"arguments": {"note": "x"}},
        "another tool": {"tool": "office/lookup", "arguments": {"id": 2}},
    },
)

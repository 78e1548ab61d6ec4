"""Results that carry out more than was asked for."""

import json
from typing import Any

from tests.library.asking import Table


def text(said: str) -> dict[str, Any]:
    return {"result": {"content": [{"type": "text", "text": said}]}}


def data(said: Any) -> dict[str, Any]:
    return {"result": {"content": [], "structuredContent": {"found": said}}}


def inside(resource: dict[str, Any]) -> dict[str, Any]:
    return {"result": {"content": [{"type": "resource", "resource": resource}]}}


ROW = {"id": 1, "name": "Ann"}
SMALL = {"tool": "office/lookup"}

TABLE = Table(
    rule="result_size",
    tool="office/people",
    verb="withhold",
    hostile={
        "a long text": text("a" * 50_001),
        "a long text in another script": text("\u62a5" * 50_001),
        "a long text in two parts": {"result": {"content": [{"type": "text", "text": "a" * 30_000}] * 2}},
        "many parts": {"result": {"content": [{"type": "text", "text": "a"}] * 201}},
        "a list": data([ROW] * 201),
        "a list of numbers": data(list(range(201))),
        "a list in an object": data({"page": {"rows": [ROW] * 201}}),
        "a list in a list": data([[ROW] * 201]),
        "the second list": data({"a": [ROW], "b": [ROW] * 201}),
        "a list as JSON in a text": text(json.dumps([ROW] * 201)),
        "a list deep in JSON in a text": text(json.dumps({"page": {"rows": [ROW] * 201}})),
        "indented JSON in a text": text(json.dumps([1] * 201, indent=1)),
        "JSON in an embedded resource": inside({"uri": "a://b", "text": json.dumps([ROW] * 201)}),
        "JSON in a resource that is read": {"result": {"contents": [{"uri": "a://b", "text": json.dumps([ROW] * 201)}]}},
        "JSON in a prompt": {
            "result": {"messages": [{"role": "user", "content": {"type": "text", "text": json.dumps([1] * 201)}}]}
        },
        "JSON in a text of structured content": data(json.dumps([ROW] * 201)),
        "JSON behind a byte-order mark": text("\ufeff" + json.dumps([ROW] * 201)),
        "JSON in a fence": text("```json\n" + json.dumps([ROW] * 201) + "\n```"),
        "JSON behind a word": text("Found: " + json.dumps([ROW] * 201)),
        "JSON between words": text("Found: " + json.dumps({"rows": [ROW] * 201}) + " and that is all (see [1])."),
        "JSON in a JSON text": text(json.dumps(json.dumps([ROW] * 201))),
        "JSON in a member of JSON": text(json.dumps({"body": json.dumps([ROW] * 201)})),
        "JSON in JSON in JSON": text(json.dumps({"body": json.dumps({"rows": json.dumps([1] * 201)})})),
        "an object by number": data({str(number): ROW for number in range(201)}),
        "an object by number as JSON in a text": text(json.dumps({str(number): 1 for number in range(3_000)})),
        "a table in a member of JSON": text(json.dumps({"csv": "\n".join(["1,Ann"] * 201)})),
        "a table in an embedded resource": inside({"uri": "a://b", "text": "\n".join(["1,Ann"] * 201)}),
        "a table whose lines end in carriage returns": text("\r".join(["1,Ann"] * 201)),
        "a table whose lines end in line separators": text("\u2028".join(["1,Ann"] * 201)),
        "a table with bars": text("\n".join(["1 | Ann"] * 201)),
        "a list of dashes": text("\n".join(["- Ann"] * 201)),
        "a list of stars, indented": text("\n".join(["  * Ann"] * 201)),
        "a list by number": text("\n".join(f"{number}. Ann" for number in range(201))),
        "YAML of names, by its length": text("".join(f"n{number}:\n  name: Ann\n" for number in range(3_000))),
        "words of another notation, by their length": text(str([ROW] * 2_000)),
        "JSON lines": text("\n".join([json.dumps(ROW)] * 201)),
        "a table with commas": text("\n".join(["1,Ann"] * 201)),
        "a table with tabs": text("\n".join(["1\tAnn"] * 201)),
        "a table with semicolons": text("\n".join(["1;Ann"] * 201)),
        "a table in Markdown": text("\n".join(["| 1 | Ann |"] * 201)),
        "binary": {"result": {"content": [{"type": "image", "data": "A" * 60_000, "mimeType": "image/png"}]}},
        "an embedded resource": {
            "result": {"content": [{"type": "resource", "resource": {"uri": "a://b", "text": "a" * 60_000}}]}
        },
        "an error that tells all": {"result": {"isError": True, "content": [{"type": "text", "text": "a" * 60_000}]}},
        "metadata": {"result": {"content": [], "_meta": {"all": [ROW] * 201}}},
        "a long key": data({"a" * 60_000: 1}),
        "more than a single tool may": SMALL | data([ROW] * 21),
        "longer than a single tool may": SMALL | text("a" * 1_001),
    },
    innocent={
        "a text": text("hello"),
        "a long text within the measure": text("a" * 40_000),
        "prose of many lines": text("It was a dark night.\n" * 500),
        "nothing": {"result": {"content": []}},
        "a row": data(ROW),
        "a list": data([ROW] * 200),
        "two lists": data({"a": [ROW] * 150, "b": [ROW] * 150}),
        "an object of many members": data({str(number): number for number in range(200)}),
        "code with many braces": text("if a { b[0] }\n" * 300),
        "a list in a fence": text("```json\n" + json.dumps([ROW] * 200) + "\n```"),
        "a list as JSON in a text": text(json.dumps([ROW] * 200)),
        "a table": text("\n".join(["1,Ann"] * 200)),
        "a broken JSON text": text("[1, 2"),
        "a picture": {"result": {"content": [{"type": "image", "data": "A" * 4_000, "mimeType": "image/png"}]}},
        "as much as a single tool may": SMALL | data([ROW] * 20),
        "an error": {"result": {"isError": True, "content": [{"type": "text", "text": "no such customer"}]}},
    },
)

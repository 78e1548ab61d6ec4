"""From declarations in the facts to `input.extracted`: every text at its place, and what is no text told as such."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.model import Json, JsonObject, Resource
from gateway.policy.extract import Declared, Extractions, declarations, extracted, is_slow, problems
from gateway.policy.facts import facts, whole
from gateway.policy.structure import Finding

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
FACTS = json.loads((SCHEMAS / "facts.json").read_text())
EXTRACTED = json.loads((SCHEMAS / "input.json").read_text())["properties"]["extracted"]
FILE = "mcp/facts/data.yaml"
URL: JsonObject = {"kind": "url"}
PATH: JsonObject = {"kind": "path", "roots": ["/srv"], "base": "/srv"}


def at(extract: JsonObject) -> tuple[Declared, ...]:
    said: JsonObject = {"items": {"b": {"tool": {"t": {"extract": extract}}}}}
    return declarations(said, "r1").of(Resource("tool", "t", backend="b", name="t"))


def found(extract: JsonObject, arguments: JsonObject) -> JsonObject:
    said = extracted(at(extract), arguments)
    Draft202012Validator(EXTRACTED).validate(said)
    return said


def inside(argument: str, place: str, path: str, *, absolute: bool = False) -> JsonObject:
    return {"argument": argument, "at": place, "path": path, "absolute": absolute, "inside": True, "root": "/srv"}


def unreadable(argument: str, place: str, why: str) -> JsonObject:
    return {"argument": argument, "at": place, "unreadable": True, "why": why}


def test_a_text_and_a_list_of_texts_are_read() -> None:
    extract: JsonObject = {"path": PATH, "more": PATH}
    assert found(extract, {"path": "a", "more": ["b", "/srv/c"], "other": "/etc"}) == {
        "paths": [
            inside("path", "/path", "/srv/a"),
            inside("more", "/more/0", "/srv/b"),
            inside("more", "/more/1", "/srv/c", absolute=True),
        ]
    }


def test_a_pointer_leads_through_objects_and_lists() -> None:
    arguments: JsonObject = {"files": [{"path": "a"}, {"path": "b"}, {}], "by/name": {"x": "c", "y": "d"}}
    assert found({"/files/*/path": PATH, "/by~1name/*": PATH}, arguments) == {
        "paths": [
            inside("/files/*/path", "/files/0/path", "/srv/a"),
            inside("/files/*/path", "/files/1/path", "/srv/b"),
            inside("/by~1name/*", "/by~1name/x", "/srv/c"),
            inside("/by~1name/*", "/by~1name/y", "/srv/d"),
        ]
    }


def test_a_prompt_declares_as_a_tool_does_and_its_own() -> None:
    said: JsonObject = {"items": {"b": {"prompt": {"t": {"extract": {"path": PATH}}}, "tool": {"t": {"extract": {"url": URL}}}}}}
    of = declarations(said, "r1").of
    assert [one.argument for one in of(Resource("prompt", "t", backend="b", name="t"))] == ["path"]
    assert [one.argument for one in of(Resource("tool", "t", backend="b", name="t"))] == ["url"]
    assert of(Resource("prompt", "u", backend="b", name="u")) == ()


def of_template(kind: JsonObject, resource: Resource) -> tuple[Declared, ...]:
    said: JsonObject = {"items": {"b": {"resource_template": {"file:///{+path}": {"extract": {"uri": kind}}}}}}
    return declarations(said, "r1").of(resource)


def read_as(kind: JsonObject, uri: str) -> JsonObject:
    declared = of_template(kind, Resource("resource", uri, backend="b", uri=uri, template="file:///{+path}"))
    said = extracted(declared, {"uri": uri})
    Draft202012Validator(EXTRACTED).validate(said)
    return said


def test_a_template_declares_for_the_uris_that_match_it_and_for_no_others() -> None:
    uri = "file:///srv/a"
    template = "file:///{+path}"
    assert of_template(PATH, Resource("resource", uri, backend="b", uri=uri, template=template)) != ()
    for other in (
        Resource("resource", uri, backend="b", uri=uri),
        Resource("resource", uri, backend="b", uri=uri, template="file:///{name}"),
        Resource("resource", uri, backend="c", uri=uri, template=template),
        Resource("resource_template", template, backend="b", template=template),
        Resource("tool", template, backend="b", name=template),
    ):
        assert of_template(PATH, other) == ()


@pytest.mark.parametrize(
    ("uri", "path", "within"),
    [
        ("file:///srv/a", "/srv/a", True),
        ("file:///srv/../etc/passwd", "/etc/passwd", False),
        ("file:///srv/%2e%2e/etc/passwd", "/srv/%2e%2e/etc/passwd", False),
        ("file:///srv/..%2fetc/passwd", "/srv/..%2fetc/passwd", False),
        ("file:///srv/%252e%252e/x", "/srv/%252e%252e/x", False),
    ],
)
def test_the_path_of_a_uri_is_inside_only_if_every_reading_is(uri: str, path: str, within: bool) -> None:
    entry: JsonObject = {"argument": "uri", "at": "/uri", "path": path, "absolute": True, "inside": within}
    assert read_as(PATH, uri) == {"paths": [{**entry, "root": "/srv"} if within else entry]}


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("file://host/srv/a", "has a host"),
        ("file://localhost/srv/a", "has a host"),
        ("repo://srv/a", "has a host"),
        ("urn:srv:a", "nothing but words"),
        ("file:/srv/a", "no '//'"),
        ("file:///srv/a?b", "'?' or '#'"),
        ("file:///srv/a#b", "'?' or '#'"),
        ("file:///srv\\a", "backslash"),
        ("/srv/a", "no scheme"),
    ],
)
def test_a_uri_whose_path_two_would_read_differently_is_unreadable(uri: str, why: str) -> None:
    entries = read_as(PATH, uri)["paths"]
    assert isinstance(entries, list)
    (entry,) = entries
    assert isinstance(entry, dict)
    assert why in str(entry.pop("why"))
    assert entry == {"argument": "uri", "at": "/uri", "unreadable": True}


def test_a_uri_is_read_as_a_url() -> None:
    entries = read_as(URL, "repo://Example.com/a")["urls"]
    assert isinstance(entries, list)
    (entry,) = entries
    assert isinstance(entry, dict)
    assert (entry["argument"], entry["at"], entry["scheme"], entry["host"]) == ("uri", "/uri", "repo", "example.com")


@pytest.mark.parametrize(("argument", "said"), [("path", PATH), ("/uri", PATH), ("uri", {"kind": "address"})])
def test_of_a_template_nothing_but_its_uri_as_a_path_or_url_is_declared(argument: str, said: JsonObject) -> None:
    message = "is for a template: all that is read there is 'uri', as one of the kinds path, url"
    assert problems(argument, said, "resource_template") == (message,)
    text = json.dumps({"version": 1, "items": {"b": {"resource_template": {"x://{y}": {"extract": {argument: said}}}}}})
    assert any("resource_template.x://{y}.extract" in each.message for each in facts({FILE: text}, FACTS))


@pytest.mark.parametrize("type", ["prompt", "tool"])
def test_facts_of_tools_and_prompts_declare_alike(type: str) -> None:
    def told(extract: JsonObject) -> tuple[Finding, ...]:
        return facts({FILE: json.dumps({"version": 1, "items": {"b": {type: {"t": {"extract": extract}}}}})}, FACTS)

    assert told({"path": PATH, "q": {"kind": "sql", "dialect": "postgres"}}) == ()
    assert [each.message for each in told({"path": {"kind": "path"}})] == [
        f"items.b.{type}.t.extract.path has no roots: the folders that paths may lie in"
    ]


def test_what_is_absent_or_null_is_not_there_and_its_list_is_empty() -> None:
    assert found({"path": PATH, "url": URL}, {"path": None}) == {"paths": [], "urls": []}


@pytest.mark.parametrize("value", [1, True, {"a": "b"}, 1.5])
def test_what_is_no_text_is_unreadable(value: Json) -> None:
    assert found({"path": PATH}, {"path": value}) == {"paths": [unreadable("path", "/path", "it is not text")]}


def test_a_list_in_a_list_and_what_bars_the_way_are_unreadable() -> None:
    arguments: JsonObject = {"path": [["a"]], "options": "x"}
    assert found({"path": PATH, "/options/path": PATH}, arguments) == {
        "paths": [unreadable("path", "/path/0", "it is not text"), unreadable("/options/path", "/options", "it is not text")]
    }


@pytest.mark.parametrize(
    ("argument", "arguments", "place"),
    [
        ("/o/also/*", {"o": [{"also": ["/etc"]}]}, "/o"),
        ("/o/also/*", {"o": [["/etc"]]}, "/o"),
        ("/o/also/*", {"o": "/etc"}, "/o"),
        ("/files/*/path", {"files": {"path": ["/etc"]}}, "/files/path"),
        ("/files/*/path", {"files": [[{"path": "/etc"}]]}, "/files/0"),
        ("/files/0/path", {"files": {"path": "/etc"}}, "/files"),
        ("/files/00", {"files": ["/etc"]}, "/files"),
    ],
)
def test_a_list_where_an_object_should_be_and_the_other_way_round_is_unreadable(
    argument: str, arguments: JsonObject, place: str
) -> None:
    assert found({argument: PATH}, arguments) == {"paths": [unreadable(argument, place, "it is not text")]}


def test_a_number_in_a_pointer_is_a_place_in_a_list_or_a_name() -> None:
    assert found({"/files/1": PATH, "7": PATH}, {"files": ["a", "b"]}) == {"paths": [inside("/files/1", "/files/1", "/srv/b")]}
    assert found({"/files/1": PATH}, {"files": ["a"]}) == {"paths": []}
    assert found({"/files/1": PATH}, {"files": {"1": "b"}}) == {"paths": [inside("/files/1", "/files/1", "/srv/b")]}


def test_too_many_texts_are_unreadable_as_a_whole() -> None:
    said = found({"path": PATH}, {"path": ["a"] * 300})["paths"]
    why = "there are more than 256 texts, or more than 65536 characters"
    assert isinstance(said, list) and (len(said), said[-1]) == (257, unreadable("path", "/path/256", why))


def test_one_unclear_recipient_makes_the_whole_text_unreadable() -> None:
    assert found({"to": {"kind": "address"}}, {"to": "ann@ours.com, eve@evil@ours.com"}) == {
        "addresses": [unreadable("to", "/to", "its local part is quoted, routed or has characters that servers read differently")]
    }


def test_only_a_declared_tool_is_looked_into() -> None:
    said: JsonObject = {"items": {"b": {"tool": {"t": {"extract": {"u": URL}}, "bare": {"extract": {}}}, "prompt": {"t": {}}}}}
    told = declarations(said, "r1")
    assert told == Extractions("r1", {("b", "tool", "t"): (Declared("u", ("u",), "url"),)})
    assert told.of(Resource("prompt", "t", backend="b", name="t")) == ()
    assert told.of(Resource("tool", "t", backend="c", name="t")) == ()
    assert told.of(Resource("tool", "t")) == ()
    assert Extractions().of(Resource("tool", "t", backend="b", name="t")) == ()


def test_sql_and_long_texts_are_read_off_the_event_loop() -> None:
    assert is_slow(at({"q": {"kind": "sql", "dialect": "mysql"}}), {"q": "select 1"})
    assert is_slow(at({"u": URL}), {"u": ["x" * 1_000] * 3})
    assert not is_slow(at({"u": URL}), {"u": "https://example.com"})


WRONG: dict[str, tuple[str, JsonObject]] = {
    "has no roots: the folders that paths may lie in": ("p", {"kind": "path"}),
    "has a root or base that is no absolute, plain path: write /srv/data or C:/data, without a slash at its end": (
        "p",
        {"kind": "path", "roots": ["/srv/../etc"]},
    ),
    "mixes roots with and without a drive letter": ("p", {"kind": "path", "roots": ["/srv", "C:/x"]}),
    "has 'roots', which belongs to kind path": ("u", {"kind": "url", "roots": ["/srv"]}),
    "has 'dialect', which belongs to kind sql": ("u", {"kind": "url", "dialect": "mysql"}),
    "is a JSON pointer with a '~' that is neither '~0' nor '~1'": ("/a~b", {"kind": "url"}),
    "has '**'; name each level, '*' is any one member": ("/a/**", {"kind": "url"}),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_declaration_that_cannot_be_carried_out_is_refused(message: str) -> None:
    argument, said = WRONG[message]
    assert problems(argument, said) == (message,)
    text = json.dumps({"version": 1, "items": {"b": {"tool": {"t": {"extract": {argument: said}}}}}}, indent=1)
    line = next(number for number, each in enumerate(text.split("\n"), 1) if json.dumps(argument) in each)
    assert facts({FILE: text}, FACTS) == (Finding(FILE, line, f"items.b.tool.t.extract.{argument} {message}"),)


def test_a_misspelt_declaration_is_refused_with_the_right_word() -> None:
    text = "version: 1\nitems:\n  b:\n    tool:\n      t: {extract: {p: {kind: path, root: [/srv], roots: [/srv]}}}\n"
    assert facts({FILE: text}, FACTS) == (Finding(FILE, 5, "items.b.tool.t.extract.p.root is not known; did you mean 'roots'?"),)


def test_facts_in_several_files_are_one() -> None:
    more = "extract: {u: {kind: url}}\n"
    assert whole({FILE: "version: 1\nitems: {b: {tool: {}}}\n", "mcp/facts/items/b/tool/t/data.yaml": more}) == {
        "version": 1,
        "items": {"b": {"tool": {"t": {"extract": {"u": {"kind": "url"}}}}}},
    }


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), ANY, max_size=3))
def test_whatever_the_arguments_are_the_document_stays_in_its_schema(arguments: JsonObject) -> None:
    sql: JsonObject = {"kind": "sql", "dialect": "postgres"}
    found({"a": PATH, "/b/*": URL, "/c/a": {"kind": "address"}, "b": sql}, arguments)


def test_nothing_declared_costs_nothing() -> None:
    none, tool = Extractions("r1"), Resource("tool", "t", backend="b", name="t")
    began_s = time.process_time()
    for _ in range(10_000):
        none.of(tool)
    assert time.process_time() - began_s < 0.05

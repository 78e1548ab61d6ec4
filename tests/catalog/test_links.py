"""URIs in results: each is found, each can be taken out, and none of a backend's own goes to a client."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.links import linked_uris, publish, without
from gateway.catalog.merge import Catalog
from gateway.catalog.surface import SurfaceSpec, View, view

PUBLIC: View = view(Catalog({}, ()), SurfaceSpec("default", ("crm",)))
BARE: View = view(Catalog({}, ()), SurfaceSpec("bare", ("crm",), bare=True))


def link(uri: str, **more: Any) -> Any:
    return {"type": "resource_link", "uri": uri, "name": "n", **more}


def embedded(uri: str, **more: Any) -> Any:
    return {"type": "resource", "resource": {"uri": uri, "text": "t", **more}}


def interface(uri: str) -> Any:
    return {"_meta": {"ui": {"resourceUri": uri, "other": 1}, "kept": 1}}


TEXT: Any = {"type": "text", "text": "see note://in-prose"}
CALL: Any = {
    "content": [
        TEXT,
        link("note://1"),
        embedded("note://2"),
        {"type": "later", "uri": "note://3"},
        {**TEXT, **interface("ui://4")},
    ],
    "structuredContent": {"uri": "note://data-of-the-tools-own"},
    "isError": False,
    **interface("ui://5"),
}
READ: Any = {"contents": [{"uri": "note://1", "text": "t"}, {"uri": "note://2", "blob": "AA==", **interface("ui://3")}]}
PROMPT: Any = {
    "description": "d",
    "messages": [
        {"role": "user", "content": TEXT},
        {"role": "user", "content": link("note://1")},
        {"role": "assistant", "content": embedded("note://2")},
        {"role": "user", "content": [TEXT, link("note://3")]},
    ],
}
CASES: Any = [
    pytest.param("tools/call", CALL, ("ui://5", "note://1", "note://2", "note://3", "ui://4"), id="call"),
    pytest.param("resources/read", READ, ("note://1", "ui://3", "note://2"), id="read"),
    pytest.param("prompts/get", PROMPT, ("note://1", "note://2", "note://3"), id="prompt"),
]


@pytest.mark.parametrize(("method", "result", "uris"), CASES)
def test_every_uri_is_found_and_published(method: str, result: Any, uris: tuple[str, ...]) -> None:
    assert linked_uris(result, method=method) == uris
    published = publish(result, method=method, backend="crm", view=PUBLIC)
    assert linked_uris(published, method=method) == tuple(PUBLIC.publish_uri("crm", uri) for uri in uris)


@pytest.mark.parametrize(("method", "result", "uris"), CASES)
def test_a_bare_surface_shows_the_backends_own_uris(method: str, result: Any, uris: tuple[str, ...]) -> None:
    assert publish(result, method=method, backend="crm", view=BARE) == result


@pytest.mark.parametrize(("method", "result", "uris"), CASES)
def test_a_uri_that_is_taken_out_is_nowhere(method: str, result: Any, uris: tuple[str, ...]) -> None:
    before = msgspec.json.encode(result)
    for uri in uris:
        rest = without(result, method=method, uris=frozenset({uri}))
        assert uri not in linked_uris(rest, method=method)
    assert linked_uris(without(result, method=method, uris=frozenset(uris)), method=method) == ()
    assert msgspec.json.encode(result) == before  # the result that is judged and recorded stays what it was


def test_only_what_carries_the_uri_is_taken_out() -> None:
    uris = frozenset({"note://1", "note://2", "note://3", "ui://4", "ui://5"})
    assert without(CALL, method="tools/call", uris=uris) == {
        "content": [TEXT, {**TEXT, "_meta": {"kept": 1}}],
        "structuredContent": {"uri": "note://data-of-the-tools-own"},
        "isError": False,
        "_meta": {"kept": 1},
    }
    assert without(PROMPT, method="prompts/get", uris=uris) == {
        "description": "d",
        "messages": [{"role": "user", "content": TEXT}, {"role": "user", "content": [TEXT]}],
    }


@pytest.mark.parametrize("view", [PUBLIC, BARE], ids=["public", "bare"])
def test_a_link_names_no_icon_on_a_host_behind_the_gateway(view: View) -> None:
    icons = [{"src": "https://inside.example/i.png"}, {"src": "data:,"}]
    result: Any = {"content": [link("note://1", icons=icons), link("note://2", icons=icons[:1])]}
    first, second = view.publish_uri("crm", "note://1"), view.publish_uri("crm", "note://2")
    assert publish(result, method="tools/call", backend="crm", view=view) == {
        "content": [link(first, icons=[{"src": "data:,"}]), link(second)]
    }


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("tools/call", {}),
        ("tools/call", {"content": None}),
        ("tools/call", {"content": ["text", None, {"type": "resource", "resource": "x"}, {"uri": ["note://1"]}, {"uri": {}}]}),
        ("resources/read", {"contents": {"uri": "note://1"}}),
        ("prompts/get", {"messages": [None, {"content": "x"}, {"content": None}]}),
        ("completion/complete", {"completion": {"values": ["note://1"]}}),
        ("tools/call", {"_meta": {"ui": {"resourceUri": 7}}}),
        ("tools/call", {"_meta": "x"}),
    ],
)
def test_what_has_no_uri_stays_what_it_is_whatever_its_shape(method: str, result: Any) -> None:
    assert linked_uris(result, method=method) == ()
    assert publish(result, method=method, backend="crm", view=PUBLIC) is result
    assert without(result, method=method, uris=frozenset({"note://1"})) is result


URIS = st.sampled_from(["own:1", "own:2", "ui://own/3"])
META = st.none() | URIS
BLOCKS: Any = st.one_of(
    st.just(TEXT),
    st.builds(lambda uri, ui: {**link(uri), **(interface(ui) if ui else {})}, URIS, META),
    st.builds(lambda uri, ui: embedded(uri, **(interface(ui) if ui else {})), URIS, META),
    st.builds(lambda uri: {"type": "later", "uri": uri, "resource": {"uri": uri}}, URIS),
)
RESULTS: Any = st.one_of(
    st.tuples(st.just("tools/call"), st.builds(lambda blocks: {"content": blocks}, st.lists(BLOCKS, max_size=4))),
    st.tuples(
        st.just("prompts/get"),
        st.builds(
            lambda blocks: {"messages": [{"role": "user", "content": each} for each in blocks]}, st.lists(BLOCKS, max_size=4)
        ),
    ),
    st.tuples(
        st.just("resources/read"),
        st.builds(lambda uris: {"contents": [{"uri": each} for each in uris]}, st.lists(URIS, max_size=4)),
    ),
)


@given(RESULTS)
def test_no_uri_of_the_backends_own_is_left_in_a_published_result(case: tuple[str, Any]) -> None:
    method, result = case
    text = msgspec.json.encode(publish(result, method=method, backend="crm", view=PUBLIC)).decode()
    for own in ('"own:', '"ui://own'):
        assert own not in text


@given(RESULTS, st.frozensets(URIS))
def test_what_is_taken_out_is_nowhere_and_nothing_is_copied_for_nothing(case: tuple[str, Any], uris: frozenset[str]) -> None:
    method, result = case
    left = without(result, method=method, uris=uris)
    text = msgspec.json.encode(left).decode()
    assert not any(f'"{uri}"' in text for uri in uris)
    assert (left is result) == uris.isdisjoint(linked_uris(result, method=method))

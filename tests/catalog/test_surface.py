"""Surfaces: a curated part of the catalog, always in the same order, its collisions named, what did not change kept as it is."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.items import read_items
from gateway.catalog.merge import TYPES, Catalog, Part, part_of, refreshed
from gateway.catalog.surface import SurfaceError, SurfaceSpec, View, check, shown, view
from gateway.model import ItemType, Listing

SECOND_NS = 1_000_000_000


def tool(name: str, **more: Any) -> Any:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def offered(
    backend: str,
    *,
    tools: Sequence[Any] = (),
    prompts: Sequence[Any] = (),
    resources: Sequence[str] = (),
    templates: Sequence[str] = (),
    ttl_ms: int = 0,
) -> Part:
    """A backend's part, asked for one second after the epoch."""
    raw: dict[ItemType, list[Any]] = {
        "tool": [tool(each) if isinstance(each, str) else each for each in tools],
        "prompt": [{"name": each} for each in prompts],
        "resource": [{"uri": each, "name": each} for each in resources],
        "resource_template": [{"uriTemplate": each, "name": each} for each in templates],
    }
    items = {type: read_items(Listing(backend, type, tuple(raw[type]), "modern"))[0] for type in TYPES}
    return part_of(backend, items, dict.fromkeys(TYPES, ttl_ms), at_ns=SECOND_NS)


def catalog(*parts: Part, missing: tuple[str, ...] = ()) -> Catalog:
    return Catalog({part.backend: part for part in parts}, missing)


def names(seen: View, type: ItemType = "tool") -> list[str]:
    return [item.public_name for item in seen.items[type]]


CRM = offered("crm", tools=["b", "a"], prompts=["a"], resources=["note://1"], templates=["note://{id}"])
WIKI = offered("wiki", tools=["a", "c"])
BOTH = SurfaceSpec("default", ("wiki", "crm"))


@given(st.permutations(["a", "b", "c", "d"]), st.permutations(["x", "y"]), st.permutations(["crm", "wiki"]))
def test_the_same_items_make_the_same_surface_in_whatever_order_they_came(
    own: list[str], its: list[str], order: list[str]
) -> None:
    parts = {"crm": offered("crm", tools=own), "wiki": offered("wiki", tools=its)}
    seen = view(Catalog({name: parts[name] for name in order}, ()), SurfaceSpec("s", tuple(order)))
    assert names(seen) == ["crm__a", "crm__b", "crm__c", "crm__d", "wiki__x", "wiki__y"]
    assert (
        Catalog(parts, ()).version
        == Catalog({"wiki": parts["wiki"], "crm": offered("crm", tools=["a", "b", "c", "d"])}, ()).version
    )


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (("*",), (), ["crm__a", "crm__b", "wiki__a", "wiki__c"]),
        (("crm__*",), (), ["crm__a", "crm__b"]),
        (("*__a",), ("wiki__*",), ["crm__a"]),
        (("tool:*",), (), ["crm__a", "crm__b", "wiki__a", "wiki__c"]),
        (("prompt:*",), (), []),
        (("crm__[ab]",), ("crm__b",), ["crm__a"]),
        (("crm",), (), []),
        (("CRM__A",), (), []),
        ((), (), []),
    ],
)
def test_a_surface_shows_what_its_patterns_say(include: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]) -> None:
    assert names(view(catalog(CRM, WIKI), SurfaceSpec("s", ("crm", "wiki"), include, exclude))) == expected


def test_an_item_is_found_under_its_public_name_and_type_only() -> None:
    seen = view(catalog(CRM, WIKI), SurfaceSpec("s", ("crm", "wiki"), exclude=("crm__b",), renames={"crm__a": "open_ticket"}))
    found = seen.find("tool", "open_ticket")
    assert found is not None and (found.id, found.name, found.definition["name"]) == ("crm__a", "a", "open_ticket")
    assert msgspec.json.decode(found.modern)["name"] == "open_ticket"
    assert [seen.find("tool", name) for name in ("crm__a", "crm__b", "a", "")] == [None] * 4
    assert seen.find("prompt", "wiki__a") is None


def test_a_description_of_the_surfaces_own_leaves_the_fingerprint_of_what_was_reviewed() -> None:
    seen = view(catalog(CRM), SurfaceSpec("s", ("crm",), descriptions={"crm__a": "ours"}))
    item, plain = seen.find("tool", "crm__a"), CRM.items["tool"][1]
    assert item is not None
    assert (item.definition["description"], item.fingerprint) == ("ours", plain.fingerprint)


# --- names that collide -----------------------------------------------------------------------------------------------


def test_on_a_bare_surface_two_items_that_would_share_a_name_are_left_out_and_only_they() -> None:
    spec = SurfaceSpec("s", ("crm",), renames={"crm__a": "b"}, bare=True)
    check(spec)  # it may not exist: only the items can tell
    part = offered("crm", tools=["a", "b", "c"], prompts=["b"])
    seen = view(catalog(part), spec)
    assert (names(seen), names(seen, "prompt")) == (["c"], ["b"])
    assert seen.find("tool", "b") is None
    assert seen.collisions == ("surface s: crm__a and crm__b would both be called b, so neither is shown",)
    healed = view(catalog(offered("crm", tools=["a", "c"], prompts=["b"])), spec, seen)
    assert (names(healed), healed.collisions) == (["b", "c"], ())


def test_items_of_a_bare_surface_may_swap_their_names() -> None:
    spec = SurfaceSpec("s", ("crm",), renames={"crm__a": "b", "crm__b": "a"}, bare=True)
    check(spec)
    seen = view(catalog(offered("crm", tools=["a", "b"])), spec)
    assert [(item.public_name, item.name) for item in seen.items["tool"]] == [("a", "b"), ("b", "a")]
    assert seen.collisions == ()


def test_an_item_may_be_called_what_it_is_called_anyway() -> None:
    check(SurfaceSpec("s", ("crm",), renames={"crm__a": "crm__a", "crm__b": "hr__b", "crm__c": "crm_c"}))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            SurfaceSpec("s", ("crm", "wiki"), renames={"crm__a": "x", "wiki__a": "x"}),
            "surface s: crm__a and wiki__a would both be called x",
        ),
        (
            SurfaceSpec("s", ("crm",), renames={"wiki__a": "x"}),
            "surface s: wiki__a cannot be renamed: it is not a tool or prompt of the surface's backends",
        ),
        (
            SurfaceSpec("s", ("crm",), renames={"gw-crm+note://1": "x"}),
            "surface s: gw-crm+note://1 cannot be renamed: it is not a tool or prompt of the surface's backends",
        ),
        (
            SurfaceSpec("s", ("crm",), renames={"crm__a": "open ticket"}),
            "surface s: 'open ticket' is no name for crm__a: 1 to 128 letters, digits, `_`, `.` and `-`",
        ),
        (
            SurfaceSpec("s", ("crm", "wiki"), renames={"crm__a": "wiki__status"}),
            "surface s: crm__a cannot be called wiki__status: wiki may have an item of its own under that name",
        ),
        (
            SurfaceSpec("s", ("crm",), renames={"crm__a": "crm__b"}),
            "surface s: crm__a cannot be called crm__b: crm may have an item of its own under that name",
        ),
        (SurfaceSpec("s", ("crm", "wiki"), bare=True), "surface s: bare names need exactly one backend, not 2"),
    ],
)
def test_a_surface_that_could_never_be_shown_is_refused_before_any_backend_answers(spec: SurfaceSpec, message: str) -> None:
    with pytest.raises(SurfaceError) as refused:
        check(spec)
    assert str(refused.value) == message


# --- where a URI leads ------------------------------------------------------------------------------------------------


def test_a_uri_leads_to_its_backend_if_that_is_on_the_surface() -> None:
    seen = view(catalog(CRM), SurfaceSpec("s", ("crm",)))
    assert seen.locate("gw-crm+note://1") == ("crm", "note://1")
    assert seen.locate("ui://gw-crm.panel/unlisted") == ("crm", "ui://panel/unlisted")
    assert [seen.locate(uri) for uri in ("gw-wiki+note://1", "note://1", "ui://panel", "gw-crm+ui://panel")] == [None] * 4
    listed = seen.resource_of("crm", "note://1")
    assert listed is not None and listed.definition["uri"] == "gw-crm+note://1"
    assert (seen.resource_of("crm", "note://2"), seen.resource_of("wiki", "note://1")) == (None, None)


@pytest.mark.parametrize("exclude", ["gw-crm+note://*", "resource:*", "*note://2"])
@pytest.mark.parametrize("bare", [False, True])
def test_a_uri_that_the_surface_excludes_leads_nowhere_listed_or_not(exclude: str, bare: bool) -> None:
    seen = view(catalog(CRM), SurfaceSpec("s", ("crm",), exclude=(exclude,), bare=bare))
    assert seen.locate(seen.publish_uri("crm", "note://2")) is None
    assert (seen.locate(seen.publish_uri("crm", "file:///a")) is None) == (exclude == "resource:*")


def test_a_uri_that_the_surface_does_not_include_can_still_be_read() -> None:
    seen = view(catalog(CRM), SurfaceSpec("s", ("crm",), include=("tool:*",)))
    assert (names(seen, "resource"), seen.locate("gw-crm+note://1")) == ([], ("crm", "note://1"))


@pytest.mark.parametrize(
    ("visibility", "shown_among_others"),
    [(["app"], False), ([], False), ("model", False), (["model"], True), (["app", "model"], True), (None, True)],
)
def test_what_only_a_servers_own_interface_may_call_is_left_out_where_servers_meet(
    visibility: Any, shown_among_others: bool
) -> None:
    part = offered("crm", tools=[tool("a", _meta={"ui": {"visibility": visibility}})])
    among_others = view(catalog(part, WIKI), BOTH)
    assert (among_others.find("tool", "crm__a") is not None) == shown_among_others
    alone = view(catalog(part), SurfaceSpec("s", ("crm",)))
    assert alone.find("tool", "crm__a") is not None


def test_a_bare_surface_speaks_in_the_backends_own_names() -> None:
    part = offered(
        "crm", tools=[tool("a", _meta={"ui": {"resourceUri": "ui://panel"}})], resources=["note://1"], templates=["note://{id}"]
    )
    seen = view(catalog(part), SurfaceSpec("s", ("crm",), bare=True))
    own = {"name": "a", "inputSchema": {"type": "object"}, "_meta": {"ui": {"resourceUri": "ui://panel"}}}
    item = seen.find("tool", "a")
    assert item is not None and (item.id, item.definition, msgspec.json.decode(item.modern)) == ("crm__a", own, own)
    assert [names(seen, type) for type in TYPES] == [["a"], [], ["note://1"], ["note://{id}"]]
    assert seen.locate("note://1") == ("crm", "note://1")
    assert seen.publish_uri("crm", "note://1") == "note://1"


def test_of_several_templates_the_one_with_the_most_literal_text_counts_then_the_first_by_name() -> None:
    templates = ["note://{+any}", "note://{id}/raw", "note://{key}/raw", "note://{+all}"]
    seen = view(catalog(offered("crm", templates=templates), offered("wiki", templates=["note://exact"])), BOTH)
    best, wide = seen.template_of("crm", "note://7/raw"), seen.template_of("crm", "note://exact")
    assert best is not None and wide is not None
    assert (best.name, wide.name) == ("note://{id}/raw", "note://{+all}")
    assert seen.template_of("crm", "file:///a") is None


def test_patterns_of_templates_are_kept_as_long_as_the_templates_are() -> None:
    before = view(catalog(offered("crm", templates=["note://{id}"])), SurfaceSpec("s", ("crm",)))
    part = refreshed(before.parts[0], offered("crm", tools=["new"], templates=["note://{id}"]))
    after = view(catalog(part), SurfaceSpec("s", ("crm",)), before)
    assert after is not before
    assert after.templates is before.templates
    more = view(catalog(refreshed(part, offered("crm", templates=["note://{id}", "a:{b}"]))), SurfaceSpec("s", ("crm",)), after)
    assert [item.name for _, item in more.templates["crm"]] == ["note://{id}", "a:{b}"]
    assert more.templates["crm"][0][0] is after.templates["crm"][0][0]


def test_among_thousands_of_templates_one_is_found_without_holding_up_the_gateway() -> None:
    # more than any cache of patterns holds; a share of a second was measured for each URI when they were compiled again
    templates = [f"note://{number}/{{id}}" for number in range(9000)]
    seen = view(catalog(offered("crm", templates=templates)), SurfaceSpec("s", ("crm",)))
    begun_s = time.process_time()
    for _ in range(5):
        found = seen.template_of("crm", "note://0/7")
        assert found is not None and found.name == "note://0/{id}"
        assert seen.template_of("crm", "file:///a") is None
    assert (time.process_time() - begun_s) / 10 < 0.05


def test_a_page_of_resources_is_shown_as_the_surface_shows_its_items() -> None:
    seen = view(catalog(CRM), SurfaceSpec("s", ("crm",), exclude=("*secret*",), bare=True))
    page = offered("crm", resources=["note://new", "note://secret"]).items["resource"]
    assert [item.public_name for item in shown(seen, page)] == ["note://new"]


# --- freshness --------------------------------------------------------------------------------------------------------


def test_a_client_is_granted_what_is_left_of_the_shortest_freshness() -> None:
    seen = view(catalog(offered("crm", tools=["a"], ttl_ms=60_000), offered("wiki", ttl_ms=9_000)), BOTH)
    assert [seen.ttl_left_ms("tool", at_s * SECOND_NS) for at_s in (1, 4, 10, 99)] == [9_000, 6_000, 0, 0]
    assert seen.ttl_left_ms("tool", 0) == 9_000  # a clock that was set back grants no more than the backend did


@pytest.mark.parametrize(
    "seen",
    [
        view(catalog(offered("crm", ttl_ms=60_000), offered("wiki")), BOTH),
        view(catalog(offered("crm", ttl_ms=60_000), missing=("wiki",)), BOTH),
        view(catalog(missing=("crm", "wiki")), BOTH),
    ],
    ids=["one grants nothing", "one is missing", "all are missing"],
)
def test_a_partial_list_may_not_be_kept(seen: View) -> None:
    assert (seen.ttl_ms["tool"], seen.ttl_left_ms("tool", SECOND_NS)) == (0, 0)


def test_only_backends_of_the_surface_are_missing_on_it() -> None:
    assert view(catalog(missing=("crm", "hr")), BOTH).missing == ("crm",)


# --- what did not change stays the same object ------------------------------------------------------------------------


def test_a_surface_is_the_same_view_when_another_backend_changes() -> None:
    spec = SurfaceSpec("s", ("crm",))
    before = view(catalog(CRM, WIKI), spec)
    assert view(catalog(CRM, offered("wiki", tools=["new"]), missing=("hr",)), spec, before) is before
    assert view(catalog(missing=("crm",)), spec, before) is not before


def test_a_part_that_was_listed_again_unchanged_is_the_same_part() -> None:
    again = offered("crm", tools=["b", "a"], prompts=["a"], resources=["note://1"], templates=["note://{id}"])
    assert again is not CRM
    assert refreshed(CRM, again) is CRM


@pytest.mark.parametrize("bare", [False, True])
def test_only_the_lists_and_items_that_changed_are_made_anew(bare: bool) -> None:
    spec = SurfaceSpec("s", ("crm",), renames={"crm__a": "renamed"}, bare=bare)
    before = view(catalog(CRM), spec)
    changed = offered("crm", tools=[tool("b", title="B"), "a"], prompts=["a"], resources=["note://1"], templates=["note://{id}"])
    after = view(catalog(refreshed(CRM, changed)), spec, before)
    assert [after.items[type] is before.items[type] for type in TYPES] == [False, True, True, True]
    assert after.find("tool", "renamed") is before.find("tool", "renamed")
    item = after.find("tool", "b" if bare else "crm__b")
    assert item is not None and item.definition["title"] == "B"
    assert catalog(CRM).version != catalog(changed).version


def test_new_freshness_makes_a_new_view_of_the_same_lists() -> None:
    before = view(catalog(offered("crm", tools=["a"], ttl_ms=1_000)), SurfaceSpec("s", ("crm",)))
    part = refreshed(before.parts[0], offered("crm", tools=["a"], ttl_ms=2_000))
    after = view(catalog(part), SurfaceSpec("s", ("crm",)), before)
    assert after.ttl_ms["tool"] == 2_000
    assert all(after.items[type] is before.items[type] for type in TYPES)


def test_a_different_order_of_a_listing_is_not_a_change() -> None:
    before = view(catalog(CRM), BOTH)
    again = offered("crm", tools=["a", "b"], prompts=["a"], resources=["note://1"], templates=["note://{id}"])
    after = view(catalog(refreshed(CRM, again)), BOTH, before)
    assert all(after.items[type] is before.items[type] for type in TYPES)
    assert catalog(CRM).version == catalog(again).version

"""`catalog pin`: definitions, schemas and fingerprints together, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.fingerprint import fingerprint
from gateway.lifecycle.catalog import accepting, reviewed
from gateway.lifecycle.catalog.names import Key
from gateway.lifecycle.catalog.offered import CatalogFailed, Live, Offer
from gateway.lifecycle.catalog.reviewed import Places
from tests.lifecycle.catalog.running import files, offering, ran, settings, tool

SEARCH = tool(
    "search", {"query": {"type": "string"}}, ["query"], outputSchema={"type": "object", "properties": {"n": {"type": "integer"}}}
)
FIND = tool("find", {"id": {"type": ["string", "null"]}})


def live(*definitions: dict[str, Any], backend: str = "crm") -> Live:
    offers = {}
    for each in definitions:
        key = Key(backend, "tool", each["name"])
        offers[key] = Offer(key, fingerprint(each), each)
    return Live(offers, ())


def place(folder: Path) -> Places:
    return Places(folder / "policies/mcp/facts/items/data.json", folder / "catalog", folder / "schemas")


def pinned(folder: Path, now: Live, *items: str) -> tuple[dict[str, str], ...]:
    where = place(folder)
    before = reviewed.read(where, ["crm"])
    return tuple(each.members() for each in accepting.accept(where, before, now, accepting.choice(items, before, now)))


def told(what: str, name: str) -> dict[str, str]:
    return {"change": what, "backend": "crm", "type": "tool", "name": name}


# --- through the command ----------------------------------------------------------------------------------------------


def test_pin_writes_the_definition_the_schemas_and_the_fingerprint(tmp_path: Path) -> None:
    with offering() as (said, url):
        said.lists["tool"] = [{**SEARCH, "_meta": {"seen": 1}}]
        settings(tmp_path, {"crm": url})
        done = ran(tmp_path, "pin", "--json")
        assert (done.returncode, done.stderr, json.loads(done.stdout)) == (0, "", [told("new", "search")])
        said.lists["tool"] = [{**SEARCH, "_meta": {"seen": 2}}]
        assert json.loads(ran(tmp_path, "pin", "--json").stdout) == []
    assert files(tmp_path) == {
        "catalog/crm/tool/search.json": SEARCH,
        "policies/mcp/facts/items/data.json": {"crm": {"tool": {"search": {"fingerprint": fingerprint(SEARCH)}}}},
        "schemas/results/crm/search.json": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "schemas/tools/crm/search.json": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
        },
    }


def test_pin_says_how_many_tools_have_no_label_since_their_calls_are_refused(tmp_path: Path) -> None:
    with offering() as (said, url):
        said.lists["tool"] = [SEARCH, FIND]
        settings(tmp_path, {"crm": url})
        labels = tmp_path / "policies/mcp/facts/data.yaml"
        ended = ran(tmp_path, "pin").stdout.splitlines()[-2:]
        assert ended == [
            f"2 tools have no label: calls are refused as destructive until {labels} has one.",
            f"Proposals: mcp-gateway catalog diff --suggest-labels --settings {tmp_path}/gateway.yaml",
        ]
        labels.write_text("items: {crm: {tool: {search: {labels: [safe]}}}}\n")
        assert ran(tmp_path, "pin").stdout.splitlines()[-2][:21] == "one tool has no label"
        labels.write_text("items: {crm: {tool: {search: {labels: [safe]}, find: {labels: []}}}}\n")
        assert "label" not in ran(tmp_path, "pin").stdout


def test_one_item_is_pinned_and_the_others_stay_as_they_were(tmp_path: Path) -> None:
    with offering() as (said, url):
        said.lists["tool"] = [SEARCH, FIND]
        settings(tmp_path, {"crm": url})
        done = ran(tmp_path, "pin", "--item", "crm__find", "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, [told("new", "find")])
        unknown = ran(tmp_path, "pin", "--item", "crm__nope")
        assert unknown.returncode == 2
        assert unknown.stderr == "neither offered nor pinned: crm__nope; an item is named by its id: crm__search\n"
    assert list(files(tmp_path)) == [
        "catalog/crm/tool/find.json",
        "policies/mcp/facts/items/data.json",
        "schemas/tools/crm/find.json",
    ]


def test_what_cannot_be_pinned_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    settings(tmp_path, {"crm": "http://127.0.0.1:1/mcp"})
    unknown = ran(tmp_path, "pin", "--backend", "nope")
    assert (unknown.returncode, unknown.stderr) == (2, "no such backend in the settings: nope\n")
    down = ran(tmp_path, "pin")
    assert down.returncode == 2
    assert down.stderr.startswith("a backend could not be asked, so nothing was written: ")
    assert files(tmp_path) == {}
    pins = place(tmp_path).pins
    pins.parent.mkdir(parents=True)
    pins.write_text("{")
    broken = ran(tmp_path, "pin")
    assert broken.returncode == 2
    assert broken.stderr.startswith(f"{pins}: not JSON, so nothing was written: ")
    assert pins.read_text() == "{"


def test_a_backend_that_lists_for_each_subject_is_told_to_be_seen_as_the_gateway(tmp_path: Path) -> None:
    with offering() as (said, url):
        said.lists["tool"] = [SEARCH, {"name": "bad"}]
        settings(tmp_path, {"crm": url}, lists_per_subject=True)
        done = ran(tmp_path, "pin")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "crm: tool 'bad' is not offered: it has no inputSchema",
        "crm: lists for each subject; this is what it lists to the gateway's own credential",
    ]


# --- the files --------------------------------------------------------------------------------------------------------


def test_what_is_gone_takes_its_files_with_it_and_other_backends_keep_theirs(tmp_path: Path) -> None:
    where = place(tmp_path)
    pinned(tmp_path, live(SEARCH, FIND))
    other = reviewed.read_pins(where.pins) | {Key("wiki", "tool", "read"): "sha256:" + "1" * 64}
    where.pins.write_bytes(reviewed.written_pins(other))
    assert pinned(tmp_path, live(FIND)) == (told("gone", "search"),)
    assert list(files(tmp_path)) == [
        "catalog/crm/tool/find.json",
        "policies/mcp/facts/items/data.json",
        "schemas/tools/crm/find.json",
    ]
    assert set(reviewed.read_pins(where.pins)) == {Key("crm", "tool", "find"), Key("wiki", "tool", "read")}


def test_a_result_schema_that_is_no_longer_offered_goes(tmp_path: Path) -> None:
    pinned(tmp_path, live(SEARCH))
    plain = {name: value for name, value in SEARCH.items() if name != "outputSchema"}
    assert pinned(tmp_path, live(plain)) == (told("changed", "search"),)
    assert "schemas/results/crm/search.json" not in files(tmp_path)


def test_an_unreviewed_change_beside_an_accepted_one_stays_unreviewed(tmp_path: Path) -> None:
    pinned(tmp_path, live(SEARCH, FIND))
    changed = {**FIND, "description": "Otherwise."}
    assert pinned(tmp_path, live({**SEARCH, "title": "Search"}, changed), "crm__search") == (told("changed", "search"),)
    assert reviewed.read_pins(place(tmp_path).pins)[Key("crm", "tool", "find")] == fingerprint(FIND)
    assert files(tmp_path)["catalog/crm/tool/find.json"] == FIND


def test_names_that_differ_by_case_only_have_files_of_their_own_also_where_case_is_one(tmp_path: Path) -> None:
    pinned(tmp_path, live(tool("Find")))
    assert "catalog/crm/tool/Find.json" in files(tmp_path)
    pinned(tmp_path, live(tool("Find"), tool("find")))
    assert [name for name in files(tmp_path) if name.startswith("catalog")] == [
        "catalog/crm/tool/%46ind.json",
        "catalog/crm/tool/find.json",
    ]
    assert len(reviewed.read(place(tmp_path), ["crm"]).definitions) == 2


def test_a_definition_that_somebody_edited_is_not_taken_for_what_was_reviewed(tmp_path: Path) -> None:
    pinned(tmp_path, live(SEARCH))
    path = tmp_path / "catalog/crm/tool/search.json"
    path.write_text(path.read_text().replace("of the tests", "of nobody"))
    told = reviewed.read(place(tmp_path), ["crm"])
    assert told.definitions == {}
    assert told.notes == (f"{path}: is not the definition that was pinned, so changes of it cannot be shown; pin it again",)


def test_no_character_of_a_definition_hides_in_its_file(tmp_path: Path) -> None:
    pinned(tmp_path, live({**FIND, "description": "Finds\u200b\u202e\U000e0041."}))
    assert (tmp_path / "catalog/crm/tool/find.json").read_bytes().isascii()
    assert len(reviewed.read(place(tmp_path), ["crm"]).definitions) == 1


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_when_one_file_cannot_be_written_none_is(tmp_path: Path) -> None:
    pinned(tmp_path, live(SEARCH))
    before = files(tmp_path)
    long = tmp_path / "catalog" / ("x" * 252)  # its name fits, that of the unfinished file beside it does not
    with pytest.raises(OSError, match="too long"):
        accepting.replace({tmp_path / "catalog/crm/tool/search.json": b"{}", tmp_path / "catalog/new.json": b"{}", long: b"{}"})
    assert files(tmp_path) == before


def test_when_a_file_cannot_be_moved_into_its_place_those_before_it_are_put_back(tmp_path: Path) -> None:
    pinned(tmp_path, live(SEARCH))
    before = files(tmp_path)
    changed: dict[Path, bytes | None] = {
        tmp_path / "catalog/crm/tool/search.json": b"{}",
        tmp_path / "catalog/new.json": b"{}",
        tmp_path / "schemas/tools/crm/search.json": None,
    }
    folder = tmp_path / "catalog/wiki"  # a folder by then, for the sake of the file in it
    with pytest.raises(OSError, match="directory"):
        accepting.replace({**changed, folder: b"{}", folder / "read.json": b"{}"})
    assert files(tmp_path) == before


def test_pins_are_the_last_that_is_written(tmp_path: Path) -> None:
    where = place(tmp_path)
    pinned(tmp_path, live(SEARCH))
    order = list(accepting.planned(where, reviewed.read(where, ["crm"]), live(FIND), lambda key: True))
    assert order[-1] == where.pins
    assert len(order) == 6  # three go, a definition and a schema come


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[]", id="no object"),
        pytest.param('{"crm": []}', id="no types"),
        pytest.param('{"crm": {"toool": {}}}', id="no such type"),
        pytest.param('{"crm": {"tool": {"search": {"fingerprint": 1}}}}', id="no fingerprint"),
        pytest.param('{"crm": {"tool": {"search": {"fingerprint": "x", "labels": []}}}}', id="written by people"),
        pytest.param("[" * 100_000, id="an abyss"),
    ],
)
def test_pins_that_are_not_understood_are_never_written_over(tmp_path: Path, text: str) -> None:
    pins = place(tmp_path).pins
    pins.parent.mkdir(parents=True)
    pins.write_text(text)
    with pytest.raises(CatalogFailed, match="nothing was written"):
        pinned(tmp_path, live(SEARCH))
    assert pins.read_text() == text

"""A surface is a named, curated part of the catalog at its own URL: what it shows, under which names, and whom it lets in."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flows.running import (
    PATIENCE_S,
    ROOT,
    TESTERS,
    Http,
    Running,
    counts,
    gateway,
    granting,
    said,
    settled,
)

PAGE = 5
SURFACES: dict[str, Any] = {
    "default": {},
    "desk": {
        "include": ["new__echo", "old__*", "prompt:new__*"],
        "exclude": ["old__crash", "resource:*", "resource_template:*"],
        "rename": {"new__echo": "say", "new__greet": "hello"},
        "describe": {"new__echo": "Says it again, at the desk."},
        "instructions": "You are at the desk.",
    },
    "plain": {"backends": ["new"], "bare": True},
    "team": {"backends": ["new"], "groups": ["team"]},
    "open": {"backends": ["new"], "include": ["new__echo", "new__crash"], "anonymous": True},
}
CALLERS: dict[str, dict[str, Any]] = {
    "tester": {"groups": TESTERS},
    "other": {"groups": TESTERS},
    "mate": {"groups": (*TESTERS, "team")},
    "limited": {"groups": TESTERS, "surfaces": ["plain"]},
}
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")


@pytest.fixture(scope="module")
def running(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("surfaces")
    policies = granting(folder, *places)
    facts = policies / "mcp/facts/data.yaml"
    told = yaml.safe_load(facts.read_text())
    told["rules"]["org/reviewed"]["enforcement"] = "observe"  # nobody has pinned the test servers' items
    told["items"]["new"] = {"tool": {"echo": {"labels": ["safe"]}}}
    facts.write_text(yaml.safe_dump(told))
    with gateway(folder, places, CALLERS, policies=policies, surfaces=SURFACES, limits={"list_page_items": PAGE}) as running:
        yield running
        assert "Traceback" not in running.log


def pages(http: Http, method: str) -> list[dict[str, Any]]:
    """Every page of a list, as results."""
    found = [said(http.modern(method))["result"]]
    while "nextCursor" in found[-1]:
        found.append(said(http.modern(method, {"cursor": found[-1]["nextCursor"]}))["result"])
        assert len(found) < 20
    return found


def names(running: Running, who: str | None, surface: str, method: str = "tools/list") -> list[str]:
    key = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources"}.get(method, "resourceTemplates")
    named = {"resources": "uri", "resourceTemplates": "uriTemplate"}.get(key, "name")
    with Http(running, who, surface) as http:
        return [item[named] for page in pages(http, method) for item in page[key]]


# --- what it shows ---


def test_a_surface_shows_what_it_includes_and_not_what_it_excludes(running: Running) -> None:
    everything = names(running, "tester", "default")
    at_desk = names(running, "tester", "desk")
    assert sorted(at_desk) == sorted(["say", *(name for name in everything if name.startswith("old__") and name != "old__crash")])
    assert names(running, "tester", "desk", "prompts/list") == ["hello", "old__greet"]
    assert names(running, "tester", "desk", "resources/list") == []
    assert names(running, "tester", "desk", "resources/templates/list") == []


def test_a_renamed_tool_is_called_by_its_new_name_only(running: Running) -> None:
    with Http(running, "tester", "desk") as http:
        (shown,) = [each for page in pages(http, "tools/list") for each in page["tools"] if each["name"] == "say"]
        assert shown["description"] == "Says it again, at the desk."
        told = said(http.modern("tools/call", {"name": "say", "arguments": {"text": "hello"}}))
        assert told["result"]["content"] == [{"type": "text", "text": "hello"}]
        for name in ("new__echo", "echo", "old__crash", "new__add"):
            error = said(http.modern("tools/call", {"name": name, "arguments": {"text": "hello"}}))["error"]
            assert error == {"code": -32602, "message": f"Unknown tool: {name}"}
        greeting = said(http.modern("prompts/get", {"name": "hello", "arguments": {"name": "Ada"}}))["result"]
        assert greeting["messages"][0]["content"]["text"] == "Greet Ada warmly."


def test_the_policy_and_the_log_know_a_renamed_tool_by_its_own_id(running: Running) -> None:
    with Http(running, "tester", "desk") as http:
        http.modern("tools/call", {"name": "say", "arguments": {"text": "hello"}})
    intent = [line for line in running.audit() if line["type"] == "intent"][-1]
    assert intent["surface"] == "desk"
    assert {name: intent["item"][name] for name in ("id", "name", "public_name")} == {
        "id": "new__echo",
        "name": "echo",
        "public_name": "say",
    }


def test_a_bare_surface_has_the_names_of_its_one_backend(running: Running) -> None:
    assert "echo" in names(running, "tester", "plain")
    assert names(running, "tester", "plain", "resources/list") == ["doc://guide"]
    with Http(running, "tester", "plain") as http:
        read = said(http.modern("resources/read", {"uri": "doc://guide"}))["result"]
        assert read["contents"][0]["uri"] == "doc://guide"
        link = said(http.modern("tools/call", {"name": "link", "arguments": {}}))["result"]
        assert link["content"][0]["uri"] == "doc://guide"


def test_the_model_is_told_the_instructions_of_its_surface(running: Running) -> None:
    with Http(running, "tester", "desk") as http:
        assert said(http.begin())["result"]["instructions"] == "You are at the desk."
        assert said(http.modern("server/discover"))["result"]["instructions"] == "You are at the desk."
    with Http(running, "tester", "plain") as http:
        assert "instructions" not in said(http.modern("server/discover"))["result"]


def test_two_items_of_one_name_stop_the_start_and_both_are_named(places: dict[str, str], tmp_path: Path) -> None:
    surfaces = {"default": {"rename": {"new__echo": "say", "old__echo": "say"}}}
    path, _ = settled(tmp_path, places, CALLERS | {"limited": {}}, policies=granting(tmp_path, *places), surfaces=surfaces)
    command = [sys.executable, "-m", "gateway.cli", "serve", "--settings", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE_S, check=False)
    assert ended.returncode == 2
    assert "surfaces.default.rename: new__echo and old__echo would both be called say" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- whom it lets in ---


def test_a_surface_of_a_group_is_closed_to_everybody_else(running: Running) -> None:
    assert len(names(running, "mate", "team")) > PAGE
    for who, status in (("tester", 403), (None, 401)):
        with Http(running, who, "team") as http:
            for answer in (http.modern("tools/list"), http.modern("server/discover"), http.legacy("initialize")):
                assert answer.status_code == status
                assert "mcp-session-id" not in answer.headers


def test_a_key_is_good_for_its_surfaces_only(running: Running) -> None:
    assert "echo" in names(running, "limited", "plain")
    for surface in ("default", "desk", "open"):
        with Http(running, "limited", surface) as http:
            assert http.modern("tools/list").status_code == 403


def test_callers_without_credential_are_let_in_only_where_that_is_switched_on(running: Running) -> None:
    assert names(running, None, "open") == ["new__crash", "new__echo"]
    with Http(running, None, "open") as http:
        told = said(http.modern("tools/call", {"name": "new__echo", "arguments": {"text": "anybody"}}))
        assert told["result"]["content"] == [{"type": "text", "text": "anybody"}]
        refused = said(http.modern("tools/call", {"name": "new__crash", "arguments": {}}))["result"]
        assert (refused["isError"], "destructive_tool" in refused["content"][0]["text"]) == (True, True)
    outcome = [line for line in running.audit() if line["type"] == "outcome"][-1]
    assert (outcome["subject"]["type"], outcome["subject"]["authentication"]) == ("anonymous", "none")
    for surface in ("default", "desk", "plain"):
        with Http(running, None, surface) as http:
            assert http.modern("tools/list").status_code == 401


def test_a_wrong_credential_is_refused_even_where_none_is_needed(running: Running) -> None:
    with Http(running, None, "open") as http:
        http.client.headers["Authorization"] = "Bearer mgw_tester_wrong"
        assert http.modern("tools/list").status_code == 401


def test_a_session_belongs_to_the_surface_that_it_was_opened_on(running: Running) -> None:
    with Http(running, "tester", "desk") as desk, Http(running, "tester", "plain") as plain:
        desk.begin()
        plain.session = desk.session
        assert plain.legacy("tools/list").status_code == 404
        assert desk.legacy("tools/list").status_code == 200


# --- paging ---


@pytest.mark.parametrize("method", LISTS)
def test_the_pages_of_a_list_are_the_whole_list_in_one_order(running: Running, method: str) -> None:
    shown = names(running, "tester", "default", method)
    assert len(shown) == len(set(shown))
    assert {name.split("__")[0] if "__" in name else name[3:6] for name in shown} == {"new", "old"}
    assert names(running, "tester", "default", method) == shown
    assert names(running, "other", "default", method) == shown
    if method in {"tools/list", "prompts/list"}:
        assert shown == sorted(shown)


def test_no_page_is_longer_than_its_limit_and_only_the_last_has_no_cursor(running: Running) -> None:
    with Http(running, "tester") as http:
        found = pages(http, "tools/list")
    sizes = [len(page["tools"]) for page in found]
    assert sizes[:-1] == [PAGE] * (len(sizes) - 1)
    assert 0 < sizes[-1] <= PAGE
    assert all(page["ttlMs"] == 0 for page in found[:-1])  # one page is no list that could be kept


def test_a_cursor_is_good_for_its_caller_its_list_and_its_surface_only(running: Running, places: dict[str, str]) -> None:
    with Http(running, "tester") as http:
        cursor = said(http.modern("tools/list"))["result"]["nextCursor"]
        of_resources = said(http.modern("resources/list"))["result"]["nextCursor"]
        good = said(http.modern("tools/list", {"cursor": cursor}))["result"]["tools"]
        forwarded = [counts(url) for url in places.values()]
        spoilt = ("A" if cursor[10] != "A" else "B").join((cursor[:10], cursor[11:]))
        for wrong in (spoilt, cursor[:-1], cursor + "A", "", of_resources):
            answer = http.modern("tools/list", {"cursor": wrong})
            assert (answer.status_code, said(answer)["error"]["code"]) == (400, -32602)
        for method in LISTS[1:]:
            assert said(http.modern(method, {"cursor": cursor}))["error"]["code"] == -32602
    for who, surface in (("other", "default"), ("tester", "desk"), (None, "open")):
        with Http(running, who, surface) as http:
            assert said(http.modern("tools/list", {"cursor": cursor}))["error"]["code"] == -32602
            assert said(http.modern("resources/list", {"cursor": of_resources}))["error"]["code"] == -32602
    assert [counts(url) for url in places.values()] == forwarded
    with Http(running, "tester") as http:
        http.begin()  # the caller is the same in both eras
        assert said(http.legacy("tools/list", {"cursor": cursor}))["result"]["tools"] == good

"""`mcp-gateway keys`: what each command writes and prints, and that a token is seen once and its hash never."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.adapters.key_file import load
from gateway.cli import app
from gateway.identity import api_keys
from gateway.identity.key_file import standing

SETTINGS: dict[str, Any] = {
    "backends": {"crm": {"url": "http://127.0.0.1:1/mcp"}},
    "surfaces": {"default": {}, "engineering": {}},
    "identity": {"key_file": "keys.jsonl", "api_keys": [{"id": "fixed", "sha256": "0" * 64, "subject": "fixed"}]},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(SETTINGS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _ran(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["keys", *arguments])


def _done(*arguments: str) -> Result:
    done = _ran(*arguments)
    assert done.exit_code == 0, done.stderr
    return done


def _refused(*arguments: str, code: int = 2) -> str:
    done = _ran(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    return done.stderr


def _listed() -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(_done("list", "--json").stdout)}


def _until(row: dict[str, Any]) -> timedelta:
    left: timedelta = datetime.fromisoformat(row["expires"]) - datetime.now(UTC)
    return timedelta(minutes=round(left.total_seconds() / 60))


def test_a_key_goes_into_the_key_file_with_all_that_was_asked_for(folder: Path) -> None:
    rights = ("--surface", "engineering", "--group", "bots", "--group", "builders", "--scope", "mcp:read")
    users = ("--names-users", "--user-group", "support", "--user-issuer", "https://id.example.com")
    done = _done("create", "ci", "--subject", "builds", "--owner", "ada", "--expires", "90d", *rights, *users)
    assert done.stdout == f"written to {folder}/keys.jsonl: ci\n"
    token = done.stderr.removeprefix("token, shown only now: ").rstrip("\n")
    (row,) = _listed().values()
    assert _until(row) == timedelta(days=90)
    del row["expires"], row["created"]
    assert row == {
        "id": "ci",
        "subject": "builds",
        "owner": "ada",
        "surfaces": ["engineering"],
        "groups": ["bots", "builders"],
        "scopes": ["mcp:read"],
        "names_users": True,
        "user_groups": ["support"],
        "user_issuer": "https://id.example.com",
        "state": "active",
    }
    (key,) = standing(load(folder / "keys.jsonl").records)
    assert api_keys.verified(token, {"ci": key}, now_s=0).subject.identity.id == "builds"
    assert token.split("_", 2)[2] not in (folder / "keys.jsonl").read_text()


def test_the_list_says_whose_each_key_is_and_whether_it_counts() -> None:
    _done("create", "ci", "--owner", "ada@example.com", "--expires", "2099-01-31T00:00:00Z", "--surface", "engineering")
    _done("create", "cd")
    _done("revoke", "cd")
    assert _done("list").stdout.splitlines() == [
        "ID  STATE    SUBJECT  OWNER            EXPIRES            SURFACES",
        "ci  active   ci       ada@example.com  2099-01-31T00:00Z  engineering",
        "cd  revoked  cd       -                never              all",
    ]


def test_no_command_ever_shows_a_hash(folder: Path) -> None:
    said = [_done("create", "ci", "--json"), _done("rotate", "ci", "ci2"), _done("list", "--json"), _done("list")]
    hashes = re.findall(r'"sha256":"([0-9a-f]{64})"', (folder / "keys.jsonl").read_text())
    assert len(hashes) == 2
    assert not [each for each in hashes for done in said if each in done.output]


def test_a_machine_gets_token_and_key_as_json(folder: Path) -> None:
    told = json.loads(_done("create", "ci", "--json").stdout)
    assert told.pop("token").startswith("mgw_ci_")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["key"].pop("created"))
    assert told == {"file": f"{folder}/keys.jsonl", "key": {"id": "ci", "subject": "ci"}}


def test_a_rotated_key_has_a_successor_with_its_rights_and_both_count_for_a_while(folder: Path) -> None:
    _done("create", "ci", "--subject", "builds", "--owner", "ada", "--group", "bots", "--surface", "engineering")
    _done("rotate", "ci", "ci2", "--overlap", "12h", "--expires", "4w")
    old, new = _listed().values()
    assert (_until(old), _until(new)) == (timedelta(hours=12), timedelta(weeks=4))
    same = ("subject", "owner", "groups", "surfaces", "state")
    assert [old[name] for name in same] == [new[name] for name in same] == ["builds", "ada", ["bots"], ["engineering"], "active"]
    hashes = {record.sha256 for record in load(folder / "keys.jsonl").records}
    assert len(hashes) == 2


def test_a_successor_lasts_as_long_as_its_key_was_made_for(folder: Path) -> None:
    _done("create", "ci", "--expires", "90d")
    _done("rotate", "ci", "ci2")
    assert [_until(each) for each in _listed().values()] == [timedelta(days=7), timedelta(days=90)]


def test_an_overlap_never_makes_a_key_last_longer() -> None:
    _done("create", "ci", "--expires", "1h")
    _done("rotate", "ci", "ci2", "--overlap", "7d")
    assert _until(_listed()["ci"]) == timedelta(hours=1)


@pytest.mark.parametrize("state", ["active", "revoked"])
def test_an_id_is_never_used_again(state: str) -> None:
    _done("create", "ci")
    if state == "revoked":
        _done("revoke", "ci")
    said = "there is a key with the id ci, or there was one: an id is never used again\n"
    assert _refused("create", "ci") == said
    _done("create", "other")
    assert _refused("rotate", "other", "ci") == said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "fixed"), "identity.api_keys has a key with the id fixed"),
        (("create", "ci", "--surface", "nope"), "no such surface in the settings: nope"),
        (
            ("create", "ci", "--expires", "tomorrow"),
            "a time is said as 90d, 12h, 30m or 2w from now, or with its zone: 2030-01-31T00:00:00Z",
        ),
        (
            ("create", "ci", "--expires", "2099-01-31"),
            "a time is said as 90d, 12h, 30m or 2w from now, or with its zone: 2030-01-31T00:00:00Z",
        ),
        (("create", "ci", "--expires", "2020-01-31T00:00:00Z"), "this time has passed"),
        (("create", "ci", "--expires", "9999-12-31T23:59:59-23:59"), "this time is too far away"),
        (("create", "ci", "--type", "robot"), "--type must be `workload` or `user`"),
        (("create", "ci", "--type", "user", "--names-users"), "only a workload may be trusted to name users"),
        (
            ("create", "ci", "--user-issuer", "urn:mcp-gateway:keys", "--names-users"),
            "the issuer 'urn:mcp-gateway:keys' is reserved",
        ),
        (("revoke", "ci"), "no key with the id ci in the key file"),
        (("rotate", "ci", "ci2"), "no key with the id ci in the key file"),
        (("list", "--settings", "none.yaml"), "none.yaml: cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_and_nothing_is_written(
    folder: Path, arguments: tuple[str, ...], expected: str
) -> None:
    _done("create", "there")
    before = (folder / "keys.jsonl").read_bytes()
    (line,) = _refused(*arguments).splitlines()
    assert line.startswith(expected)
    assert (folder / "keys.jsonl").read_bytes() == before


def test_a_key_is_revoked_once() -> None:
    _done("create", "ci")
    assert _done("revoke", "ci").stdout == "revoked: ci\n"
    assert re.fullmatch(r"the key ci was revoked at \S+Z\n", _refused("revoke", "ci"))


def test_a_key_file_that_cannot_be_used_is_told_and_left_alone(folder: Path) -> None:
    (folder / "keys.jsonl").write_text("{")
    for arguments in (("list",), ("create", "ci"), ("revoke", "ci")):
        assert _refused(*arguments, code=1) == f"{folder}/keys.jsonl: line 1: not a key: not JSON\n"
    assert (folder / "keys.jsonl").read_text() == "{"


def test_the_file_may_be_named_without_settings(folder: Path) -> None:
    (folder / "gateway.yaml").unlink()
    other = str(folder / "other.jsonl")
    _done("create", "ci", "--file", other)
    assert _done("list", "--file", other).stdout.splitlines()[1].startswith("ci  active")


def test_without_a_key_file_the_entry_for_the_settings_is_printed(folder: Path) -> None:
    (folder / "gateway.yaml").unlink()
    done = _done("create", "ci", "--owner", "ada", "--group", "bots", "--expires", "2099-01-31T00:00:00Z")
    (entry,) = yaml.safe_load(done.stdout)["identity"]["api_keys"]
    assert re.fullmatch(r"[0-9a-f]{64}", entry.pop("sha256"))
    assert entry == {"id": "ci", "subject": "ci", "owner": "ada", "groups": ["bots"], "expires": "2099-01-31T00:00:00+00:00"}
    assert not (folder / "keys.jsonl").exists()


def test_settings_without_a_key_file_are_told_what_to_add(folder: Path) -> None:
    without = {**SETTINGS, "identity": {"api_keys": SETTINGS["identity"]["api_keys"]}}
    (folder / "gateway.yaml").write_text(yaml.safe_dump(without))
    told = "the settings name no key file: set identity.key_file, or name the file with --file\n"
    assert [_refused("list"), _refused("create", "ci", "--settings", "gateway.yaml")] == [told, told]

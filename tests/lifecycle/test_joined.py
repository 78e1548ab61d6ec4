"""Facts that live apart are checked with the rules as if they lay among them, and what is wrong in them names their own file."""

import json
import os
import shutil
from pathlib import Path

from typer.testing import CliRunner

from gateway.cli import app
from tests.lifecycle.repositories import copied, invoked, replaced
from tools.binaries import find

QUICK = [word for each in ("mutation", "coverage", "regal", "format", "conventions") for word in ("--without", each)]


def test_repository_without_facts_passes_with_those_that_live_apart_and_is_left_as_it_is(tmp_path: Path) -> None:
    root, facts = copied(tmp_path / "repository"), tmp_path / "facts"
    shutil.move(root / "policies/mcp/facts", facts)
    before = sorted(root.rglob("*"))
    done = invoked("check", str(root), "--facts", str(facts), "--json", *QUICK)
    rows = json.loads(done.stdout)["checks"]
    assert (done.exit_code, {each["state"] for each in rows}) == (0, {"ok", "left out"}), done.output
    assert sorted(root.rglob("*")) == before
    assert invoked("check", str(root), *QUICK).exit_code == 1

    replaced(facts / "data.yaml", "version: 1", "version: 1\nwaiver: []")
    done = invoked("check", str(root), "--facts", str(facts), "--json", *QUICK)
    found = [each for row in json.loads(done.stdout)["checks"] for each in row["findings"]]
    told = {(each["file"], each["line"], each["message"]) for each in found}
    assert (os.path.relpath(facts / "data.yaml"), 4, "waiver is not known; did you mean 'waivers'?") in told


def test_facts_in_both_places_or_in_none_are_told(tmp_path: Path) -> None:
    root = copied(tmp_path / "repository")
    done = invoked("check", str(root), "--facts", str(root / "policies/mcp/facts"))
    there = f"{root / 'policies/mcp/facts'} is there as well: one of the two would be ignored\n"
    assert (done.exit_code, done.stderr) == (2, there)
    shutil.rmtree(root / "policies/mcp/facts")
    done = invoked("check", str(root), "--facts", str(tmp_path / "nowhere"))
    missing = f"{tmp_path / 'nowhere'}: no such folder: it should hold the facts, or be a bundle of them\n"
    assert (done.exit_code, done.stderr) == (2, missing)


def test_facts_that_are_nowhere_are_what_is_told_first(tmp_path: Path) -> None:
    done = invoked("check", str(copied(tmp_path / "repository")), "--facts", str(tmp_path / "nowhere"))
    missing = f"{tmp_path / 'nowhere'}: no such folder: it should hold the facts, or be a bundle of them\n"
    assert (done.exit_code, done.stderr) == (2, missing)


def test_what_is_named_instead_of_a_repository_is_told_with_what_may_be_meant(tmp_path: Path) -> None:
    root = copied(tmp_path / "repository")
    (tmp_path / "set.tar.gz").touch()
    above = os.path.relpath(root)
    expected = {
        tmp_path / "set.tar.gz": "is a file, and a bundle cannot be checked: name the policy repository that it was built from",
        root / "policies": f"is a folder of a policy repository: name the folder above, {above}",
        tmp_path: f"is no policy repository, {root} is one: name it",
        root / "schemas/released": "is no policy repository: it has no folder policies; `mcp-gateway policy init DIR` makes one",
    }
    told = {place: invoked("check", str(place)) for place in expected}
    assert {place: (done.exit_code, done.stderr) for place, done in told.items()} == {
        place: (2, f"{place} {message}\n") for place, message in expected.items()
    }


def test_a_folder_without_policies_is_told_in_one_line_with_the_repository_in_it(tmp_path: Path) -> None:
    root = copied(tmp_path / "repository")
    (tmp_path / "personas.yaml").write_text("personas: [{name: analyst, groups: [analysts]}]")
    asked = {
        "access": ["access", "--personas", str(tmp_path / "personas.yaml"), "-p"],
        "explain": ["explain", "--group", "support", "--tool", "crm__customer", "-p"],
        "waivers": ["waivers"],
    }
    runner = CliRunner(env={"OPA": find("opa")})
    told = {name: runner.invoke(app, ["policy", *arguments, str(tmp_path)]) for name, arguments in asked.items()}
    line = f"{tmp_path} holds no policies: name the repository, {root}\n"
    assert {name: (done.exit_code, done.stdout + done.stderr) for name, done in told.items()} == dict.fromkeys(asked, (2, line))
    empty = root / "schemas"
    done = runner.invoke(app, ["policy", "waivers", str(empty)])
    assert (done.exit_code, done.stderr) == (2, f"{empty} holds no policies: name a policy repository or a bundle\n")

"""Where pins are written: into the facts that decide, wherever they lie, and never into a folder that decides nothing."""

from pathlib import Path

import pytest
import yaml

from gateway.lifecycle.catalog.reviewed import Bundled, Places, places
from gateway.settings.load import load
from gateway.settings.model import Settings
from tests.lifecycle.catalog.running import offering, ran, settings, tool


def told(folder: Path, policy: str) -> Settings:
    path = folder / "gateway.yaml"
    path.write_text(
        "backends: {crm: {url: 'http://127.0.0.1:1/mcp'}}\n"
        f"identity: {{api_keys: [{{id: ci, sha256: '{'0' * 64}', subject: ci}}]}}\n"
        f"policy: {{history: h, {policy}}}\n"
    )
    return load(path, {})


def test_pins_lie_in_the_facts_of_the_policies_or_in_those_that_live_apart(tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    schemas = tmp_path / "schemas"
    at = {
        "folder: p": Places(tmp_path / "p/mcp/facts/items/data.json", tmp_path / "catalog", schemas),
        "folder: p, facts: facts": Places(tmp_path / "facts/items/data.json", tmp_path / "catalog", schemas),
        "bundle: b.tar.gz, facts: facts": Places(tmp_path / "facts/items/data.json", tmp_path / "catalog", schemas),
    }
    assert {policy: places(told(tmp_path, policy), None) for policy in at} == at
    assert places(told(tmp_path, "folder: p"), None).labels == tmp_path / "p/mcp/facts/data.yaml"


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        ("bundle: b.tar.gz", "bundle"),
        ("server: {url: 'https://bundles.example.com/b'}", "server"),
        ("folder: p, facts: f.tar.gz", "facts"),
        ("folder: p, facts_server: {url: 'https://bundles.example.com/f'}", "facts_server"),
    ],
)
def test_facts_that_come_in_a_bundle_are_pinned_where_it_is_built_from(tmp_path: Path, policy: str, named: str) -> None:
    (tmp_path / "f.tar.gz").touch()
    with pytest.raises(
        Bundled, match=rf"^policy\.{named}: the facts that decide come in a bundle, into which nothing can be pinned\."
    ):
        places(told(tmp_path, policy), None)
    source = tmp_path / "repository/policies/mcp/facts"
    assert places(told(tmp_path, policy), None, source) == Places(
        source / "items/data.json", tmp_path / "repository/catalog", tmp_path / "schemas"
    )


def test_command_says_where_to_pin_instead_and_pins_there(tmp_path: Path) -> None:
    with offering() as (said, url):
        said.lists["tool"] = [tool("find", {"id": {"type": "string"}})]
        path = settings(tmp_path, {"crm": url})
        whole = yaml.safe_load(path.read_text())
        whole["policy"] = {"bundle": str(tmp_path / "b.tar.gz"), "schemas": str(tmp_path / "schemas")}
        path.write_text(yaml.safe_dump(whole))
        for command in (("diff",), ("pin",), ("export", "--into", str(tmp_path / "out"))):
            done = ran(tmp_path, *command)
            assert (done.returncode, "`--facts policies/mcp/facts`" in done.stderr, done.stdout) == (2, True, "")
        facts = tmp_path / "policies/mcp/facts"
        shown = ran(tmp_path, "diff", "--facts", str(facts))
        assert (shown.returncode, f"--facts {facts} --seen " in shown.stdout) == (1, True)
        assert ran(tmp_path, "pin", "--facts", str(facts)).returncode == 0
        assert (facts / "items/data.json").is_file()

"""Facts that live apart from the rules: every command that asks a policy set takes them, from a folder or from a bundle."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.lifecycle.replay.policy import policy
from gateway.policy import bundle
from tests.lifecycle.test_replay_command import QUESTION, packed
from tests.lifecycle.traffic import decision, source, written
from tests.policies.demo import pinned
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[2]
PERSONAS = "personas:\n  - {name: analyst, groups: [analysts]}\n  - {name: release, groups: [engineers, release]}\n"
HINTED = """package mcp.org.hinted

import data.mcp.lib.finding

# METADATA
# title: Nobody calls what says that it writes
# custom: {code: hinted}
deny contains finding.refusal(rego.metadata.rule()) if {
	not input.resources[0].annotations.readOnlyHint
}
"""


@pytest.fixture(autouse=True)
def opa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA", find("opa"))


def ran(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], env={"COLUMNS": "200"})


def told(*arguments: str | Path) -> Any:
    done = ran(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def parted(whole: Path, into: Path) -> dict[Path, Path]:
    """The rules of a folder of policies and their facts, as two folders and as two bundles."""
    shutil.copytree(whole, into / "policies", ignore=shutil.ignore_patterns("facts"))
    shutil.copytree(whole / "mcp/facts", into / "facts")
    (into / "rules.tar.gz").write_bytes(packed(whole, without="mcp/facts"))
    texts = {str(path.relative_to(whole)): path.read_bytes() for path in (whole / "mcp/facts").rglob("*") if path.is_file()}
    manifest = {"revision": "f1", "roots": ["mcp/facts"]}
    (into / "facts.tar.gz").write_bytes(bundle.pack({**texts, bundle.MANIFEST: json.dumps(manifest).encode()}))
    return {into / "policies": into / "facts", into / "rules.tar.gz": into / "facts.tar.gz"}


def recorded(policies: Path, folder: Path) -> Path:
    async def main() -> list[dict[str, Any]]:
        async with policy(find("opa"), source(policies)) as now:
            return [await decision(now, QUESTION)]

    return written(folder, asyncio.run(main()))


def test_explain_and_access_answer_of_rules_and_facts_that_live_apart_as_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "personas.yaml").write_text(PERSONAS)
    explain: list[str | Path] = ["explain", "--as", "ada", "--group", "analysts", "--tool", "crm__search_customers"]
    access: list[str | Path] = ["access", "--personas", tmp_path / "personas.yaml", "--backend", "crm"]
    for command in (explain, access):
        expected = told(*command, "--policies", ROOT / "policies")
        for rules, facts in parted(ROOT / "policies", tmp_path / command[0]).items():
            found = told(*command, "--policies", rules, "--facts", facts)
            assert {**found, "input": None} == {**expected, "input": None}  # which names the moment


def test_replay_and_coverage_take_facts_that_live_apart_also_for_what_they_compare_with(tmp_path: Path) -> None:
    whole = pinned(tmp_path / "whole")
    audit = recorded(whole, tmp_path / "audit")
    other = pinned(tmp_path / "other")
    access = other / "mcp/servers/crm/access.rego"
    access.write_text(access.read_text().replace('"engineers": {"tool": {"search_customers"}},', ""))
    shutil.rmtree(other / "mcp/facts")
    for rules, facts in parted(whole, tmp_path / "parted").items():
        put: list[str | Path] = ["replay", "--audit", audit, "--facts", facts, "--policies"]
        assert told(*put, rules)["differing"] == 0
        assert told(*put, rules, "--against", other)["kinds"]["newly-allowed"] == 1
        assert told(*put, other, "--against", whole)["kinds"]["newly-denied"] == 1  # which has facts of its own
        fired = told("coverage", "--audit", audit, "--policies", rules, "--facts", facts)
        assert fired == told("coverage", "--audit", audit, "--policies", whole)


def test_a_change_of_facts_alone_is_compared_with_the_set_in_force(tmp_path: Path) -> None:
    (tmp_path / "personas.yaml").write_text(PERSONAS)
    folders = parted(ROOT / "policies", tmp_path / "parted")
    rules, facts = next(iter(folders.items()))
    path = facts / "data.yaml"
    path.write_text(path.read_text() + "\nrules:\n  servers/crm/changes: {enforcement: observe}\n")
    asked: list[str | Path] = ["access", "--personas", tmp_path / "personas.yaml", "--backend", "crm"]
    asked += ["--policies", rules, "--facts", facts]
    changes = told(*asked, "--against", ROOT)["changes"]
    assert {(each["kind"], each["item"]) for each in changes} == {("wider", "crm__update_customer")}
    assert told(*asked, "--against", rules)["changes"] == []


def test_rules_without_their_facts_are_told_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "personas.yaml").write_text(PERSONAS)
    rules = next(iter(parted(ROOT / "policies", tmp_path / "parted")))
    audit = recorded(pinned(tmp_path / "whole"), tmp_path / "audit")
    commands: tuple[list[str | Path], ...] = (
        ["explain", "--tool", "crm__search_customers"],
        ["access", "--personas", tmp_path / "personas.yaml"],
        ["replay", "--audit", audit],
    )
    for command in commands:
        done = ran(*command, "--policies", rules)
        assert (done.exit_code, "--facts" in done.output) == (1 if command[0] == "explain" else 2, True), done.output


def test_a_bundle_finds_the_reviewed_definitions_in_the_catalog_beside_it(tmp_path: Path) -> None:
    (tmp_path / "personas.yaml").write_text(PERSONAS)
    whole = tmp_path / "repository"
    for folder in ("policies", "catalog"):
        shutil.copytree(ROOT / folder, whole / folder)
    (whole / "policies/mcp/org/hinted.rego").write_text(HINTED)
    (whole / "bundle.tar.gz").write_bytes(packed(whole / "policies"))
    parts = parted(whole / "policies", whole / "parted")
    asked: list[str | Path] = ["access", "--personas", tmp_path / "personas.yaml", "--backend", "crm", "--policies"]
    expected = told(*asked, whole)["cells"]
    allowed = {cell["item"] for cell in expected if cell["access"] == "allowed" and cell["persona"] == "analyst"}
    assert "crm__search_customers" in allowed  # since its reviewed definition says that it only reads
    assert told(*asked, whole / "bundle.tar.gz")["cells"] == expected
    for rules, facts in parts.items():
        assert told(*asked, rules, "--facts", facts, "--catalog", whole / "catalog")["cells"] == expected

"""`mcp-gateway policy replay`: what it prints, and by which exit code a pipeline learns the answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.lifecycle.replay.policy import policy
from gateway.policy import bundle
from tests.lifecycle.traffic import decision, source, written
from tests.policies.demo import asked, pinned, resource
from tools.binaries import find

QUESTION = asked(["engineers"], [resource("tool", "crm", "search_customers")], "request", arguments={"query": "x"})


def packed(policies: Path, without: str = "mcp/none") -> bytes:
    """A bundle as `policy build` writes one."""
    found = {str(path.relative_to(policies)): path.read_bytes() for path in policies.rglob("*") if path.is_file()}
    texts = {name: text for name, text in found.items() if not name.startswith(without)}
    manifest = {"revision": bundle.revision(None, bundle.digest(texts)[:16]), "roots": [bundle.ROOT]}
    return bundle.pack({**texts, bundle.MANIFEST: json.dumps(manifest).encode()})


def test_the_command_prints_what_changes_and_fails_on_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opa, live, candidate = find("opa"), pinned(tmp_path / "live"), pinned(tmp_path / "candidate")
    access = candidate / "mcp/servers/crm/access.rego"
    monkeypatch.setenv("OPA", opa)
    access.write_text(access.read_text().replace('"engineers": {"tool": {"search_customers"}},', ""))

    async def main() -> list[dict[str, Any]]:
        async with policy(opa, source(live)) as now:
            return [await decision(now, QUESTION)]

    audit = written(tmp_path / "audit", asyncio.run(main()))
    command = ["policy", "replay", "--audit", str(audit), "--policies", str(candidate)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "newly-denied" in shown.output
    assert "servers/crm/access (allow)" in shown.output
    assert "1 decisions would differ, 1 newly-denied, 1 newly-hidden" in shown.output
    failed = CliRunner().invoke(app, [*command, "--json", "--fail-on", "newly-denied"])
    assert (failed.exit_code, json.loads(failed.output)["kinds"]["newly-denied"]) == (1, 1)
    fine = CliRunner().invoke(app, [*command, "--fail-on", "newly-allowed", "--against", str(live)])
    assert fine.exit_code == 0, fine.output
    assert ("asked once" in shown.output, "that both sets answer by the same rules is asked once" in fine.output) == (False, True)
    wrong = CliRunner().invoke(app, [*command, "--fail-on", "newly-denid"])
    assert (wrong.exit_code, "there is no such difference" in wrong.output) == (2, True)
    for folder in (live, candidate):
        (tmp_path / f"{folder.parent.name}.tar.gz").write_bytes(packed(folder))
    bundles = ["--policies", str(tmp_path / "candidate.tar.gz"), "--against", str(tmp_path / "live.tar.gz")]
    bundled = CliRunner().invoke(app, [*command[:4], *bundles, "--json"])
    assert (bundled.exit_code, json.loads(bundled.output)["kinds"]["newly-denied"]) == (0, 1), bundled.output
    (tmp_path / "factless.tar.gz").write_bytes(packed(candidate, without="mcp/facts"))
    factless = CliRunner().invoke(app, [*command[:4], "--policies", str(tmp_path / "factless.tar.gz")])
    assert (factless.exit_code, "has no facts" in factless.output) == (2, True), factless.output
    none = CliRunner().invoke(app, ["policy", "replay", "--audit", str(tmp_path), "--policies", str(candidate)])
    assert (none.exit_code, "no file of the audit" in none.output) == (2, True)

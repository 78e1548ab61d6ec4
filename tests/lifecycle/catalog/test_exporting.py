"""`catalog export`: what is offered now, as files, so that a change shows in the rules before anybody accepts it."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.catalog.fingerprint import fingerprint
from gateway.lifecycle.catalog import exporting, reviewed
from gateway.lifecycle.catalog.offered import CatalogFailed
from tests.lifecycle.catalog.running import ROOT, files, offering, ran, settings, tool
from tests.lifecycle.catalog.test_accepting import live, pinned, place
from tools.binaries import find

UPDATE = tool("update", {"customer": {"type": "string"}, "email": {"type": "string"}})
RULE = """\
# METADATA
# schemas:
#   - input.arguments: schema.tools.crm.update
package mcp.servers.crm.changes

allowed if input.arguments.email == "a@example.com"
"""


def check(policies: Path, schemas: Path) -> str:
    done = subprocess.run(
        [find("opa"), "check", "--strict", "--schema", str(schemas), str(policies)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr


def test_a_renamed_argument_is_an_error_in_the_rule_that_reads_it_before_anybody_accepts_it(tmp_path: Path) -> None:
    with offering() as (said, url):
        said.lists["tool"] = [UPDATE]
        settings(tmp_path, {"crm": url})
        rule = tmp_path / "policies/mcp/servers/crm/changes.rego"
        rule.parent.mkdir(parents=True)
        rule.write_text(RULE)
        assert ran(tmp_path, "pin").returncode == 0
        assert check(tmp_path / "policies", tmp_path / "schemas") == ""
        renamed = tool("update", {"customer": {"type": "string"}, "mail": {"type": "string"}})
        said.lists["tool"] = [renamed, tool("new")]
        done = ran(tmp_path, "export", "--into", str(tmp_path / "offered"), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"into": str(tmp_path / "offered"), "items": 2, "files": 5, "notes": []}
    assert check(tmp_path / "policies", tmp_path / "schemas") == ""
    said_by_opa = check(tmp_path / "policies", tmp_path / "offered/schemas")
    assert 'have: "email"' in said_by_opa
    assert 'want (one of): ["customer" "mail"]' in said_by_opa
    items = json.loads((tmp_path / "offered/items.json").read_text())["items"]
    assert items == [
        {
            "backend": "crm",
            "type": "tool",
            "name": each["name"],
            "id": f"crm__{each['name']}",
            "fingerprint": fingerprint(each),
            "review": review,
        }
        for each, review in ((tool("new"), "new"), (renamed, "changed"))
    ]


def export(folder: Path, into: Path, *now: dict[str, object]) -> int:
    return exporting.export(into, folder / "schemas", reviewed.read(place(folder), ["crm"]), live(*now), {})


def test_schemas_that_no_backend_says_come_along_and_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    pinned(tmp_path, live(UPDATE))
    (tmp_path / "schemas/input.json").write_text("{}")
    (tmp_path / "schemas/tools/wiki").mkdir()
    (tmp_path / "schemas/tools/wiki/read.json").write_text("{}")
    into = tmp_path / "offered"
    assert export(tmp_path, into, UPDATE) == 5
    assert export(tmp_path, into, tool("other")) == 5
    assert list(files(into)) == [
        "catalog/crm/tool/other.json",
        "items.json",
        "schemas/input.json",
        "schemas/tools/crm/other.json",
        "schemas/tools/wiki/read.json",
    ]


def test_a_folder_that_holds_anything_else_is_left_alone(tmp_path: Path) -> None:
    pinned(tmp_path, live(UPDATE))
    before = files(tmp_path)
    with pytest.raises(CatalogFailed, match="not empty and no earlier export"):
        export(tmp_path, tmp_path, UPDATE)
    with pytest.raises(CatalogFailed, match="not empty and no earlier export"):
        export(tmp_path, tmp_path / "catalog", UPDATE)
    assert files(tmp_path) == before


RESULT_RULE = """\
# METADATA
# schemas:
#   - input: schema.input
#   - input.result.structuredContent: schema.results.crm["get-customer"]
package mcp.servers.crm.answers

allowed if input.result.structuredContent.NAME == "Ada"
"""


def test_a_rule_that_names_the_schema_of_a_result_has_its_members_checked(tmp_path: Path) -> None:
    answer = {"type": "object", "properties": {"customer": {"type": "string"}}}
    pinned(tmp_path, live(tool("get-customer", outputSchema=answer)))
    (tmp_path / "schemas/input.json").write_bytes((ROOT / "schemas/input.json").read_bytes())
    rule = tmp_path / "policies/rule.rego"
    rule.write_text(RESULT_RULE.replace("NAME", "customer"))
    assert check(tmp_path / "policies", tmp_path / "schemas") == ""
    rule.write_text(RESULT_RULE.replace("NAME", "custmer"))
    assert 'have: "custmer"' in check(tmp_path / "policies", tmp_path / "schemas")

"""The repository's own catalog: every pin has its definition, and every schema is what that definition makes."""

import json

from gateway.lifecycle.catalog import accepting, reviewed
from gateway.lifecycle.catalog.reviewed import Places
from tests.lifecycle.catalog.running import ROOT

SHIPPED = Places(ROOT / "policies/mcp/facts/items/data.json", ROOT / "catalog", ROOT / "schemas")


def test_every_pinned_item_of_the_demo_has_the_definition_and_the_schemas_that_were_reviewed() -> None:
    backends = {key.backend for key in reviewed.read_pins(SHIPPED.pins)}
    told = reviewed.read(SHIPPED, backends)
    assert (told.notes, set(told.pins) - set(told.definitions)) == ((), set())
    wanted = accepting.files(SHIPPED, told.pins, told.definitions)
    assert {path: json.loads(path.read_bytes()) for path in wanted} == {
        path: json.loads(text or b"") for path, text in wanted.items()
    }
    there = {path for folder in ("catalog", "schemas/tools", "schemas/results") for path in (ROOT / folder).rglob("*.json")}
    assert there - set(wanted) == set()

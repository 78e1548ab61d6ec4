"""The catalog of a table: what the facts know, what the backends offer now, or what was exported of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tests.lifecycle.catalog.running import Offering, offering, ran, settings, tool
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[3]
PERSONAS = """
personas:
  - {name: analyst, groups: [analysts]}
  - {name: reviewer, groups: [analysts, reviewers]}
"""


@pytest.fixture(autouse=True)
def opa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA", find("opa"))


def access(folder: Path, *arguments: str, code: int = 0) -> Any:
    (folder / "personas.yaml").write_text(PERSONAS)
    (folder / "untyped").mkdir(exist_ok=True)
    asked = ["--personas", str(folder / "personas.yaml"), "--policies", str(ROOT), "--schemas", str(folder / "untyped"), "--json"]
    done = CliRunner().invoke(app, ["policy", "access", *asked, *arguments])
    assert done.exit_code == code, done.output
    if code:
        return done.output
    return {(cell["persona"], cell["item"]): cell["access"] for cell in json.loads(done.stdout)["cells"]}


def offered(said: Offering) -> None:
    """One that is not what was reviewed, and one that nobody grants."""
    said.lists["tool"] = [tool("search_customers", annotations={"readOnlyHint": True}), tool("new")]


EXPECTED = {
    ("analyst", "crm__search_customers"): "hidden",
    ("reviewer", "crm__search_customers"): "allowed",
    ("analyst", "crm__new"): "hidden",
    ("reviewer", "crm__new"): "hidden",
}


def test_what_the_backends_offer_now_is_asked_about_with_what_is_new_and_changed(tmp_path: Path) -> None:
    with offering() as (said, url):
        offered(said)
        assert access(tmp_path, "--settings", str(settings(tmp_path, {"crm": url}))) == EXPECTED


def test_an_export_is_a_catalog_and_its_backends_are_not_asked(tmp_path: Path) -> None:
    with offering() as (said, url):
        offered(said)
        settings(tmp_path, {"crm": url})
        assert ran(tmp_path, "export", "--into", str(tmp_path / "offered")).returncode == 0
    assert access(tmp_path, "--catalog", str(tmp_path / "offered")) == EXPECTED
    assert "no items of a backend other; there are crm" in access(
        tmp_path, "--catalog", str(tmp_path / "offered"), "--backend", "other", code=2
    )
    edited = tmp_path / "offered/catalog/crm/tool/new.json"
    edited.write_text(edited.read_text().replace("of the tests", "of somebody"))
    assert "is not what items.json lists" in access(tmp_path, "--catalog", str(tmp_path / "offered"), code=2)


def test_a_catalog_that_was_named_and_is_none_is_told_and_not_passed_over(tmp_path: Path) -> None:
    for name, what in (("missing", "is not there"), ("b.tar.gz", "is no folder"), ("empty", "holds no definitions")):
        place = tmp_path / name
        if name == "empty":
            place.mkdir()
        elif name != "missing":
            place.write_bytes(b"")
        said = f"{place} {what}: --catalog names a folder that `mcp-gateway catalog export` or `pin` wrote\n"
        assert access(tmp_path, "--catalog", str(place), code=2) == said


def test_a_catalog_that_cannot_be_had_is_told_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text('{"items": [{"backend": "crm"}]}')
    assert "items.json" in access(tmp_path, "--catalog", str(tmp_path), code=2)
    assert "missing.yaml" in access(tmp_path, "--settings", str(tmp_path / "missing.yaml"), code=2)
    told = access(tmp_path, "--settings", str(settings(tmp_path, {"crm": "http://127.0.0.1:1/mcp"})), code=2)
    assert "a backend could not be asked" in told
    both = ("--settings", str(tmp_path / "gateway.yaml"), "--catalog", str(tmp_path))
    assert "name one of the two" in access(tmp_path, *both, code=2)

"""`policy new --from library:RULE`: a rule comes with all that belongs to it, and nothing that a repository has is touched."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import yaml

from gateway.lifecycle.making.library import copy, offered
from gateway.lifecycle.making.repository import NotMade, make
from gateway.shipped import SHIPPED
from tests.lifecycle.repositories import invoked, only

FACTS = "policies/mcp/facts/data.yaml"
SETTINGS = "policies/mcp/facts/settings/sql_read_only/data.yaml"
FILES = ("policies/mcp/org/sql_read_only.rego", "policy_tests/mcp/org/sql_read_only_test.rego", SETTINGS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path / "ours")
    return tmp_path / "ours"


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_rule_is_copied_with_its_test_and_its_settings(root: Path) -> None:
    before = contents(root)
    told = invoked("new", "--from", "library:sql_read_only", str(root), "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (
        0,
        {"rule": "org/sql_read_only", "files": [*FILES], "settings": SETTINGS, "schema": False},
    )
    assert contents(root) == before | {name: (SHIPPED.library / name).read_bytes() for name in FILES}


def test_each_rule_of_the_library_alone_leaves_a_repository_that_passes_its_check(tmp_path: Path) -> None:
    """Without what takes long: all rules together pass every check in tests/library."""

    async def alone(rule: str, turn: asyncio.Semaphore) -> dict[str, tuple[str, object]]:
        async with turn:
            make(tmp_path / rule)
            copy(tmp_path / rule, rule)
            rows = await only(tmp_path / rule, "types", "structure", "conventions")
            return {each.check: (each.state, each.findings) for each in rows.values()}

    async def all_of_them() -> dict[str, dict[str, tuple[str, object]]]:
        turn = asyncio.Semaphore(2)
        rules = [each.rule for each in offered()]
        return dict(zip(rules, await asyncio.gather(*(alone(rule, turn) for rule in rules)), strict=True))

    checked = asyncio.run(asyncio.wait_for(all_of_them(), 300))
    fine = dict.fromkeys(("types", "structure", "conventions"), ("ok", ()))
    assert checked == dict.fromkeys((each.rule for each in offered()), fine)


def test_settings_that_the_facts_have_count(root: Path) -> None:
    path = root / FACTS
    path.write_text(path.read_text() + "settings:\n  sql_read_only: {writers: [us]}\n")
    told = invoked("new", "--from", "library:sql_read_only", str(root))
    assert told.exit_code == 0, told.stderr
    assert "The facts have settings.sql_read_only already: they count." in told.stdout
    assert not (root / SETTINGS).exists()


def test_a_repository_whose_facts_live_elsewhere_is_told_what_to_say_there(root: Path) -> None:
    shutil.rmtree(root / "policies/mcp/facts")
    told = invoked("new", "--from", "library:sql_read_only", str(root), "--json")
    assert json.loads(told.stdout)["files"] == [*FILES[:2]]
    said = {"settings": {"sql_read_only": yaml.safe_load((SHIPPED.library / SETTINGS).read_text())}}
    assert yaml.safe_load(json.loads(told.stdout)["lines"]) == said
    assert not (root / "policies/mcp/facts").exists()
    shown = invoked("new", "--from", "library:read_only_unless_granted", str(root)).stdout
    assert "The facts are not in this repository. Say in them, with your own settings:\n\nsettings:\n  read_only" in shown


def test_a_repository_that_was_made_before_the_rule_gets_the_schema_of_its_settings(root: Path) -> None:
    schema = root / "schemas/facts.json"
    shipped = json.loads(schema.read_text())
    older = json.loads(schema.read_text())
    del older["properties"]["settings"]["properties"]["sql_read_only"]
    older["properties"]["settings"]["properties"]["our_own"] = {"type": "object"}
    schema.write_text(json.dumps(older))
    assert "knows settings.sql_read_only now" in invoked("new", "--from", "library:sql_read_only", str(root)).stdout
    shipped["properties"]["settings"]["properties"]["our_own"] = {"type": "object"}
    assert json.loads(schema.read_text()) == shipped
    rows = asyncio.run(only(root, "structure"))
    assert rows["structure"].findings == ()


@pytest.mark.parametrize("name", FILES[:2])
def test_what_exists_is_never_overwritten(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("ours")
    before = contents(root)
    told = invoked("new", "--from", "library:sql_read_only", str(root))
    assert (told.exit_code, told.stderr) == (2, f"{name} exists already\n")
    assert contents(root) == before


def test_an_unknown_rule_is_told_what_there_is(root: Path) -> None:
    told = invoked("new", "--from", "library:sql", str(root))
    names = ", ".join(each.rule for each in offered())
    assert (told.exit_code, told.stderr) == (2, f"the library has no rule 'sql'; it has {names}\n")
    assert invoked("new", "--from", "sql_read_only", str(root)).stderr == "--from library:RULE; --list shows what there is\n"
    for name in ("library:../x", "library:"):
        assert invoked("new", "--from", name, str(root)).exit_code == 2


def test_the_list_tells_every_rule_by_its_title() -> None:
    told = json.loads(invoked("new", "--list", "--json").stdout)
    assert {"rule": "sql_read_only", "title": "SQL only reads"} in told
    assert [each["rule"] for each in told] == [each.rule for each in offered()]
    assert "SQL only reads" in invoked("new", "--list").stdout


SHARED = [
    f"{folder}.rego"
    for name in ("personal", "checksum")
    for folder in (f"policies/mcp/lib/{name}", f"policy_tests/mcp/lib/{name}_test")
]


def test_what_a_rule_imports_comes_along_where_the_repository_was_made_without_it(root: Path) -> None:
    shipped = contents(root)
    for name in SHARED:
        (root / name).unlink()
    told = json.loads(invoked("new", "--from", "library:personal_data", str(root), "--json").stdout)
    assert (told["shared"], [each for each in told["files"] if "/lib/" in each]) == (SHARED, SHARED)
    assert {name: (root / name).read_bytes() for name in SHARED} == {name: shipped[name] for name in SHARED}
    rows = asyncio.run(only(root, "types", "structure", "conventions"))
    assert {each.state for each in rows.values()} == {"ok"}


def test_what_the_repository_shares_already_is_its_own(root: Path) -> None:
    own, test = root / "policies/mcp/lib/texts.rego", root / "policy_tests/mcp/lib/texts_test.rego"
    own.write_text(own.read_text() + "\n# ours\n")
    test.unlink()
    (root / "policies/mcp/lib/finding.rego").unlink()
    (root / "policy_tests/mcp/lib/finding_test.rego").write_text("ours")
    shown = invoked("new", "--from", "library:secrets", str(root)).stdout
    assert "It imports data.mcp.lib.finding, which was missing and came along." in shown
    assert (own.read_text().endswith("# ours\n"), test.exists()) == (True, False)
    assert (root / "policy_tests/mcp/lib/finding_test.rego").read_text() == "ours"


def test_what_cannot_take_a_rule_is_told_why(root: Path) -> None:
    named = invoked("new", "--from", "library:sql_read_only", "org/mine", str(root))
    assert (named.exit_code, "a rule keeps its name" in named.stderr) == (2, True)
    assert invoked("new", "--from", "library:sql_read_only", str(root / "ci")).exit_code == 2
    assert invoked("new").exit_code == 2
    (root / FACTS).write_text("version: [")
    with pytest.raises(NotMade, match="the facts cannot be read"):
        copy(root, "read_only_unless_granted")
    (root / FACTS).write_text(yaml.safe_dump({"version": 1}))
    (root / "schemas/facts.json").write_text("[]")
    with pytest.raises(NotMade, match=r"schemas/facts\.json is not the schema of facts"):
        copy(root, "read_only_unless_granted")

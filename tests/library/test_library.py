"""The library of rules in a repository as a team makes it: it passes every check, and the attacks that it is for do not get by.

Attacks are asked over HTTP with strict errors, with the arguments read by the gateway's own parser.
"""

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.lifecycle.check.examination import Plan, examined
from gateway.lifecycle.making.library import copy
from gateway.lifecycle.making.repository import make
from gateway.lifecycle.repository import repository
from tests.library.asking import LIBRARY, RULES, Case, Table, document, facts
from tests.library.redacting import handed
from tests.policies.conftest import opa_binary, serve  # noqa: F401 — fixtures
from tests.policies.demo import ROOT, Opa, schema
from tools.binaries import find

TABLES: dict[str, Table] = {rule: importlib.import_module(f"tests.library.{rule}").TABLE for rule in RULES}
HOSTILE = [(rule, name) for rule, table in TABLES.items() for name in table.hostile]
INNOCENT = [(rule, name) for rule, table in TABLES.items() for name in table.innocent]
INPUT = Draft202012Validator(schema("input"))
DECISION = Draft202012Validator(schema("decision"))


def assembled(folder: Path) -> Path:
    """A new repository with the whole library in it, copied as `policy new --from library:RULE` does."""
    root = folder / "ours"
    make(root)
    for rule in RULES:
        copy(root, rule)
    return root


def test_the_shipped_policies_with_the_whole_library_pass_every_check(tmp_path: Path) -> None:
    rows = asyncio.run(examined(repository(assembled(tmp_path)), find("opa"), find("regal"), plan=Plan(mutation_s=300.0)))
    assert {each.check: (each.state, each.findings) for each in rows} == {each.check: ("ok", ()) for each in rows}


@pytest.fixture(scope="module")
def opa(serve: Callable[[Path], Opa], tmp_path_factory: pytest.TempPathFactory) -> Opa:  # noqa: F811
    policies = assembled(tmp_path_factory.mktemp("library")) / "policies"
    told = policies / "mcp/facts/data.yaml"
    known = yaml.safe_load(told.read_text())
    known["items"] = facts()
    told.write_text(yaml.safe_dump(known))
    for rule, table in TABLES.items():
        if table.settings is not None:
            (policies / f"mcp/facts/settings/{rule}/data.yaml").write_text(yaml.safe_dump(table.settings))
    return serve(policies)


@pytest.mark.parametrize(("rule", "name"), HOSTILE)
def test_an_attack_is_stopped_by_the_rule_that_is_for_it(opa: Opa, rule: str, name: str) -> None:
    assert f"org/{rule}" in spoke(opa, TABLES[rule], TABLES[rule].hostile[name])


@pytest.mark.parametrize(("rule", "name"), INNOCENT)
def test_what_is_innocent_is_not_taken_for_an_attack(opa: Opa, rule: str, name: str) -> None:
    assert f"org/{rule}" not in spoke(opa, TABLES[rule], TABLES[rule].innocent[name])


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_library_is_whole(rule: str) -> None:
    """A test, settings as the schema knows them, a page, attacks, and its line in the README."""
    settings = LIBRARY / f"policies/mcp/facts/settings/{rule}/data.yaml"
    known = schema("facts")["properties"]["settings"]["properties"][rule]
    assert list(Draft202012Validator(known).iter_errors(yaml.safe_load(settings.read_text()))) == []
    assert (LIBRARY / f"policy_tests/mcp/org/{rule}_test.rego").is_file()
    page = (ROOT / f"docs/policy/rules/{rule}.md").read_text()
    assert [name for name in known["properties"] if f"`{name}`" not in page] == []
    assert f"docs/policy/rules/{rule}.md" in (LIBRARY / "README.md").read_text()
    assert len(TABLES[rule].hostile) >= 20
    assert len(TABLES[rule].innocent) >= 10


def test_the_shipped_set_has_none_of_the_library() -> None:
    assert {path.stem for path in (ROOT / "policies/mcp/org").glob("*.rego")} & set(RULES) == set()


def spoke(opa: Opa, table: Table, case: Case) -> set[str]:
    """The rules that said something with the verb of this table."""
    asks = document(table, case)
    assert [error.message for error in INPUT.iter_errors(asks)] == []
    answer: dict[str, Any] = opa.decide(asks)
    assert [error.message for error in DECISION.iter_errors(answer)] == []
    match table.verb:
        case "deny" | "withhold":
            return {denial["rule"] for denial in answer["denials"]}
        case "hide":
            return set(answer["hidden_by"])
        case "guard" if isinstance(case, dict) and "result" in case:  # what is taken out, and is really gone
            left = handed(answer, case["result"])
            assert [gone for gone in case["gone"] if f"org/{table.rule}" in left.rules and gone in left.over] == []
            return set(left.rules)
        case "guard":
            return {denial["rule"] for denial in answer["denials"]}
        case _:
            return {duty["rule"] for duty in answer["obligations"] if duty["type"] == table.verb}

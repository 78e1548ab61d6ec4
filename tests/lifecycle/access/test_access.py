"""`policy access` as its user runs it, on the shipped policies and a real OPA."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[3]
PERSONAS = """
personas:
  - {name: analyst, groups: [analysts]}
  - {name: manager, groups: [account_managers]}
  - {name: engineer, groups: [engineers], scopes: ["deploy:write"]}
  - {name: reader, groups: [engineers]}
  - {name: release, groups: [engineers, release], scopes: ["deploy:write"]}
"""
IN_STAGING = 'arguments.environment is one of "staging", "test"'


@pytest.fixture(autouse=True)
def opa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA", find("opa"))


@pytest.fixture
def personas(tmp_path: Path) -> Path:
    place = tmp_path / "personas.yaml"
    place.write_text(PERSONAS)
    return place


def run(personas: Path, *arguments: str, code: int = 0, policies: Path = ROOT) -> str:
    untyped = personas.parent / "schemas"  # nothing is typed here, and other tests need not be waited for
    untyped.mkdir(exist_ok=True)
    asked = ["policy", "access", "--personas", str(personas), "--policies", str(policies), "--schemas", str(untyped), *arguments]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == code, done.output
    return done.output


def cells(personas: Path, *arguments: str, policies: Path = ROOT) -> dict[tuple[str, str], Any]:
    told = json.loads(run(personas, "--json", *arguments, policies=policies))
    return {(cell.pop("persona"), cell.pop("item")): cell for cell in told["cells"]}


def changed(tmp_path: Path, file: str, old: str, new: str) -> Path:
    """The shipped set with one text replaced."""
    shutil.copytree(ROOT / "policies", tmp_path / "other/policies")
    place = tmp_path / "other/policies/mcp" / file
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new))
    return tmp_path / "other"


def test_each_answer_has_its_condition_and_its_rules(personas: Path) -> None:
    told = cells(personas, "--backend", "deploy")
    deploy = {name: told[name, "deploy__deploy"] for name in ("analyst", "engineer", "reader", "release")}
    assert deploy == {
        "analyst": {"access": "hidden"},
        "engineer": {"access": "when", "when": IN_STAGING, "rules": ["servers/deploy/production release_team_only"]},
        "reader": {"access": "denied", "rules": ["servers/deploy/scopes scope_missing"]},
        "release": {"access": "allowed"},
    }


def test_answers_are_told_persona_by_persona_in_the_order_of_the_catalog(personas: Path) -> None:
    told = json.loads(run(personas, "--json", "--backend", "deploy"))
    order = [(cell["persona"], cell["item"]) for cell in told["cells"]]
    assert order == [(persona, item["id"]) for persona in told["personas"] for item in told["items"]]


def test_what_a_rule_hides_names_the_rule(personas: Path) -> None:
    assert cells(personas)["analyst", "crm__delete_customer"] == {"access": "hidden", "rules": ["servers/crm/deletion"]}


def test_the_table_numbers_its_conditions(personas: Path) -> None:
    told = run(personas, "--backend", "deploy").splitlines()
    assert told[0].split() == ["ITEM", "ANALYST", "MANAGER", "ENGINEER", "READER", "RELEASE"]
    (row,) = [line.split() for line in told if line.startswith("deploy__deploy")]
    assert row == ["deploy__deploy", "-", "-", "when", "[1]", "no", "[2]", "yes"]
    assert f"[1] {IN_STAGING}" in told
    assert "[2] refused by servers/deploy/scopes scope_missing" in told


def test_many_personas_are_told_by_their_answer(tmp_path: Path) -> None:
    place = tmp_path / "many.yaml"
    place.write_text("personas:\n" + "".join(f"  - {{name: p{at}, groups: [engineers]}}\n" for at in range(12)))
    told = run(place, "--backend", "deploy").splitlines()
    assert told[0].split() == ["ITEM", "ALLOWED", "WHEN", "DENIED", "HIDDEN", "UNKNOWN"]


def test_a_spreadsheet_has_a_line_for_each_answer(personas: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(run(personas, "--format", "csv"))))
    found = {(line["persona"], line["item"]): (line["access"], line["when"]) for line in lines}
    assert found["engineer", "deploy__deploy"] == ("when", IN_STAGING)
    assert len(found) == 5 * 15


def test_a_pull_request_gets_a_table_in_which_nothing_is_markup(personas: Path) -> None:
    told = run(personas, "--format", "markdown", "--backend", "deploy").splitlines()
    assert told[0] == "### Who may call what"
    assert r"| deploy\_\_deploy | - | - | when \[1\] | no \[2\] | yes |" in told


def test_a_page_needs_nothing_else_and_escapes_what_it_shows(tmp_path: Path) -> None:
    place = tmp_path / "personas.yaml"
    place.write_text('personas: [{name: "<script>alert(1)</script>", groups: [engineers]}]')
    page = tmp_path / "page.html"
    run(place, "--format", "html", "--output", str(page))
    text = page.read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert not [mark for mark in ("http://", "https://", " src=", " href=", "@import", "url(") if mark in text]


def test_against_the_same_set_nothing_changes(personas: Path) -> None:
    told = json.loads(run(personas, "--json", "--against", str(ROOT), "--fail-on", "wider,narrower,changed,unknown"))
    assert told["changes"] == []


def test_a_change_is_told_with_both_answers_and_fails_where_it_is_meant_to(personas: Path, tmp_path: Path) -> None:
    before = changed(tmp_path, "servers/deploy/production.rego", '{"staging", "test"}', '{"test"}')
    asked = ("--json", "--against", str(before), "--fail-on", "changed")
    told = json.loads(run(personas, *asked, code=1))["changes"]
    assert {(each["kind"], each["persona"], each["item"]) for each in told} == {
        ("changed", "engineer", "deploy__deploy"),
        ("changed", "engineer", "deploy__restart"),
    }
    assert told[0]["before"]["when"] == 'arguments.environment is "test"'
    assert told[0]["after"]["when"] == IN_STAGING


def test_what_opens_is_wider_and_what_closes_narrower(personas: Path, tmp_path: Path) -> None:
    before = changed(tmp_path, "servers/crm/changes.rego", '"account_managers", ', "")
    there = json.loads(run(personas, "--json", "--against", str(before), "--fail-on", "wider", code=1))["changes"]
    assert [(each["kind"], each["persona"], each["item"]) for each in there] == [("wider", "manager", "crm__update_customer")]
    back = json.loads(run(personas, "--json", "--against", str(ROOT), "--fail-on", "wider", policies=before))["changes"]
    assert [each["kind"] for each in back] == ["narrower"]


def test_a_waived_refusal_does_not_refuse_and_only_its_subject(tmp_path: Path) -> None:
    waiver = (
        "waivers:\n  - {rule: servers/deploy/production, issuer: i, subject: ada, backends: [deploy], "
        "until_ns: 4102444800000000000, reason: r}"
    )
    other = changed(tmp_path, "facts/data.yaml", "waivers: []", waiver)
    place = tmp_path / "people.yaml"
    person = '{name: NAME, issuer: i, id: NAME, groups: [engineers], scopes: ["deploy:write"]}'
    place.write_text(f"personas: [{person.replace('NAME', 'ada')}, {person.replace('NAME', 'bob')}]")
    told = cells(place, policies=other)
    assert told["ada", "deploy__deploy"]["when"] == f"{IN_STAGING} or the time is before 2100-01-01 00:00 UTC"
    assert told["bob", "deploy__deploy"]["when"] == IN_STAGING


def test_a_rule_that_observes_only_some_groups_has_an_effect_on_the_others(tmp_path: Path) -> None:
    here = "servers/deploy/production: {enforcement: enforce, waivable: true"
    other = changed(tmp_path, "facts/data.yaml", here, f"{here}, observe_groups: [trial]")
    place = tmp_path / "people.yaml"
    person = '{name: NAME, groups: [engineers, NAME], scopes: ["deploy:write"]}'
    place.write_text(f"personas: [{person.replace('NAME', 'trial')}, {person.replace('NAME', 'other')}]")
    told = cells(place, "--backend", "deploy", policies=other)
    assert told["trial", "deploy__deploy"] == {"access": "allowed"}
    assert told["other", "deploy__deploy"]["when"] == IN_STAGING


def test_what_is_shown_for_a_time_says_for_which(personas: Path, tmp_path: Path) -> None:
    until = 'resource.name == "services"\n\tinput.context.time_ns >= 4102444800000000000'
    there = "\titem.among(resource, _shown[group])\n}"
    more = f"{there}\n\nallow contains position if {{\n\tsome position, resource in input.resources\n\t{until}\n}}"
    told = cells(personas, "--backend", "deploy", policies=changed(tmp_path, "servers/deploy/access.rego", there, more))
    assert told["manager", "deploy__services"] == {"access": "when", "when": "the time is not before 2100-01-01 00:00 UTC"}
    assert told["manager", "deploy__deploy"] == {"access": "hidden"}
    assert told["analyst", "deploy__services"] == {"access": "allowed"}
    assert told["engineer", "deploy__deploy"]["when"] == IN_STAGING


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("personas: [{name: a, grups: [b]}]", "unknown field `grups` - at `$.personas[0]`"),
        ("personas: []", "there is no persona"),
        ("personas: [{name: a}, {name: a}]", "two personas share a name"),
        ("personas: [{name: a, name: b}]", "name"),
        ("[", "is no YAML"),
    ],
)
def test_bad_personas_are_told_with_their_place(text: str, said: str, tmp_path: Path) -> None:
    place = tmp_path / "personas.yaml"
    place.write_text(text)
    told = run(place, code=2)
    assert said in told
    assert str(place) in told


def test_a_change_that_does_not_exist_cannot_be_failed_on(personas: Path) -> None:
    assert "there is no such change" in run(personas, "--fail-on", "everything", code=2)


def test_a_change_is_not_failed_on_where_nothing_is_compared(personas: Path) -> None:
    told = run(personas, "--fail-on", "wider", code=2)
    assert told == "--fail-on needs --against: the policy set that this one is compared with\n"


def test_a_backend_that_has_no_items_is_told_with_those_that_have(personas: Path) -> None:
    for named in (["--backend", "tickts"], ["--backend", "crm", "--backend", "tickts"]):
        assert run(personas, *named, code=2) == f"{ROOT}/policies: no items of a backend tickts; there are crm, deploy\n"


def test_the_folder_of_the_rules_alone_is_no_policy_set_and_the_one_above_is_named(personas: Path) -> None:
    said = f"{ROOT}/policies/mcp: the policy set is the folder above: name {ROOT}/policies\n"
    assert run(personas, code=2, policies=ROOT / "policies/mcp") == said


def test_a_rule_of_the_library_that_counts_what_is_left_over_has_words(tmp_path: Path) -> None:
    made = tmp_path / "ours"
    for command in (["init", str(made)], ["new", "--from", "library:unknown_arguments", str(made)]):
        assert CliRunner().invoke(app, ["policy", *command]).exit_code == 0
    place = tmp_path / "personas.yaml"
    place.write_text(PERSONAS)
    told = cells(place, "--backend", "crm", policies=made)["analyst", "crm__search_customers"]
    assert told["when"] == (
        "(arguments_valid is given and not false and unknown_arguments is a list and"
        " the number of different unknown_arguments is 0) or the number of arguments is 0"
    )


def test_a_rule_that_asks_more_than_anybody_reads_is_told_by_its_name_and_its_changes_are_seen(tmp_path: Path) -> None:
    made = tmp_path / "ours"
    for command in (["init", str(made)], ["new", "--from", "library:secrets", str(made)]):
        assert CliRunner().invoke(app, ["policy", *command]).exit_code == 0
    place = tmp_path / "personas.yaml"
    place.write_text(PERSONAS)
    before = shutil.copytree(made, tmp_path / "before")
    said = "org/secrets does not refuse"
    assert cells(place, "--backend", "crm", policies=made)["analyst", "crm__search_customers"]["when"] == said
    rule = made / "policies/mcp/org/secrets.rego"
    rule.write_text(rule.read_text().replace("AKIA", "AKIB"))
    told = json.loads(run(place, "--json", "--against", str(before), "--backend", "crm", policies=made))
    (changed,) = (each for each in told["changes"] if (each["persona"], each["item"]) == ("analyst", "crm__search_customers"))
    assert (changed["kind"], changed["before"]["when"], changed["after"]["when"]) == ("changed", said, said)


def test_what_is_counted_of_the_groups_tells_personas_apart(tmp_path: Path) -> None:
    old = '\tnot "release" in input.subject.groups\n'
    new = '\tcount({group | some group in input.subject.groups; group != "engineers"}) == 0\n'
    place = tmp_path / "people.yaml"
    person = '{name: NAME, groups: [engineers MORE], scopes: ["deploy:write"]}'
    one, other = person.replace("NAME", "one").replace("MORE", ""), person.replace("NAME", "other").replace("MORE", ", x")
    place.write_text(f"personas: [{one}, {other}]")
    told = cells(place, "--backend", "deploy", policies=changed(tmp_path, "servers/deploy/production.rego", old, new))
    assert told["one", "deploy__deploy"]["when"] == IN_STAGING
    assert told["other", "deploy__deploy"] == {"access": "allowed"}

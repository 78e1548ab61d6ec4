"""`policy explain` as its user runs it, on the shipped policies and a real OPA."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[3]
UPDATE = {"customer_id": "C-1", "email": "ada@example.com"}


@pytest.fixture(autouse=True)
def opa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPA", find("opa"))


def run(*arguments: str, code: int) -> str:
    done = CliRunner().invoke(app, ["policy", "explain", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def explain(*arguments: str, code: int, policies: Path = ROOT) -> Any:
    return json.loads(run("--policies", str(policies), "--json", *arguments, code=code))


def spoke(told: Any, verb: str) -> list[tuple[str, str]]:
    return [(each["rule"], each["code"]) for each in told["said"] if each["verb"] == verb]


def test_an_allowed_request_names_its_grant_and_that_nothing_else_matters() -> None:
    told = explain("--as", "ada", "--group", "engineers", "--tool", "deploy__services", code=0)
    assert (told["outcome"], told["allowed_when"]) == ("allowed", "always")
    assert spoke(told, "granted") == [("servers/deploy/access", "")]


def test_an_allowed_request_says_on_which_arguments_it_hangs() -> None:
    call = json.dumps({"environment": "staging"})
    asked = ("--group", "engineers", "--scope", "deploy:write", "--tool", "deploy__deploy", "--arguments", call)
    assert explain(*asked, code=0)["allowed_when"] == 'arguments.environment is one of "staging", "test"'


def test_a_refusal_stands_with_its_file_line_and_title() -> None:
    told = explain("--group", "analysts", "--tool", "crm__update_customer", "--arguments", json.dumps(UPDATE), code=1)
    (refused,) = [each for each in told["said"] if each["verb"] == "refused"]
    line = (ROOT / "policies/mcp/servers/crm/changes.rego").read_text().splitlines()[refused["line"] - 1]
    assert (refused["text"], refused["file"]) == ("only account managers change customers", "mcp/servers/crm/changes.rego")
    assert line.startswith("deny contains finding.refusal")


def test_a_missing_group_is_named_and_was_tried() -> None:
    told = explain("--group", "analysts", "--tool", "crm__update_customer", "--arguments", json.dumps(UPDATE), code=1)
    assert told["would_be_allowed"] == [
        {"changes": ["groups"], "when": "group crm_admins", "asked": "allowed"},
        {"changes": ["groups"], "when": "group account_managers", "asked": "allowed"},
    ]


def test_a_missing_scope_is_named_and_was_tried() -> None:
    call = json.dumps({"environment": "staging"})
    told = explain("--group", "engineers", "--tool", "deploy__deploy", "--arguments", call, code=1)
    assert told["would_be_allowed"][0] == {"changes": ["scopes"], "when": "scope deploy:write", "asked": "allowed"}
    assert told["notes"] == ["answered 403 insufficient_scope: deploy:write"]


def test_what_must_change_together_is_told_together() -> None:
    told = explain("--group", "engineers", "--tool", "deploy__deploy", code=1)
    assert [(each["when"], each["asked"]) for each in told["would_be_allowed"]] == [
        ("group release and scope deploy:write", "allowed"),
        ('arguments.environment is one of "staging", "test" and scope deploy:write', "allowed"),
    ]


def test_a_condition_that_cannot_be_tried_is_told_without_a_claim() -> None:
    told = explain("--group", "account_managers", "--tool", "crm__update_customer", code=1)
    (change,) = told["would_be_allowed"]
    assert change["changes"] == ["arguments"]
    assert "arguments.email matches" in change["when"]
    assert "asked" not in change


def test_a_hidden_item_says_who_hides_it_and_that_it_seems_not_to_exist() -> None:
    told = explain("--group", "analysts", "--tool", "crm__delete_customer", code=1)
    assert (told["outcome"], spoke(told, "hid")) == ("hidden", [("servers/crm/deletion", "")])
    assert told["notes"] == ["no rule grants it", "it is answered as if there were no such item"]


def test_a_rule_that_granted_nothing_says_what_it_lacked() -> None:
    told = explain("--group", "analysts", "--tool", "crm__delete_customer", code=1)
    (silent,) = [each for each in told["said"] if each["verb"] == "silent"]
    assert (silent["rule"], silent["text"]) == (
        "servers/crm/access",
        "Who sees what of the customer database: to group crm_admins",
    )
    assert silent["file"] == "mcp/servers/crm/access.rego"


def withheld(tmp_path: Path, **members: Any) -> Path:
    """A log that holds a private key, as it came back."""
    asked = ("--group", "engineers", "--tool", "deploy__service_log", "--arguments", '{"service": "web"}')
    given = explain(*asked, code=0)["input"]
    given["action"]["phase"] = "result"
    given |= {"result": {"content": [{"type": "text", "text": "-----BEGIN PRIVATE KEY-----"}]}, **members}
    place = tmp_path / "result.json"
    place.write_text(json.dumps({"input": given}))
    return place


def test_a_result_that_was_withheld_says_what_would_have_let_it_pass(tmp_path: Path) -> None:
    place = withheld(tmp_path)
    told = explain("--input", str(place), code=1)
    assert spoke(told, "withheld") == [("servers/deploy/private_keys", "private_key_in_log")]
    assert told["would_be_allowed"] == [
        {"changes": ["result"], "when": 'result as JSON does not contain "PRIVATE KEY-----"'},
    ]
    lines = run("--policies", str(ROOT), "--input", str(place), code=1).splitlines()
    assert lines[0] == "WITHHELD  tools/call deploy__service_log (its result)  for user somebody (engineers)"
    assert not [line for line in lines if "duties" in line]


def test_an_undecided_question_says_what_of_it_is_no_question(tmp_path: Path) -> None:
    place = withheld(tmp_path)
    place.write_text(place.read_text().replace('["engineers"]', '"x"'))
    told = explain("--input", str(place), code=1)
    assert told["outcome"] == "undecided"
    assert "input.subject.groups: 'x' is not of type 'array'" in told["notes"]


def test_what_the_gateway_reads_in_arguments_is_read_and_not_taken_for_known(tmp_path: Path) -> None:
    for name in ("policies", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    place = tmp_path / "policies/mcp/facts/data.yaml"
    old, new = "services: {labels: [safe]}", "services: {labels: [safe], extract: {page: {kind: url}}}"
    assert old in place.read_text()
    place.write_text(place.read_text().replace(old, new))
    asked = ("--group", "engineers", "--tool", "deploy__services", "--arguments")
    told = explain(*asked, '{"page": "https://example.com/a"}', code=0, policies=tmp_path)
    assert told["input"]["extracted"]["urls"][0]["host"] == "example.com"
    assert told["allowed_when"] == "org/extraction does not refuse"
    refused = explain(*asked, '{"page": "//[x"}', code=1, policies=tmp_path)
    assert spoke(refused, "refused") == [("org/extraction", "unreadable_argument")]


def test_an_item_that_nobody_reviewed_is_asked_about_without_a_fingerprint() -> None:
    told = explain("--group", "analysts", "--tool", "crm__new", code=1)
    assert told["outcome"] == "hidden"
    assert told["assumed"] == ["the facts hold no reviewed definition of crm__new: it is asked about without a fingerprint"]


def test_an_item_that_no_rule_grants_to_anybody_has_no_way_in() -> None:
    told = explain("--group", "analysts", "--tool", "crm__new", code=1)
    assert (told["granted_to_nobody"], told["would_be_allowed"]) == (True, [])
    lines = run("--policies", str(ROOT), "--group", "analysts", "--tool", "crm__new", code=1).splitlines()
    assert "  no way in    nothing in the request would help: no rule of this set grants it to anybody" in lines


def test_an_item_that_a_rule_grants_to_somebody_else_is_not_said_to_be_granted_to_nobody(tmp_path: Path) -> None:
    for name in ("policies", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    asked = ("--group", "visitors", "--tool", "crm__new")
    rule = tmp_path / "policies/mcp/servers/crm/more.rego"
    head = "package mcp.servers.crm.more\n\nallow contains position if {\n\tsome position, resource in input.resources\n"
    for body, nobody in (
        ('resource.name == "other"', True),
        ('resource.name == "new"\n\tinput.subject.claims.level > 3', False),
        ("resource.annotations.readOnlyHint", False),
    ):
        rule.write_text(f"{head}\t{body}\n}}\n")
        assert explain(*asked, code=1, policies=tmp_path).get("granted_to_nobody", False) == nobody


def test_a_name_that_the_facts_do_not_know_is_told_with_one_that_is_alike() -> None:
    told = explain("--group", "crm_admins", "--tool", "crm__delete_custmer", code=1)
    assert told["assumed"] == [
        "the facts hold no reviewed definition of crm__delete_custmer: it is asked about without a fingerprint",
        "did you mean crm__delete_customer?",
    ]


def test_the_name_that_may_be_meant_stands_before_the_answer_for_the_other() -> None:
    lines = run("--policies", str(ROOT), "--group", "crm_admins", "--tool", "crm__delete_custmer", code=1).splitlines()
    assert lines[:2] == [
        "  note         did you mean crm__delete_customer?",
        "HIDDEN  tools/call crm__delete_custmer  for user somebody (crm_admins)",
    ]
    assert [line for line in lines[2:] if "did you mean" in line] == []


def test_rules_that_observe_and_waivers_are_told_and_have_no_effect(tmp_path: Path) -> None:
    facts = """
version: 1
rules:
  servers/deploy/scopes: {enforcement: observe}
  servers/deploy/production: {enforcement: enforce, waivable: true}
waivers:
  - {rule: servers/deploy/production, issuer: i, subject: ada, backends: [deploy], until_ns: 4102444800000000000}
"""
    for name in ("policies", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    place = tmp_path / "policies/mcp/facts/data.yaml"
    kept = place.read_text()
    place.write_text(facts + kept[kept.index("items:") : kept.index("# enforcement:")] + "groups: {}\nblocks: []\nbackends: {}\n")
    asked = ("--as", "ada", "--issuer", "i", "--group", "engineers", "--tool", "deploy__deploy")
    told = explain(*asked, code=0, policies=tmp_path)
    assert spoke(told, "waived") == [("servers/deploy/production", "release_team_only")]
    (observed,) = [each for each in told["said"] if each["verb"] == "observed"]
    assert (observed["rule"], observed["code"], observed["text"], observed["scopes"]) == (
        *("servers/deploy/scopes", "scope_missing", "deploying needs a token with the scope deploy:write"),
        ["deploy:write"],
    )
    lines = run("--policies", str(tmp_path), *asked, code=0).splitlines()
    assert "  observes     deploying needs a token with the scope deploy:write [scope_missing] (observes only)" in lines
    assert told["outcome"] == "allowed"
    until = "the time is before 2100-01-01 00:00 UTC"
    assert told["allowed_when"] == f'arguments.environment is one of "staging", "test" or {until}'


def test_the_whole_is_read_in_twenty_lines() -> None:
    told = run("--policies", str(ROOT), "--as", "bob", "--group", "engineers", "--tool", "deploy__deploy", code=1)
    lines = told.splitlines()
    assert len(lines) <= 20
    assert lines[0] == "DENIED  tools/call deploy__deploy  for user bob (engineers)"
    assert "  allowed with group release and scope deploy:write" in lines


def record(decision: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": "exchange", "outcome": "denied", "level": "metadata", "decisions": [decision], **members}


def audit(folder: Path, *lines: str) -> Path:
    folder.mkdir()
    (folder / f"audit-20260101T000000000000Z-{'0' * 32}-{1:012d}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_a_recorded_question_is_asked_again(tmp_path: Path) -> None:
    given = explain("--group", "engineers", "--tool", "deploy__deploy", code=1)["input"]
    line = record({"decision_id": "d1", "phase": "request", "revision": "old", "document": {"input": given}})
    folder = audit(tmp_path / "audit", "not json", json.dumps(line))
    told = run("d1", "--audit", str(folder), "--policies", str(ROOT), code=1)
    assert told.startswith("RECORDED  denied, decided by policy old\n")
    assert "DENIED  tools/call deploy__deploy" in told


def test_what_a_shadow_said_stands_beside_what_was_decided(tmp_path: Path) -> None:
    differences = [{"kind": "newly-denied", "rules": ["org/new refused"], "items": ["crm__search"], "count": 1}]
    shadow = {"type": "shadow", "decision_id": "d1", "candidate": "c4", "differences": differences}
    other = {**shadow, "decision_id": "d2", "candidate": "c5"}
    line = record({"decision_id": "d1", "phase": "request", "revision": "old"})
    folder = audit(tmp_path / "audit", *(json.dumps(each) for each in (shadow, other, line)))
    told = run("d1", "--audit", str(folder), "--policies", str(ROOT), code=1)
    assert "  in shadow    candidate c4: newly-denied by org/new refused" in told.splitlines()
    assert "candidate c5" not in told


def test_what_the_record_and_the_policies_say_alike_is_told_once(tmp_path: Path) -> None:
    told = explain("--group", "engineers", "--tool", "deploy__deploy", code=1)
    denials = [{"rule": each["rule"], "code": each["code"]} for each in told["said"] if each["verb"] == "refused"]
    decision = {"decision_id": "d1", "revision": f"v1.{told['revision']}", "document": {"input": told["input"]}}
    line = record(decision, denials=denials, granted_by=["servers/deploy/access"])
    lines = run("d1", "--audit", str(audit(tmp_path / "audit", json.dumps(line))), "--policies", str(ROOT), code=1).splitlines()
    assert lines[0] == f"RECORDED  denied, decided by policy v1.{told['revision']}"
    assert lines[1].startswith("DENIED  tools/call deploy__deploy")
    assert [line for line in lines if len(line) > 100] == []


def test_a_decision_whose_question_was_not_kept_says_what_is_missing(tmp_path: Path) -> None:
    denial = {"rule": "servers/deploy/scopes", "code": "scope_missing", "message": "deploying needs a scope"}
    line = record({"decision_id": "d1", "phase": "request", "revision": "old"}, denials=[denial])
    told = run("d1", "--audit", str(audit(tmp_path / "audit", json.dumps(line))), "--policies", str(ROOT), code=1)
    assert "missing      the question: recorded at level metadata" in told
    assert "mcp/servers/deploy/scopes.rego:16" in told


def test_the_first_characters_of_an_id_do_where_they_suffice(tmp_path: Path) -> None:
    denial = {"rule": "servers/deploy/scopes", "code": "scope_missing", "message": "deploying needs a scope"}
    ids = ["d0953926" + "0" * 24, "d0953927" + "0" * 24]
    lines = [json.dumps(record({"decision_id": id, "phase": "request", "revision": f"of {id}"}, denials=[denial])) for id in ids]
    folder = audit(tmp_path / "audit", "\n".join(lines))
    whole, short = (run(id, "--audit", str(folder), "--policies", str(ROOT), code=1) for id in (ids[0], "d0953926"))
    assert short == whole
    both = run("d09539", "--audit", str(folder), "--policies", str(ROOT), code=2)
    assert f"2 decisions begin with d09539: {ids[0]}, {ids[1]} …; give more of the id" in both.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one thing to explain"),
        (("--tool", "crm"), "no name of an item"),
        (("--tool", "crm__search", "--arguments", "7"), "--arguments: no object"),
        (("--input", "missing.json"), "missing.json: No such file or directory"),
        (("d9", "--audit", "AUDIT"), "no decision d9 in 1 lines of 1 files"),
        (("--tool", "crm__search", "--policies", "nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_explained_is_told_with_exit_code_2(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    folder = audit(tmp_path / "audit", json.dumps(record({"decision_id": "d1", "phase": "request"})))
    places = [str(folder) if each == "AUDIT" else each for each in arguments]
    if "--policies" not in places:
        places += ["--policies", str(ROOT)]
    assert said in run(*places, code=2)


def test_a_long_refusal_goes_on_below_itself_and_a_place_is_never_broken() -> None:
    said = CliRunner().invoke(
        app, ["policy", "explain", "-g", "analysts", "--tool", "crm__delete_customer"], env={"OPA": find("opa")}
    )
    lines = said.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  also refused"))
    assert lines[at : at + 3] == [
        '  also refused "crm__delete_customer" may destroy data or is unlabelled, and you are in none of the',
        "               groups that may call such tools [destructive_tool]",
        "                 policies/mcp/org/destructive.rego:20",
    ]
    assert [line for line in lines if len(line) > 100] == []

"""A gateway that records for replays: what its audit then holds, what it never does, and that a replay of it finds nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.lifecycle.coverage import coverage
from gateway.lifecycle.recorded import Reading, records
from gateway.lifecycle.replay.traffic import traffic
from tests.flows.running import ROOT, TESTERS, Http, Running, gateway, granting, said
from tools.binaries import find

SECRET = "Hunter2 opens it"
KEY = "a key of the stand-ins, for this test alone"


@pytest.fixture(scope="module")
def recording(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("recording")
    (folder / "key").write_text(KEY)
    callers: dict[str, dict[str, Any]] = {"tester": {"groups": TESTERS}, "stranger": {"groups": []}}
    policies = granting(folder, *places, condition='"reviewers" in input.subject.groups')
    audit = {"folder": str(folder / "audit"), "record": "replay", "recording_key": {"file": str(folder / "key")}}
    with gateway(folder, places, callers, policies=policies, audit=audit) as running:
        for who in callers:
            with Http(running, who) as caller:
                for _ in range(2):
                    assert caller.modern("tools/list").status_code == 200
                for text in ("one", SECRET, SECRET):
                    caller.modern("tools/call", {"name": "new__echo", "arguments": {"text": text, "password": "open"}})
        yield running
        assert "Traceback" not in running.log


def decisions(running: Running) -> list[dict[str, Any]]:
    return [one for record in running.audit() for one in record.get("decisions", [])]


def test_every_question_is_recorded_with_its_answer_and_the_record_keeps_its_schema(recording: Running) -> None:
    schema = json.loads((ROOT / "schemas/audit.json").read_text())
    for record in recording.audit():
        jsonschema.validate(record, schema)
    kept = [one for one in decisions(recording) if "document" in one]
    assert {one["phase"] for one in kept} >= {"list", "request"}
    assert all("answer" in one and one["answer"]["version"] == 1 for one in kept)
    lists = [one for one in decisions(recording) if one["phase"] == "list"]
    assert len({one["decision_id"] for one in lists}) == len([one for one in lists if "document" in one])  # from memory: named


def test_no_text_of_a_caller_stands_in_a_recorded_question_and_alike_texts_stay_alike(recording: Running) -> None:
    kept = [one for one in decisions(recording) if one["phase"] == "request" and "document" in one]
    assert "Hunter2" not in json.dumps(kept)
    texts = [one["document"]["arguments"]["text"] for one in kept if one["document"]["subject"]["id"] == "tester"]
    assert texts[0] == "one"
    assert texts[1] == texts[2] != SECRET
    assert all("/arguments/password" in one["stand_ins"] for one in kept)
    assert KEY not in recording.log + json.dumps(recording.audit())


def test_a_replay_of_the_policy_in_force_finds_nothing_and_of_a_changed_one_what_changed(
    recording: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPA", find("opa"))
    live = recording.folder / "policies"
    command = ["policy", "replay", "--json", "--audit", str(recording.folder / "audit"), "--policies"]
    done = CliRunner().invoke(app, [*command, str(live), "--fail-on", "unknown,newly-denied,newly-allowed"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    found = traffic(records(recording.folder / "audit", Reading()))
    assert (told["differing"], told["decisions"], told["replayed"]) == (0, found.decisions, found.decisions)
    stricter = granting(tmp_path, "new", "old", condition='"nobody" in input.subject.groups')
    other = CliRunner().invoke(app, [*command, str(stricter), "--against", str(live), "--fail-on", "newly-denied"])
    assert other.exit_code == 1, other.output
    assert json.loads(other.output)["kinds"]["newly-denied"] == 3


def test_rules_that_spoke_are_in_the_metrics_and_in_the_coverage_of_the_audit(recording: Running) -> None:
    exposed = httpx2.get(recording.operations_url + "/metrics").text
    spoken = dict(re.findall(r'mcp_gateway_policy_rule_fired_total\{rule="([^"]+)",verb="allow"\} ([0-9.]+)', exposed))
    tallies = coverage(records(recording.folder / "audit", Reading())).tallies
    granted = {each.rule: str(float(tally.fired)) for each, tally in tallies.items() if each.verb == "allow"}
    assert spoken == granted
    assert granted.keys() == {"servers/new/access", "servers/old/access"}


def test_without_the_level_no_question_is_recorded(open_gateway: Running) -> None:
    with Http(open_gateway, "tester") as caller:
        assert said(caller.modern("tools/list"))["result"]["tools"]
    assert all("document" not in one for one in decisions(open_gateway))

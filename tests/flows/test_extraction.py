"""A running gateway reads what the facts declare, rules judge what it read, and a change of the facts is never half seen."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from examples.demo.stack import first_line, started
from tests.flows.running import TESTERS, Http, Running, gateway, granting, said

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
READING = """\
# METADATA
# title: only texts that read may be written here
# schemas:
#   - input: schema.input
package mcp.servers.notes.reading

import data.mcp.lib.extracted
import data.mcp.lib.finding

# METADATA
# title: this would not only read
# custom:
#   code: not_only_reading
deny contains finding.refusal(rego.metadata.rule()) if {
	some text in extracted.sql
	not extracted.only_selects(text)
}

# METADATA
# title: '{unknown} is no argument of this tool'
# custom:
#   code: unknown_argument
deny contains finding.detailed(rego.metadata.rule(), {"unknown": unknown}) if some unknown in input.unknown_arguments
"""
# nothing was reviewed, so Bob sees nothing
CALLERS: dict[str, dict[str, Any]] = {"ann": {"groups": list(TESTERS)}, "bob": {"groups": []}}
SQL = {"kind": "sql", "dialect": "postgres"}


@dataclass(frozen=True)
class Place:
    running: Running
    policies: Path

    def declare(self, declared: dict[str, Any]) -> None:
        file = self.policies / "mcp/facts/items/notes/tool/write/data.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(".aside")
        aside.write_text(json.dumps({"extract": {"text": declared}}))
        aside.replace(file)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("extraction")
    policies = granting(folder, "notes")
    (policies / "mcp/servers/notes/reading.rego").write_text(READING)
    with ExitStack() as stopping:
        log = folder / "notes.log"
        process = started(["-m", "tests.flows.notes_server"], log, stopping)
        url = f"http://127.0.0.1:{first_line(process, log, 'port').split()[1]}/mcp"
        running = stopping.enter_context(gateway(folder, {"notes": url}, CALLERS, policies=policies))
        there = Place(running, policies)
        there.declare(SQL)
        patient(lambda: "only read" in write(there, "modern", {"text": "delete from t"}))
        yield there
        assert "Traceback" not in running.log


def answer(place: Place, who: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    with Http(place.running, who) as http:
        return said(http.modern("tools/call", {"name": tool, "arguments": arguments}))


def busy_s(running: Running) -> float:
    """Processor time of the gateway so far."""
    user, system = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def write(place: Place, era: str, arguments: dict[str, Any]) -> str:
    """The text that the caller reads."""
    with Http(place.running, "ann") as http:
        params = {"name": "notes__write", "arguments": arguments}
        if era == "legacy":
            http.begin()
            answer = said(http.legacy("tools/call", params))
        else:
            answer = said(http.modern("tools/call", params))
    return str(answer["result"]["content"][0]["text"])


def patient(happened: Callable[[], bool]) -> None:
    """Policies are loaded while the gateway reads as much as it can: give a busy machine its time."""
    deadline_s = time.monotonic() + 40
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


@ERAS
def test_a_rule_judges_what_a_text_does(place: Place, era: str) -> None:
    assert write(place, era, {"text": "select 'delete' from t"}) == "select 'delete' from t"
    assert "this would not only read" in write(place, era, {"text": "with a as (delete from t returning *) select * from a"})


@ERAS
def test_what_cannot_be_read_is_refused_without_repeating_it(place: Place, era: str) -> None:
    refused = write(place, era, {"text": "explain analyze delete from hunter2"})
    assert "cannot be read with certainty" in refused and "hunter2" not in refused
    assert "hunter2" not in place.running.log


@ERAS
def test_an_argument_that_the_schema_does_not_know_is_told_to_the_rules(place: Place, era: str) -> None:
    assert "is no argument of this tool" in write(place, era, {"text": "select 1", "force": True})


def test_what_is_hidden_is_answered_like_what_is_not_there_and_its_arguments_are_not_read(place: Place) -> None:
    text = {"text": "select " + ", ".join(f"a{number}" for number in range(1_500)) + " from t"}
    hidden, missing = answer(place, "bob", "notes__write", text), answer(place, "bob", "notes__wrote", text)
    assert json.dumps(hidden).replace("write", "wrote") == json.dumps(missing)
    began_s = busy_s(place.running)
    for _ in range(10):
        answer(place, "bob", "notes__write", text)
    of_bob_s = busy_s(place.running) - began_s
    for _ in range(10):
        assert answer(place, "ann", "notes__write", text)["result"]["content"][0]["text"] == text["text"]
    of_ann_s = busy_s(place.running) - began_s - of_bob_s
    assert of_bob_s < of_ann_s / 3


def test_a_text_is_never_judged_by_what_another_policy_set_looked_for(place: Place) -> None:
    """A long text takes a while to read; if the declarations change meanwhile, it is read again as the new ones say."""
    text = "select " + ", ".join(f"a{number}" for number in range(800)) + " from t"
    answers: list[str] = []
    ending = threading.Event()

    def write_on() -> None:
        while not ending.is_set():
            answers.append(write(place, "modern", {"text": text}))

    callers = [threading.Thread(target=write_on) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        for declared, sign in (({"kind": "address"}, "cannot be read"), (SQL, "select a0")) * 2:
            place.declare(declared)
            count = len(answers)
            patient(lambda count=count, sign=sign: any(sign in answer for answer in answers[count:]))  # type: ignore[misc]
    finally:
        ending.set()
        for caller in callers:
            caller.join(30)
    others = [answer for answer in answers if answer != text and "it is no address" not in answer]
    assert text in answers
    assert {"is no longer allowed" in answer for answer in others} <= {True}, others  # ended on its way, as all that is open is

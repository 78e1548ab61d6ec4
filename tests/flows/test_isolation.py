"""Two subjects at once, in any order of anything: nothing of one shows with the other, not even behind one shared credential."""

import itertools
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from examples.demo.stack import first_line, started
from tests.flows.running import PATIENCE_S, ROOT, TESTERS, Http, Running, gateway, granting, said

# Who asks: a key of one's own, or the desk's key with the end user's name beside it.
SUBJECTS = ("ann", "bob", "desk for ann", "desk for bob")
BACKENDS = ("web", "local")
OWN = """
	input.subject.id == trim_prefix(resource.name, "only_")
}

allow contains position if {
	some position, resource in input.resources
	resource.name in {"read", "write"}"""
TEXTS = itertools.count()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("isolation")
    with ExitStack() as stopping:
        process = started(["-m", "tests.flows.notes_server"], folder / "notes.log", stopping)
        port = first_line(process, folder / "notes.log", "port").split()[1]
        command = [sys.executable, "-m", "tests.flows.notes_server", "--stdio"]
        backends: dict[str, str | dict[str, Any]] = {
            "web": f"http://127.0.0.1:{port}/mcp",
            "local": {"command": command, "cwd": str(ROOT)},
        }
        callers: dict[str, dict[str, Any]] = {
            "ann": {"groups": TESTERS},
            "bob": {"groups": TESTERS},
            "desk": {"groups": TESTERS, "type": "workload", "names_users": True, "user_groups": TESTERS},
        }
        policies = granting(folder, *BACKENDS)
        for backend in BACKENDS:
            rule = policies / "mcp/servers" / backend / "access.rego"
            text = rule.read_text().replace("some position, _ in", "some position, resource in")
            rule.write_text(text.replace('\n\tinput.subject.type != "nobody"', OWN))
        yield stopping.enter_context(gateway(folder, backends, callers, policies=policies, limits={"list_page_items": 3}))


def client(running: Running, subject: str) -> Http:
    who, _, user = subject.partition(" for ")
    http = Http(running, who)
    if user:
        http.client.headers["X-End-User"] = user
    return http


class World:
    """What each subject wrote where, and its connection and legacy session."""

    def __init__(self, running: Running, stopping: ExitStack) -> None:
        self.clients = {subject: stopping.enter_context(client(running, subject)) for subject in SUBJECTS}
        self.written: dict[str, set[str]] = {subject: set() for subject in SUBJECTS}
        self._stopping = stopping
        for http in self.clients.values():
            http.begin()

    def close(self) -> None:
        for http in self.clients.values():
            assert http.client.delete(http.url, headers=http.session).status_code == 200

    def do(self, subject: str, era: str, action: str, backend: str) -> None:
        http = self.clients[subject]
        ask = http.modern if era == "modern" else http.legacy
        user = subject.rpartition(" ")[2]
        if action == "write":
            text = f"{subject.replace(' ', '-')}-{next(TEXTS)}"
            self.written[subject].add(text)
            params = {"name": f"{backend}__write", "arguments": {"text": text}}
            assert said(ask("tools/call", params))["result"]["content"] == [{"type": "text", "text": text}]
        elif action == "read":
            result = said(ask("tools/call", {"name": f"{backend}__read", "arguments": {}}))["result"]
            assert {text.rpartition("-")[0] for text in result["content"][0]["text"].split()} <= {subject.replace(" ", "-")}
        elif action == "list":
            assert self._listed(subject, era) == sorted(
                f"{each}__{name}" for each in BACKENDS for name in (f"only_{user}", "read", "write")
            )
        elif action == "others tool":
            other = "bob" if user == "ann" else "ann"
            error = said(ask("tools/call", {"name": f"{backend}__only_{other}", "arguments": {}}))["error"]
            assert error == {"code": -32602, "message": f"Unknown tool: {backend}__only_{other}"}
        else:
            self._steal(subject, action)

    def _listed(self, subject: str, era: str) -> list[str]:
        http = self.clients[subject]
        ask = http.modern if era == "modern" else http.legacy
        page = said(ask("tools/list"))["result"]
        names = [each["name"] for each in page["tools"]]
        while "nextCursor" in page:
            page = said(ask("tools/list", {"cursor": page["nextCursor"]}))["result"]
            names += [each["name"] for each in page["tools"]]
        return names

    def _steal(self, subject: str, action: str) -> None:
        """Another's cursor is none of ours, nor is another's session."""
        for other in SUBJECTS:
            if other == subject:
                continue
            if action == "others cursor":
                cursor = said(self.clients[other].modern("tools/list"))["result"]["nextCursor"]
                assert said(self.clients[subject].modern("tools/list", {"cursor": cursor}))["error"]["code"] == -32602
            else:
                theirs = self.clients[other].session
                answer = self.clients[subject].client.delete(self.clients[subject].url, headers=theirs)
                assert (answer.status_code, said(answer)["error"]["code"]) == (404, -32600)


STEP = st.tuples(
    st.sampled_from(SUBJECTS),
    st.sampled_from(("modern", "legacy")),
    st.sampled_from(("write", "write", "read", "read", "list", "others tool", "others cursor", "others session")),
    st.sampled_from(BACKENDS),
)


# Not made smaller when one fails: each example is a whole session with real processes.
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
@given(steps=st.lists(STEP, min_size=8, max_size=24))
def test_nothing_of_one_subject_shows_with_another_in_any_order(running: Running, steps: list[tuple[str, str, str, str]]) -> None:
    with ExitStack() as stopping:
        world = World(running, stopping)
        for step in steps:
            world.do(*step)
        world.close()


def test_nothing_of_one_subject_shows_with_another_at_the_same_time(running: Running) -> None:
    """Each subject's steps in order, all subjects at once: they wait for each other nowhere."""
    steps = ("write", "read", "list", "write", "others tool", "read") * 3
    with ExitStack() as stopping, ThreadPoolExecutor(len(SUBJECTS)) as pool:
        world = World(running, stopping)

        def all_of(subject: str) -> None:
            for number, step in enumerate(steps):
                world.do(subject, ("modern", "legacy")[number % 2], step, BACKENDS[number % 3 % 2])

        for done in [pool.submit(all_of, subject) for subject in SUBJECTS]:
            done.result(3 * PATIENCE_S)
        world.close()


def test_what_was_written_is_found_again_by_who_wrote_it(running: Running) -> None:
    """The other half: a subject has one session, kept between its calls and shared by its two eras."""
    with ExitStack() as stopping:
        world = World(running, stopping)
        for backend in BACKENDS:
            world.do("ann", "modern", "write", backend)
            text = said(world.clients["ann"].legacy("tools/call", {"name": f"{backend}__read", "arguments": {}}))
            assert world.written["ann"] & set(text["result"]["content"][0]["text"].split())
        world.close()


def test_an_end_user_is_named_only_by_who_is_trusted_to(running: Running) -> None:
    with client(running, "ann for bob") as http:
        answer = http.modern("tools/list")
        assert answer.status_code in {400, 401, 403}
        assert "result" not in said(answer)

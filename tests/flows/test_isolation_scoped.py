"""Before a backend that lists for each subject: whatever its session for one of them said is never shown to another.

Two subjects with tokens of their own and three behind one workload, in any order of anything; the names of some are the same.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.stage import full
from tests.flows.issuer import ISSUER, Issuer
from tests.flows.mirror import Mirror, mirror
from tests.flows.running import META, MODERN, TESTERS, Http, Running, gateway, granting, said, soon

SUBJECTS = ("ann", "bob", "desk for ann", "desk for bob", "desk for cy")
OWN_PROMPTS = """
	input.subject.id == trim_prefix(resource.name, "only_")
}

allow contains position if {
	some position, resource in input.resources
	resource.type != "prompt\""""


@dataclass(frozen=True)
class Place:
    running: Running
    seen: Mirror
    issuer: Issuer
    folder: Path

    def client(self, subject: str) -> Http:
        who, _, user = subject.partition(" for ")
        http = Http(self.running, who if user else None)
        http.client.headers.update({"X-End-User": user} if user else {"Authorization": f"Bearer {self.token(who)}"})
        http.client.headers["Cookie"] = "of=the-client"
        return http

    def token(self, who: str) -> str:
        return self.issuer.token(who, groups=[*TESTERS])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("scoped")
    policies = granting(folder, "desk")
    rule = policies / "mcp/servers/desk/access.rego"
    text = rule.read_text().replace("some position, _ in", "some position, resource in")
    rule.write_text(text.replace('\n\tinput.subject.type != "nobody"', OWN_PROMPTS))
    issuer = Issuer(folder)
    callers = {"desk": {"groups": TESTERS, "type": "workload", "names_users": True, "user_groups": TESTERS}}
    told: dict[str, Any] = {
        "identity": {"issuers": [issuer.setting]},
        "catalog": {"refresh_s": 0.5, "scope_wait_s": 2},  # so that lists are fetched again in the middle of things
        "limits": {"list_page_items": 2},
    }
    with mirror() as (seen, url), ExitStack() as stopping:
        backends = {"desk": {"url": url, "credential": {"type": "assertion"}}}
        running = stopping.enter_context(gateway(folder, backends, callers, policies=policies, **told))
        yield Place(running, seen, issuer, folder)
        assert "Traceback" not in running.log


def pages(http: Http, method: str, key: str, era: str) -> list[dict[str, Any]]:
    ask = http.modern if era == "modern" else http.legacy
    entries, cursor = [], None
    while True:
        result = said(ask(method, {} if cursor is None else {"cursor": cursor}))["result"]
        assert "mcp-gateway/missing" not in result.get("_meta", {})
        entries += result[key]
        cursor = result.get("nextCursor")
        if cursor is None:
            return entries


class World:
    """Each subject's connection and legacy session, and the numbers of the backend's sessions that it came to see."""

    def __init__(self, place: Place, stopping: ExitStack, numbers: dict[str, set[int]]) -> None:
        self.clients = {subject: stopping.enter_context(place.client(subject)) for subject in SUBJECTS}
        self.numbers = numbers
        self._seen = place.seen
        for http in self.clients.values():
            http.begin()

    def close(self) -> None:
        for http in self.clients.values():
            assert http.client.delete(http.url, headers=http.session).status_code == 200

    def do(self, subject: str, era: str, action: str, other: str) -> None:
        http = self.clients[subject]
        match action:
            case "list":
                self._saw(subject, self._tools(http, era))
            case "resources":
                uris = [each["uri"] for each in pages(http, "resources/list", "resources", era)]
                self._saw(subject, {int(uri.rsplit("/", 2)[1]) for uri in uris})
            case "templates":
                listed = pages(http, "resources/templates/list", "resourceTemplates", era)
                self._saw(subject, {int(each["uriTemplate"].rsplit("/", 2)[1]) for each in listed})
            case "prompts":
                names = [each["name"] for each in pages(http, "prompts/list", "prompts", era)]
                assert names == [f"desk__only_{subject.rpartition(' ')[2]}"]
            case "call":
                self._saw(subject, {self._called(http, era, "whoami")})
            case "call own":
                (number,) = self._tools(http, era)
                assert self._called(http, era, f"own_{number}") == number
                self._saw(subject, {number})
            case "call theirs":
                for number in self.numbers[other] if other != subject else ():
                    name = f"desk__own_{number}"
                    error = self._ask(http, era, "tools/call", {"name": name, "arguments": {}})["error"]
                    assert (error["code"], error["message"]) == (-32602, f"Unknown tool: {name}")
            case "read":
                uri = pages(http, "resources/list", "resources", era)[0]["uri"]
                text = self._ask(http, era, "resources/read", {"uri": uri})["result"]["contents"][0]["text"]
                self._saw(subject, {int(text), int(uri.rsplit("/", 2)[1])})
            case "subscribe":
                uri = pages(http, "resources/list", "resources", "legacy")[0]["uri"]
                assert "result" in said(http.legacy("resources/subscribe", {"uri": uri}))
                assert "result" in said(http.legacy("resources/unsubscribe", {"uri": uri}))
            case "their cursor" if other != subject:
                for method in ("tools/list", "resources/list"):
                    cursor = said(self.clients[other].modern(method))["result"]["nextCursor"]
                    assert self._ask(http, era, method, {"cursor": cursor})["error"]["code"] == -32602
            case "their session" if other != subject:
                theirs = self.clients[other].session
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
                used, ended = http.client.post(http.url, json=body, headers=theirs), http.client.delete(http.url, headers=theirs)
                assert [(each.status_code, said(each)["error"]["code"]) for each in (used, ended)] == [(404, -32600)] * 2
        assert self._seen.wrongs == []

    def _saw(self, subject: str, numbers: set[int]) -> None:
        assert len(numbers) == 1, "a session of its own, and only one"
        self.numbers[subject] |= numbers
        for other in SUBJECTS:
            assert other == subject or not self.numbers[subject] & self.numbers[other], (subject, other, self.numbers)

    def _tools(self, http: Http, era: str) -> set[int]:
        names = [each["name"] for each in pages(http, "tools/list", "tools", era)]
        numbers = {int(name.rpartition("_")[2]) for name in names if name != "desk__whoami"}
        assert len(names) == 3
        return numbers

    def _called(self, http: Http, era: str, tool: str) -> int:
        result = self._ask(http, era, "tools/call", {"name": f"desk__{tool}", "arguments": {}})["result"]
        return int(result["content"][0]["text"])

    @staticmethod
    def _ask(http: Http, era: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return said(http.modern(method, params) if era == "modern" else http.legacy(method, params))


ACTIONS = (
    *("list", "resources", "templates", "prompts", "call", "call own", "call theirs"),
    *("read", "subscribe", "their cursor", "their session"),
)
STEP = st.tuples(
    st.sampled_from(SUBJECTS), st.sampled_from(("modern", "legacy")), st.sampled_from(ACTIONS), st.sampled_from(SUBJECTS)
)


@pytest.fixture(scope="module")
def numbers() -> dict[str, set[int]]:
    return {subject: set() for subject in SUBJECTS}


# Not made smaller when one fails: each example is a whole session with real processes.
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
@given(steps=st.lists(STEP, min_size=10, max_size=30))
def test_what_a_backend_lists_for_one_subject_never_shows_with_another(
    place: Place, numbers: dict[str, set[int]], steps: list[tuple[str, str, str, str]]
) -> None:
    with ExitStack() as stopping:
        world = World(place, stopping, numbers)
        for step in steps:
            world.do(*step)
        world.close()


def test_each_session_of_the_backend_was_used_as_one_identity_only_and_the_gateways_own_never_for_lists(
    place: Place, numbers: dict[str, set[int]]
) -> None:
    with ExitStack() as stopping:
        world = World(place, stopping, numbers)
        for subject in SUBJECTS:
            for action in ACTIONS:
                world.do(subject, "modern", action, SUBJECTS[0])
        world.close()
    for subject in SUBJECTS:
        who, _, user = subject.partition(" for ")
        known_as = ["urn:workload:desk", user, "desk"] if user else [ISSUER, who, "agent"]
        (number,) = numbers[subject]
        assert place.seen.identities[number] == {json.dumps(known_as)}
    assert all(len(identities) == 1 for identities in place.seen.identities.values())
    of_subjects = set().union(*numbers.values())
    assert len(of_subjects) == len(SUBJECTS)
    for number, methods in place.seen.methods.items():
        asked = {"tools/list", "prompts/list", "resources/list", "resources/templates/list", "tools/call", "resources/read"}
        assert number in of_subjects or not asked & set(methods)


def test_before_a_backend_is_asked_as_a_subject_that_is_recorded(place: Place) -> None:
    with place.client("desk for dora") as http:
        assert len(pages(http, "resources/list", "resources", "modern")) == 2
    lines = [line for line in place.running.audit() if line["type"] in {"fetch", "listing"} and line["subject"]["id"] == "dora"]
    assert [(line["type"], line.get("lists"), line.get("method")) for line in lines] == [
        ("fetch", ["tool", "prompt", "resource", "resource_template"], None),
        ("fetch", ["resource"], "resources/list"),
        ("listing", None, "resources/list"),
        ("fetch", ["resource"], "resources/list"),
        ("listing", None, "resources/list"),
    ]
    fetched, _, listed, *_ = lines
    assert (fetched["backend"], fetched["agent"], fetched["subject"]) == ("desk", listed["agent"], listed["subject"])


def test_what_cannot_be_recorded_is_not_asked_for_as_a_subject(place: Place) -> None:
    with place.client("desk for otto") as known, place.client("desk for nora") as new:
        (number,) = {int(each["uri"].rsplit("/", 2)[1]) for each in pages(known, "resources/list", "resources", "modern")}
        sessions = len(place.seen.methods)
        with full(place.running):
            asked = place.seen.methods[number].count("resources/list")
            for http in (known, new):
                for method in ("resources/list", "tools/list"):
                    error = said(http.modern(method))["error"]
                    assert error["message"] == "The audit log cannot be written, so nothing was done."
            assert place.seen.methods[number].count("resources/list") == asked
        assert len(place.seen.methods) == sessions, "nor was a session begun as somebody who is new"
        soon(lambda: len(said(new.modern("tools/list")).get("result", {}).get("tools", ())) == 2)


def test_a_backend_that_hangs_costs_a_new_subject_one_bounded_wait_and_nobody_a_handshake(place: Place) -> None:
    with place.client("desk for eve") as eve, place.client("desk for ann") as ann:
        before = pages(ann, "tools/list", "tools", "modern")
        place.seen.flowing.clear()
        try:
            begun_s = time.monotonic()
            assert "result" in said(eve.modern("server/discover"))
            eve.begin()
            assert time.monotonic() - begun_s < 1.9, "less than one wait"
            assert said(eve.modern("tools/list"))["result"]["_meta"]["mcp-gateway/missing"] == ["desk"]
            assert 1.9 < time.monotonic() - begun_s < 10.0
            assert pages(ann, "tools/list", "tools", "modern") == before  # as long as it may be stale
        finally:
            place.seen.flowing.set()
        soon(lambda: "mcp-gateway/missing" not in said(eve.legacy("tools/list"))["result"].get("_meta", {}))


def heard(stream: Iterator[str], method: str) -> dict[str, Any]:
    for line in stream:
        if line.startswith("data:") and (message := json.loads(line[5:])).get("method") == method:
            return message  # type: ignore[no-any-return]
    raise AssertionError(f"the stream ended without {method}")


def test_only_the_subject_whose_list_changed_is_told(place: Place) -> None:
    params = {"notifications": {"toolsListChanged": True}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": params}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen"}
    with ExitStack() as stopping:
        clients = {subject: stopping.enter_context(place.client(subject)) for subject in ("ann", "desk for ann")}
        streams = {}
        for subject, http in clients.items():
            answer = stopping.enter_context(http.client.stream("POST", http.url, json=body, headers=headers))
            streams[subject] = answer.iter_lines()
            heard(streams[subject], "notifications/subscriptions/acknowledged")
        call = {"name": "desk__whoami", "arguments": {}}
        own = {
            subject: int(said(http.modern("tools/call", call))["result"]["content"][0]["text"])
            for subject, http in clients.items()
        }
        fetches = place.seen.methods[own["desk for ann"]].count
        place.seen.added[own["ann"]].append(f"added_{own['ann']}")
        heard(streams["ann"], "notifications/tools/list_changed")
        before = fetches("tools/list")
        soon(lambda: fetches("tools/list") >= before + 4)  # two whole walks later: the other one was looked at, too
        place.seen.added[own["desk for ann"]].append(f"added_{own['desk for ann']}")
        told = heard(streams["desk for ann"], "notifications/tools/list_changed")
        assert told["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": 9}
        names = [each["name"] for each in pages(clients["ann"], "tools/list", "tools", "modern")]
        assert names == sorted([f"desk__{each}_{own['ann']}" for each in ("added", "own", "second")] + ["desk__whoami"])
        for number in own.values():
            del place.seen.added[number]
    changes = [line for line in place.running.audit() if line["type"] == "change" and "subject" in line.get("detail", {})]
    assert [(line["detail"]["subject"]["id"], line["detail"]["added"]) for line in changes[:2]] == [
        ("ann", [f"desk__added_{own['ann']}"]),
        ("ann", [f"desk__added_{own['desk for ann']}"]),
    ]
    assert {line["detail"].get("agent") for line in changes[:2]} == {"agent", "desk"}

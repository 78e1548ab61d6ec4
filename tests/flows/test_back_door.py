"""As whom the gateway comes to its backends, end to end: each gets its own credential, and none gets a client's."""

import itertools
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.adapters.backends.challenges import PLAIN
from tests.flows.behind import CHALLENGE, Behind, behind
from tests.flows.issuer import ISSUER, Issuer
from tests.flows.running import META, MODERN, TESTERS, Http, Running, gateway, granting, said, soon

CLIENT_SECRET = "the-clients-secret"
NAMES = ("plain", "fixed", "service", "exchanged", "signed", "named", "namedold")
NOTHING_DONE = "Nothing was carried out."
REFUSED = f"The backend exchanged needs a credential that the gateway could not get for this request. {NOTHING_DONE}"


@dataclass(frozen=True, repr=False)
class Place:
    running: Running
    world: Behind
    issuer: Issuer
    folder: Path

    def __repr__(self) -> str:
        """Short: property-based tests print their arguments, and without one every request that came so far."""
        return "Place(…)"

    def user(self, name: str, **headers: str) -> Http:
        """A user with a token of its own."""
        http = Http(self.running, None)
        http.client.headers.update({"Authorization": f"Bearer {self.issuer.token(name, groups=[*TESTERS])}", **headers})
        return http

    def desk(self, name: str) -> Http:
        """A user whom the trusted workload names."""
        http = Http(self.running, "desk")
        http.client.headers["X-End-User"] = name
        return http


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("back_door")
    issuer = Issuer(folder)
    (folder / "secret").write_text("first-secret\n")
    (folder / "client").write_text(CLIENT_SECRET)
    client = {"client_id": "gateway", "client_secret": {"file": str(folder / "client")}}
    with behind(*NAMES, legacy=("namedold", "plain")) as world, ExitStack() as stopping:
        exchange = {"type": "token_exchange", "token_url": f"{world.url}/token", **client}
        ways: dict[str, dict[str, Any]] = {
            "plain": {},
            "fixed": {"credential": {"file": str(folder / "secret"), "header": "X-Api-Key", "prefix": ""}},
            "service": {"credential": {"type": "client_credentials", "issuer": world.url, "scopes": ["crm"], **client}},
            "exchanged": {"credential": {**exchange, "issuer": ISSUER, "audience": "crm"}, "lists_per_subject": False},
            "signed": {"credential": {"type": "assertion"}, "forward_headers": ["X-Tenant"]},
            "named": {"credential": {**exchange, "issuer": world.url, "subject_token": "assertion"}},
            "namedold": {"credential": {**exchange, "issuer": world.url, "subject_token": "assertion"}},
        }
        backends = {name: {"url": f"{world.url}/{name}/mcp", **way} for name, way in ways.items()}
        callers: dict[str, dict[str, Any]] = {
            "tester": {"groups": TESTERS},
            "desk": {"groups": TESTERS, "type": "workload", "names_users": True, "user_groups": TESTERS},
        }
        told = {"identity": {"issuers": [issuer.setting]}, "catalog": {"refresh_s": 2}}
        running = stopping.enter_context(gateway(folder, backends, callers, policies=granting(folder, *NAMES), **told))
        yield Place(running, world, issuer, folder)
        assert "Traceback" not in running.log


def call(http: Http, backend: str, **arguments: Any) -> httpx2.Response:
    return http.modern("tools/call", {"name": f"{backend}__echo", "arguments": arguments})


def done(answer: httpx2.Response, **arguments: Any) -> None:
    result = said(answer)["result"]
    assert [json.loads(each["text"]) for each in result["content"]] == [arguments]


CROSSING = ("cookie", "x-end-user", "x-forwarded-for", "x-tenant", "x-other", "dpop", "proxy-authorization", "user-agent")
CLIENTS = {"Cookie": "of=the-client", "X-Forwarded-For": "203.0.113.9", "X-Tenant": "acme", "X-Other": "1"}


def test_each_backend_gets_its_own_credential_and_nothing_of_the_clients(place: Place) -> None:
    with place.user("ann", **CLIENTS) as ann:
        theirs = ann.client.headers["authorization"].removeprefix("Bearer ")
        for name in NAMES:
            done(call(ann, name, n=1), n=1)
    shown = {name: place.world.calls(name)[-1].headers for name in NAMES}
    assert "authorization" not in shown["plain"]
    assert (shown["fixed"]["x-api-key"], shown["fixed"].get("authorization")) == ("first-secret", None)
    assert place.world.issued[shown["service"]["authorization"].removeprefix("Bearer ")] == "gateway"
    assert place.world.issued[shown["exchanged"]["authorization"].removeprefix("Bearer ")] == "ann"
    assert "authorization" not in shown["signed"]
    crossed = {name: {header for header in CROSSING if header in headers} for name, headers in shown.items()}
    assert crossed == {name: {"x-tenant"} if name == "signed" else set() for name in NAMES}
    assert shown["signed"]["x-tenant"] == "acme"
    everything = repr([each.headers for requests in place.world.came.values() for each in requests])
    assert theirs not in everything
    assert theirs.rpartition(".")[2] not in everything


def test_only_its_own_issuer_is_shown_the_users_token_and_the_gateways_own_requests_go_as_the_gateway(place: Place) -> None:
    with place.user("bea") as bea:
        done(call(bea, "exchanged"))
        token = bea.client.headers["authorization"].removeprefix("Bearer ")
    with_it = [each for each in place.world.forms if token in each.values()]
    assert [(each["subject_token"], each["audience"]) for each in with_it] == [(token, "crm")]
    assert CLIENT_SECRET not in repr(place.world.forms)
    listing = [each for each in place.world.came["exchanged"] if each.method == "server/discover"]
    assert {place.world.issued[each.token] for each in listing} == {"gateway"}


def test_an_assertion_verifies_with_the_published_keys_and_names_the_decision_that_the_log_shows(place: Place) -> None:
    with place.user("cem") as cem:
        done(call(cem, "signed"))
    token = place.world.calls("signed")[-1].headers["x-mcp-gateway-assertion"]
    keys = httpx2.get(place.running.url.removesuffix("/mcp") + "/.well-known/jwks.json", timeout=5)
    assert keys.headers["content-type"] == "application/jwk-set+json"
    key = jwt.PyJWKSet.from_dict(keys.json())[jwt.get_unverified_header(token)["kid"]]
    gateway_url = place.running.url.removesuffix("/mcp")
    claims = jwt.decode(token, key, algorithms=["ES256"], audience=f"{place.world.url}/signed/mcp", issuer=gateway_url)
    intents = [each for each in place.running.audit() if each["type"] == "intent" and each["backend"] == "signed"]
    decided = intents[-1]["decisions"][-1]["decision_id"]
    about = ("sub", "sub_iss", "sub_type", "agent", "method", "item", "decision_id")
    assert {name: claims[name] for name in about} == {
        "sub": "cem",
        "sub_iss": ISSUER,
        "sub_type": "user",
        "agent": "agent",
        "method": "tools/call",
        "item": "signed__echo",
        "decision_id": decided,
    }


def test_who_has_nothing_to_exchange_is_told_so_before_anything_is_sent(place: Place) -> None:
    with Http(place.running, "tester") as tester:
        place.world.forget()
        answer = call(tester, "exchanged")
    assert said(answer)["error"] == {"code": -32603, "message": REFUSED}
    assert place.world.calls("exchanged") == []
    assert [each for each in place.world.forms if each.get("audience") == "crm"] == []
    last = [each for each in place.running.audit() if each["type"] == "outcome"][-1]
    assert last["cause"] == "credential"


def test_a_secret_in_a_file_is_replaced_while_the_gateway_runs_and_nothing_is_sent_without_it(place: Place) -> None:
    secret = place.folder / "secret"
    with Http(place.running, "tester") as tester:
        secret.write_text("second-secret\n")
        soon(lambda: call(tester, "fixed") is not None and place.world.calls("fixed")[-1].headers["x-api-key"] == "second-secret")
        secret.unlink()
        soon(lambda: "error" in said(call(tester, "fixed")))
        before = len(place.world.calls("fixed"))
        assert said(call(tester, "fixed"))["error"]["message"].endswith(NOTHING_DONE)
        assert len(place.world.calls("fixed")) == before
        done(call(tester, "plain"))
        secret.write_text("third-secret\n")
        soon(lambda: "result" in said(call(tester, "fixed")))


@pytest.mark.parametrize("name", ["plain", "fixed", "service", "signed"])
def test_a_backends_own_refusal_stays_behind_the_gateway(place: Place, name: str) -> None:
    with place.user("dan") as dan:
        done(call(dan, name))
        place.world.refused.add(name)
        try:
            answer = call(dan, name)
        finally:
            place.world.refused.discard(name)
        assert answer.status_code == 200
        error = said(answer)["error"]
        assert error == {
            "code": -32603,
            "message": f"The backend {name} did not accept the gateway's own credential. {NOTHING_DONE}",
        }
        assert not {"www-authenticate", "x-theirs"} & set(answer.headers)
        done(call(dan, name))


SAYING_SO: dict[str, tuple[int, dict[str, Any]]] = {
    "in metadata": (200, {"result": {"resultType": "complete", "content": [], "_meta": {"mcp/www_authenticate": [CHALLENGE]}}}),
    "in an error's message": (200, {"error": {"code": 1234, "message": CHALLENGE}}),
    "in an error's data": (400, {"error": {"code": 1234, "message": "no", "data": {"www_authenticate": CHALLENGE}}}),
    **{str(status): (status, {"error": {"code": 1234, "message": CHALLENGE}}) for status in (401, 402, 403, 407)},
}


@pytest.mark.parametrize("name", ["plain", "fixed"])
@pytest.mark.parametrize("way", SAYING_SO)
def test_a_backends_challenge_stays_behind_whichever_way_it_is_said(place: Place, way: str, name: str) -> None:
    place.world.says[name] = SAYING_SO[way]
    try:
        with place.user("dot") as dot:
            answer = call(dot, name)
    finally:
        del place.world.says[name]
    shown = said(answer)
    if way == "in metadata":
        assert (shown["result"]["content"], [*shown["result"]["_meta"]]) == ([], ["io.modelcontextprotocol/serverInfo"])
    elif way.isdigit():
        refused = f"The backend {name} did not accept the gateway's own credential. {NOTHING_DONE}"
        assert shown["error"] == {"code": -32603, "message": refused}
    else:
        assert shown["error"] == {"code": 1234, "message": PLAIN}
    assert "www-authenticate" not in answer.headers
    assert not {"www_authenticate", "resource_metadata", "theirs.example.com"} & set(re.findall(r"[\w.]+", answer.text))


def test_a_refused_token_is_replaced_and_the_call_goes_through(place: Place) -> None:
    with place.user("eve") as eve:
        done(call(eve, "exchanged"))
        first = place.world.calls("exchanged")[-1].token
        place.world.refused.add(first)
        done(call(eve, "exchanged", n=2), n=2)
        assert [each.token == first for each in place.world.calls("exchanged")[-2:]] == [True, False]


def test_while_the_token_endpoint_is_away_only_its_backends_fail_and_they_heal(place: Place) -> None:
    with place.user("fay") as fay:
        place.world.down = True
        try:
            assert said(call(fay, "exchanged"))["error"]["message"] == REFUSED
            for name in ("plain", "service", "signed"):
                done(call(fay, name))
        finally:
            place.world.down = False
        soon(lambda: "result" in said(call(fay, "exchanged")))


def test_a_slow_token_endpoint_keeps_nobody_else_waiting(place: Place) -> None:
    with place.user("gus") as gus, place.user("hal") as hal, ThreadPoolExecutor(1) as pool:
        done(call(hal, "signed"))  # its own lists are there
        done(call(gus, "signed"))
        place.world.flowing.clear()
        try:
            waiting = pool.submit(call, gus, "exchanged")
            for _ in range(3):
                done(call(hal, "signed"))
            assert not waiting.done()
        finally:
            place.world.flowing.set()
        done(waiting.result(timeout=10))


def test_a_header_that_may_pass_but_cannot_be_sent_as_it_came_is_refused(place: Place) -> None:
    with place.user("ian") as ian:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "signed__echo", "_meta": META}}
        named = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "signed__echo", "X-Tenant": "sm\u00f6r"}
        headers = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
        answer = ian.client.post(ian.url, json=body, headers=headers)
    assert (answer.status_code, said(answer)["error"]["message"]) == (400, "the header x-tenant must be printable ASCII")


STEP = st.tuples(
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["named", "namedold"]),
    st.sampled_from(["modern", "legacy"]),
    st.sampled_from(["call", "call", "call", "refuse"]),
)
NUMBERS = itertools.count()


@given(st.lists(STEP, min_size=4, max_size=12))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_token_of_one_subject_is_ever_shown_in_anothers_name(place: Place, steps: list[tuple[str, str, str, str]]) -> None:
    """Two users behind one workload, at the same time, in any order; some of their tokens are refused in between."""
    world = place.world
    with ExitStack() as stopping, ThreadPoolExecutor(4) as pool:
        clients = {}
        for name, era in itertools.product(("ann", "bob"), ("modern", "legacy")):
            http = clients[name, era] = stopping.enter_context(place.desk(name))
            if era == "legacy":
                http.begin()

        def do(step: tuple[str, str, str, str]) -> None:
            name, backend, era, action = step
            if action == "refuse":
                tokens = [each.token for each in world.calls(backend) if each.arguments.get("who") == name]
                world.refused.update(tokens[-1:])
                return
            http = clients[name, era]
            ask = http.modern if era == "modern" else http.legacy
            params = {"name": f"{backend}__echo", "arguments": {"who": name}}
            message = said(ask("tools/call", params, id=next(NUMBERS)))
            assert "result" in message or message["error"]["message"].endswith(NOTHING_DONE)

        list(pool.map(do, steps))
        for http in clients.values():
            if http.session:
                http.client.delete(http.url, headers=http.session)
    for backend in ("named", "namedold"):
        assert [each for each in world.calls(backend) if world.issued[each.token] != each.arguments["who"]][:1] == []
    sessions: dict[str, set[str]] = {}
    for each in world.came["namedold"]:
        if "mcp-session-id" in each.headers:
            sessions.setdefault(each.headers["mcp-session-id"], set()).add(world.issued[each.token])
    assert [owners for owners in sessions.values() if len(owners) > 1] == []

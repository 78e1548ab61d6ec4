"""Browser pages and proxies before a gateway that runs."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.flows.running import ACCEPT, PATIENCE_S, TESTERS, Http, Running, gateway, granting, said, soon
from tests.peers.sdk_server import started_server

PAGE = "https://app.example.com"
LISTEN = {"port": 0, "allowed_origins": [PAGE], "trusted_proxies": ["127.0.0.1"]}
READABLE = "Mcp-Session-Id, WWW-Authenticate, Retry-After, DPoP-Nonce"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("pages")
    callers = {"tester": {"groups": TESTERS}}
    with (
        started_server("--name", "peer", "--era", "modern") as peer,
        gateway(folder, {"peer": peer.url}, callers, policies=granting(folder, "peer"), listen=LISTEN) as running,
    ):
        yield running
        assert "Traceback" not in running.log


def cors(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-") or name == "vary"}


def preflight(running: Running, origin: str, path: str = "") -> httpx2.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    return httpx2.request("OPTIONS", running.url + path, headers=headers, timeout=PATIENCE_S)


def test_a_listed_page_asks_calls_and_reads_errors_too(running: Running) -> None:
    asked = preflight(running, PAGE)
    allowed = asked.headers["access-control-allow-headers"].split(", ")
    assert (asked.status_code, asked.content, asked.headers["access-control-allow-origin"]) == (204, b"", PAGE)
    assert {"Authorization", "Mcp-Session-Id", "MCP-Protocol-Version", "X-End-User"} <= set(allowed)
    readable = {"access-control-allow-origin": PAGE, "access-control-expose-headers": READABLE, "vary": "Origin"}
    with Http(running, "tester") as http:
        http.client.headers["Origin"] = PAGE
        listed = http.modern("tools/list")
        assert (listed.status_code, cors(listed)) == (200, readable)
        assert said(listed)["result"]["tools"]
        del http.client.headers["Authorization"]
        refused = http.modern("tools/list")
        assert (refused.status_code, cors(refused)) == (401, readable)
        nowhere = http.client.post(running.url + "/nothing", json={})
        assert (nowhere.status_code, cors(nowhere)) == (404, readable)
        broken = http.client.post(running.url, headers=running.headers("tester"), content=b"{")
        assert (broken.status_code, cors(broken)) == (400, readable)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.com:444", "http://app.example.com"])
def test_another_page_is_refused_and_told_nothing(running: Running, origin: str) -> None:
    with Http(running, "tester") as http:
        http.client.headers["Origin"] = origin
        for answer in (http.modern("tools/list"), preflight(running, origin)):
            assert (answer.status_code, cors(answer)) == (403, {"vary": "Origin"})


def test_a_page_on_loopback_is_let_in_and_reads_nothing_unless_it_is_listed(running: Running) -> None:
    """Programs on this machine send such an Origin; a page there would be any page that some program serves."""
    assert "access-control-allow-origin" not in cors(preflight(running, "http://localhost:6274"))


def test_a_preflight_is_nobody_and_leaves_no_trace(running: Running) -> None:
    before = running.audit()
    assert preflight(running, PAGE).status_code == 204
    assert running.audit() == before


def test_options_without_a_page_is_no_preflight(running: Running) -> None:
    answer = httpx2.request("OPTIONS", running.url, headers=running.headers("tester"), timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_the_record_names_whoever_the_proxy_names(running: Running) -> None:
    headers = {**ACCEPT, "X-Forwarded-For": "6.6.6.6, 192.0.2.77"}
    before = len(running.audit())
    assert httpx2.post(running.url, headers=headers, content=b"{}", timeout=PATIENCE_S).status_code == 401
    soon(lambda: len(running.audit()) > before)
    (line,) = running.audit()[before:]
    assert (line["type"], line["source_ip"]) == ("refusal", "192.0.2.77")


def test_a_name_that_the_proxy_was_asked_for_and_is_not_ours_is_refused(running: Running) -> None:
    with Http(running, "tester") as http:
        http.client.headers["X-Forwarded-Host"] = "evil.example"
        assert http.modern("tools/list").status_code == 403

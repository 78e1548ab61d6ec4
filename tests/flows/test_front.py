"""What is wrong with a request is answered exactly, recorded once, forwarded never, and shown to nobody as a traceback."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.flows.issuer import Issuer
from tests.flows.running import ACCEPT, META, MODERN, PATIENCE_S, TESTERS, Http, Running, counts, gateway, granting, said, soon
from tests.peers.sdk_server import started_server

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
MAX_BODY_BYTES = 65_536
BRACKETS = 70


@dataclass(frozen=True)
class Place:
    running: Running
    backend: str
    issuer: Issuer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("front")
    issuer = Issuer(folder)
    callers = {"tester": {"groups": TESTERS}, "other": {"groups": TESTERS}}
    settings = {
        "identity": {"issuers": [issuer.setting]},
        "limits": {"max_body_bytes": MAX_BODY_BYTES, "list_page_items": 5, "sessions_per_caller": 40},
    }
    with (
        started_server("--name", "peer", "--era", "modern") as peer,
        gateway(folder, {"peer": peer.url}, callers, policies=granting(folder, "peer"), **settings) as running,
    ):
        yield Place(running, peer.url, issuer)
        assert "Traceback" not in running.log
        assert " ERROR " not in running.log


def call(name: str = "peer__echo", arguments: Any = None, **members: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": {"text": "hello"} if arguments is None else arguments, "_meta": META}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params, **members}


HEADERS = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "peer__echo"}


@dataclass(frozen=True)
class Bad:
    """One wrong thing about a good modern call, and the answer to it. `headers`: None takes one away, a list repeats it."""

    status: int
    code: int | None
    says: str  # part of the message
    body: bytes | dict[str, Any] = field(default_factory=call)
    headers: dict[str, Any] = field(default_factory=dict)
    verb: str = "POST"
    path: str = "/mcp"
    kind: str | None = None  # in the audit; None: an exchange that was refused


def without(*path: str) -> dict[str, Any]:
    """The good call without one member."""
    whole = json.loads(json.dumps(call()))
    place = whole
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return whole  # type: ignore[no-any-return]


def lists(method: str, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    return body, {"Mcp-Method": method, "Mcp-Name": None}  # type: ignore[dict-item]


CURSOR, TOOLS_LIST = lists("tools/list", cursor="bm90IG91cnM")
CURSOR_NUMBER, _ = lists("tools/list", cursor=7)
UNKNOWN_METHOD, UNKNOWN_METHOD_HEADERS = lists("tools/destroy")
LEVEL, LEVEL_HEADERS = lists("logging/setLevel", level="info")
HANDSHAKE = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
LEGACY_ONLY = {"MCP-Protocol-Version": None, "Mcp-Method": None, "Mcp-Name": None}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

BAD = {
    "not JSON": Bad(400, -32700, "not JSON", b"{", kind="parse"),
    "an empty body": Bad(400, -32700, "not JSON", b"", kind="parse"),
    "a byte order mark": Bad(400, -32700, "not JSON", b"\xef\xbb\xbf" + json.dumps(call()).encode(), kind="parse"),
    "UTF-16": Bad(400, -32700, "UTF-8", json.dumps(call()).encode("utf-16"), kind="parse"),
    "NaN": Bad(400, -32700, "not JSON", json.dumps(call(arguments={"text": float("nan")})).encode(), kind="parse"),
    "half a surrogate": Bad(400, -32700, "not JSON", json.dumps(call(arguments={"text": "\ud800"})).encode(), kind="parse"),
    "a batch": Bad(400, -32600, "batches", json.dumps([call()]).encode(), kind="invalid_request"),
    "a number": Bad(400, -32600, "JSON object", b"7", kind="invalid_request"),
    "another JSON-RPC": Bad(400, -32600, "jsonrpc", call(jsonrpc="1.0"), kind="invalid_request"),
    "an id of null": Bad(400, -32600, "id", call(id=None), kind="invalid_request"),
    "an id that is a fraction": Bad(400, -32600, "id", call(id=1.5), kind="invalid_request"),
    "an id that is a boolean": Bad(400, -32600, "id", call(id=True), kind="invalid_request"),
    "a method that is a number": Bad(400, -32600, "method", call(method=7), kind="invalid_request"),
    "params that are a list": Bad(400, -32600, "params", call(params=[1]), kind="invalid_request"),
    "an answer to nothing": Bad(
        400, -32600, "nothing to answer", {"jsonrpc": "2.0", "id": 1, "result": {}}, kind="invalid_request"
    ),
    "deeper than allowed": Bad(
        400,
        -32600,
        "deeper",
        json.dumps(call(arguments={"text": "["})).encode().replace(b'"["', b"[" * BRACKETS + b"]" * BRACKETS),
        kind="invalid_request",
    ),
    "a huge body": Bad(413, -32600, "max_body_bytes", call(arguments={"text": "x" * MAX_BODY_BYTES}), kind="too_large"),
    "a huge header": Bad(431, -32600, "headers", headers={"X-Long": "x" * 40_000}, kind="headers_too_large"),
    "too many headers": Bad(431, -32600, "header lines", headers={f"X-{n}": "x" for n in range(120)}, kind="headers_too_large"),
    "no metadata": Bad(400, -32602, "_meta", without("params", "_meta"), kind="invalid_params"),
    "no protocol version in the body": Bad(
        400,
        -32602,
        "protocolVersion",
        without("params", "_meta", "io.modelcontextprotocol/protocolVersion"),
        kind="invalid_params",
    ),
    "no capabilities": Bad(
        400,
        -32602,
        "clientCapabilities",
        without("params", "_meta", "io.modelcontextprotocol/clientCapabilities"),
        kind="invalid_params",
    ),
    "no version header": Bad(400, -32020, "protocol-version", headers={"MCP-Protocol-Version": None}, kind="header_mismatch"),
    "two version headers": Bad(
        400, -32020, "more than once", headers={"MCP-Protocol-Version": [MODERN, MODERN]}, kind="header_mismatch"
    ),
    "no method header": Bad(400, -32020, "mcp-method", headers={"Mcp-Method": None}, kind="header_mismatch"),
    "another method in the header": Bad(400, -32020, "mcp-method", headers={"Mcp-Method": "tools/list"}, kind="header_mismatch"),
    "another case of the method": Bad(400, -32020, "mcp-method", headers={"Mcp-Method": "Tools/Call"}, kind="header_mismatch"),
    "another name in the header": Bad(400, -32020, "mcp-name", headers={"Mcp-Name": "peer__add"}, kind="header_mismatch"),
    "two names": Bad(400, -32020, "more than once", headers={"Mcp-Name": ["peer__echo", "peer__add"]}, kind="header_mismatch"),
    "bad base64 in the name": Bad(400, -32020, "mcp-name", headers={"Mcp-Name": "=?base64?***?="}, kind="header_mismatch"),
    "two content types": Bad(
        400, -32600, "more than once", headers={"Content-Type": ["application/json", "text/plain"]}, kind="invalid_request"
    ),
    "no JSON in Accept": Bad(406, -32600, "Accept", headers={"Accept": "text/event-stream"}, kind="not_acceptable"),
    "no stream in Accept": Bad(406, -32600, "Accept", headers={"Accept": "application/json"}, kind="not_acceptable"),
    "plain text": Bad(415, -32600, "Content-Type", headers={"Content-Type": "text/plain"}, kind="unsupported_media_type"),
    "a compressed body": Bad(
        415, -32600, "Content-Encoding", headers={"Content-Encoding": "gzip"}, kind="unsupported_media_type"
    ),
    "a version to come": Bad(
        400,
        -32022,
        "version",
        call(params={**call()["params"], "_meta": {**META, "io.modelcontextprotocol/protocolVersion": "2030-01-01"}}),
        {"MCP-Protocol-Version": "2030-01-01"},
        kind="unsupported_version",
    ),
    "a legacy version in modern form": Bad(
        400,
        -32022,
        "version",
        call(params={**call()["params"], "_meta": {**META, "io.modelcontextprotocol/protocolVersion": "2025-11-25"}}),
        {"MCP-Protocol-Version": "2025-11-25"},
        kind="unsupported_version",
    ),
    "an unknown method": Bad(404, -32601, "tools/destroy", UNKNOWN_METHOD, UNKNOWN_METHOD_HEADERS, kind="unknown_method"),
    "a method of the other era": Bad(404, -32601, "logging/setLevel", LEVEL, LEVEL_HEADERS, kind="unknown_method"),
    "no name": Bad(400, -32602, "name", without("params", "name"), {"Mcp-Name": None}, kind="invalid_params"),
    "arguments that are a list": Bad(400, -32602, "arguments", call(arguments=[1]), kind="invalid_params"),
    "a cursor that is a number": Bad(400, -32602, "cursor", CURSOR_NUMBER, TOOLS_LIST, kind="invalid_params"),
    "a cursor of somebody else's making": Bad(400, -32602, "cursor", CURSOR, TOOLS_LIST),
    "an unknown tool": Bad(400, -32602, "Unknown tool: peer__nothing", call("peer__nothing"), {"Mcp-Name": "peer__nothing"}),
    "a tool of no backend": Bad(400, -32602, "Unknown tool: nothing", call("nothing"), {"Mcp-Name": "nothing"}),
    "an argument without its header": Bad(
        400, -32020, "City", call("peer__forecast", {"city": "Bern"}), {"Mcp-Name": "peer__forecast"}
    ),
    "an argument unlike its header": Bad(
        400, -32020, "City", call("peer__forecast", {"city": "Bern"}), {"Mcp-Name": "peer__forecast", "Mcp-Param-City": "Basel"}
    ),
    "a foreign origin": Bad(403, -32600, "Origin", headers={"Origin": "https://evil.example"}, kind="forbidden_origin"),
    "the origin null": Bad(403, -32600, "Origin", headers={"Origin": "null"}, kind="forbidden_origin"),
    "a foreign host": Bad(403, -32600, "Host", headers={"Host": "evil.example"}, kind="forbidden_origin"),
    "no token": Bad(401, -32600, "", headers={"Authorization": None}, kind="unauthenticated"),
    "an unknown key": Bad(401, -32600, "", headers={"Authorization": "Bearer mgw_tester_wrong"}, kind="unauthenticated"),
    "another scheme": Bad(401, -32600, "", headers={"Authorization": "Basic dGVzdGVy"}, kind="unauthenticated"),
    "the verb PUT": Bad(405, -32600, "POST", verb="PUT", kind="method_not_allowed"),
    "a GET without a session": Bad(405, -32600, "POST", verb="GET", kind="method_not_allowed"),
    "a DELETE without a session": Bad(405, -32600, "POST", verb="DELETE", kind="method_not_allowed"),
    "no session": Bad(400, -32600, "initialize", PING, LEGACY_ONLY, kind="invalid_request"),
    "an unknown session": Bad(404, -32600, "session", PING, {**LEGACY_ONLY, "Mcp-Session-Id": "nobody"}, kind="unknown_session"),
    "an old version": Bad(
        400,
        -32600,
        "2024-11-05",
        PING,
        {**LEGACY_ONLY, "MCP-Protocol-Version": "2024-11-05", "Mcp-Session-Id": "x"},
        kind="invalid_request",
    ),
    "a handshake without its parameters": Bad(
        200, -32602, "protocolVersion", {"jsonrpc": "2.0", "id": 1, "method": "initialize"}, LEGACY_ONLY, kind="invalid_params"
    ),
}


def send(place: Place, bad: Bad) -> httpx2.Response:
    headers: dict[str, Any] = {**ACCEPT, **HEADERS, **place.running.headers("tester"), **bad.headers}
    lines = [
        (name, each)
        for name, value in headers.items()
        if value is not None
        for each in (value if isinstance(value, list) else [value])
    ]
    body = bad.body if isinstance(bad.body, bytes) else json.dumps(bad.body).encode()
    url = f"http://127.0.0.1:{place.running.port}{bad.path}"
    with httpx2.Client(timeout=PATIENCE_S) as client:
        return client.request(bad.verb, url, headers=lines, content=body if bad.verb in {"POST", "PUT"} else None)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_recorded_and_not_forwarded(place: Place, name: str) -> None:
    bad = BAD[name]
    forwarded, before = counts(place.backend), len(place.running.audit())
    answer = send(place, bad)
    told = said(answer)
    assert (answer.status_code, told["error"]["code"], told["jsonrpc"]) == (bad.status, bad.code, "2.0")
    assert bad.says in told["error"]["message"]
    assert answer.headers["content-type"] == "application/json"
    soon(lambda: len(place.running.audit()) > before)
    (line,) = place.running.audit()[before:]
    if bad.kind is None:
        assert (line["type"], line["outcome"] in {"refused", "unknown", "invisible"}) == ("exchange", True)
    else:
        assert (line["type"], line["kind"], line["status"], line["code"]) == ("refusal", bad.kind, bad.status, bad.code)
    assert counts(place.backend) == forwarded


def test_the_same_call_without_anything_wrong_is_answered(place: Place) -> None:
    answer = send(place, Bad(200, None, ""))
    assert (answer.status_code, said(answer)["result"]["content"]) == (200, [{"type": "text", "text": "hello"}])


def test_what_could_be_read_of_the_id_is_in_the_answer(place: Place) -> None:
    assert said(send(place, Bad(0, 0, "", call(id="seven", method=7))))["id"] == "seven"
    assert said(send(place, Bad(0, 0, "", call(id=7, arguments=[1]))))["id"] == 7
    assert said(send(place, BAD["not JSON"]))["id"] is None


def test_a_version_that_is_not_spoken_is_told_which_ones_are(place: Place) -> None:
    error = said(send(place, BAD["a version to come"]))["error"]
    assert error["data"] == {"supported": ["2026-07-28", "2025-11-25", "2025-06-18"], "requested": "2030-01-01"}


@pytest.mark.parametrize(
    ("subject", "claims", "description"),
    [
        ("late", {"exp": 1_700_000_000}, "expired"),
        ("elsewhere", {"aud": "https://other.example.com"}, "audience"),
        ("stranger", {"iss": "https://other.example.com"}, "issuer"),
    ],
)
def test_a_token_that_does_not_count_is_challenged(place: Place, subject: str, claims: dict[str, Any], description: str) -> None:
    token = place.issuer.token(subject, **claims)
    answer = send(place, Bad(401, -32600, "", headers={"Authorization": f"Bearer {token}"}))
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="invalid_token"')
    assert description in challenge.lower()
    assert token not in place.running.log


def test_no_token_is_challenged_without_an_error(place: Place) -> None:
    challenge = send(place, BAD["no token"]).headers["www-authenticate"]
    assert challenge.startswith("Bearer")
    assert "error=" not in challenge


def test_a_token_in_the_query_is_no_token(place: Place) -> None:
    token = place.running.tokens["tester"]
    assert send(place, Bad(0, 0, "", headers={"Authorization": None}, path=f"/mcp?access_token={token}")).status_code == 401


def test_another_path_is_no_endpoint(place: Place) -> None:
    for path in ("/", "/mcp/nothing", "/MCP", "/mcp/../mcp/x", "/.env"):
        answer = send(place, Bad(404, -32600, "", path=path))
        assert (answer.status_code, said(answer)["error"]["code"]) == (404, -32600)


def test_a_trailing_slash_is_the_same_endpoint_and_no_redirect(place: Place) -> None:
    answer = send(place, Bad(200, None, "", path="/mcp/"))
    assert (answer.status_code, said(answer)["result"]["content"][0]["text"]) == (200, "hello")


def test_a_session_of_another_caller_is_none(place: Place) -> None:
    with Http(place.running, "tester") as mine, Http(place.running, "other") as theirs:
        mine.begin()
        theirs.session = mine.session
        foreign = theirs.legacy("tools/list")
        theirs.session = {**mine.session, "Mcp-Session-Id": "nobody"}
        absent = theirs.legacy("tools/list")
        assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content) == (404, absent.content)
        theirs.session = mine.session
        for verb in ("GET", "DELETE"):
            answer = theirs.client.request(verb, theirs.url, headers=theirs.session)
            assert (answer.status_code, said(answer)["error"]["code"]) == (404, -32600)
        assert mine.legacy("ping").status_code == 200


def test_a_client_that_wants_to_resume_a_stream_is_told_that_it_cannot(place: Place) -> None:
    with Http(place.running, "tester") as http:
        http.begin()
        answer = http.client.get(http.url, headers={**http.session, "Last-Event-ID": "7"})
        assert (answer.status_code, said(answer)["error"]["message"]) == (
            400,
            "streams are not resumed here: open a new one without Last-Event-ID, and ask again for what was under way",
        )


def test_a_session_keeps_to_its_version(place: Place) -> None:
    with Http(place.running, "tester") as http:
        http.begin("2025-06-18")
        assert said(http.legacy("ping"))["result"] == {}
        http.session["MCP-Protocol-Version"] = "2025-11-25"
        answer = http.legacy("ping")
        assert (answer.status_code, said(answer)["error"]["code"]) == (400, -32600)


def test_a_client_of_an_older_revision_is_offered_a_newer_one(place: Place) -> None:
    with Http(place.running, "tester") as http:
        answer = http.legacy("initialize", HANDSHAKE)
        assert said(answer)["result"]["protocolVersion"] == "2025-11-25"
        asked_modern = said(http.legacy("initialize", {**HANDSHAKE, "protocolVersion": MODERN}))["result"]
        assert asked_modern["protocolVersion"] == "2025-11-25"


def test_an_unknown_method_does_not_cost_a_legacy_client_its_session(place: Place) -> None:
    with Http(place.running, "tester") as http:
        http.begin()
        answer = http.legacy("tools/destroy")
        assert (answer.status_code, said(answer)["error"]["code"]) == (200, -32601)
        assert http.legacy("ping").status_code == 200


def test_an_id_that_is_still_running_is_not_taken_twice(place: Place) -> None:
    with Http(place.running, "tester") as http, Http(place.running, "tester") as again:
        http.begin()
        again.session = http.session
        params = {"name": "peer__slow", "arguments": {"steps": 1, "pause_s": 1.0}}
        answers: list[httpx2.Response] = []
        first = threading.Thread(target=lambda: answers.append(http.legacy("tools/call", params, id=5)))
        calls = counts(place.backend).get("tools/call", 0)
        first.start()
        soon(lambda: counts(place.backend).get("tools/call", 0) > calls)
        second = again.legacy("tools/call", params, id=5)
        as_text = again.legacy("ping", id="5")
        first.join(PATIENCE_S)
        assert (second.status_code, said(second)["error"]["code"]) == (400, -32600)
        assert said(as_text)["result"] == {}
        assert said(answers[0])["result"]["content"][0]["text"] == "1 steps done"
        assert counts(place.backend)["tools/call"] == calls + 1


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,  # a TLS greeting
        b"NONSENSE\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"POST /mcp HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["tls", "nonsense", "length", "smuggled", "hosts"],
)
def test_what_is_not_http_is_refused_and_the_next_client_is_served(place: Place, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", place.running.port), timeout=PATIENCE_S) as peer:
        peer.sendall(raw)
        answer = peer.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert send(place, Bad(200, None, "")).status_code == 200


def test_unauthenticated_callers_learn_nothing_from_a_body(place: Place) -> None:
    """The token is asked for before anything is read: whatever is in the body, the answer is the same."""
    nameless = {"Authorization": None}
    answers = {send(place, Bad(0, 0, "", body, nameless)).content for body in (b"{", call(), call("peer__nothing"), b"")}
    assert len(answers) == 1

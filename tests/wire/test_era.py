"""The ladder, rung by rung, in both eras: the first rung that fails is the answer.

Codes and statuses: 2026-07-28, basic/transports/streamable-http and basic/versioning; 2025-11-25, basic/transports.
"""

from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Kind, Refusal
from gateway.model import ClientInfo, Era, Json, JsonObject, Message, RequestId
from gateway.wire.era import check_session_version, route
from gateway.wire.head import Head
from gateway.wire.jsonrpc import Envelope, Notification, Rejected, Request, Response
from gateway.wire.methods import METHODS

V = "2026-07-28"
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
META: Final[JsonObject] = {VERSION_KEY: V, CAPABILITIES_KEY: {}}
SUPPORTED: Final[list[Json]] = ["2026-07-28", "2025-11-25", "2025-06-18"]

Lines = list[tuple[str, str]]


def head(*lines: tuple[str, str]) -> Head:
    return Head("POST", "/mcp", lines)


def modern_lines(method: str, name: str | None = None, version: str = V) -> Lines:
    lines = [("mcp-protocol-version", version), ("mcp-method", method)]
    return lines if name is None else [*lines, ("mcp-name", name)]


def call(meta: Json = META, name: Json = "search", **params: Json) -> Request:
    return Request(7, "tools/call", {"name": name, "_meta": meta, **params})


Seen = tuple[int, int, str, Json, RequestId | None, Era | None]


def rejection(lines: Lines, envelope: Envelope) -> Seen:
    """HTTP status, code, message, data, id and era of the refusal."""
    with pytest.raises(Rejected) as rejected:
        route(head(*lines), envelope)
    refusal, era = rejected.value.refusal, rejected.value.era
    seen_as: Era = era or "legacy"
    return refusal.status(seen_as), refusal.code(seen_as), refusal.message, refusal.data, rejected.value.id, era


def test_a_modern_call_passes_with_everything_it_told() -> None:
    meta: JsonObject = {
        **META,
        CAPABILITIES_KEY: {"elicitation": {}},
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "progressToken": "p",
    }
    lines = [*modern_lines("tools/call", "search"), ("mcp-param-region", "a"), ("mcp-session-id", "old"), ("mcp-param-x", "b")]
    assert route(head(*lines), call(meta, arguments={"a": 1})) == Message(
        era="modern",
        version=V,
        method="tools/call",
        params={"name": "search", "_meta": meta, "arguments": {"a": 1}},
        id=7,
        client=ClientInfo("c", "1"),
        capabilities={"elicitation": {}},
        param_headers=(("mcp-param-region", "a"), ("mcp-param-x", "b")),
    )


CALL = modern_lines("tools/call", "search")
LIST: Final = Request(7, "tools/list", {"_meta": META})
MISSING = "params._meta is missing the required envelope key(s): "
NO_META = f"params._meta must be an object carrying the required {VERSION_KEY!r} and {CAPABILITIES_KEY!r} envelope keys"
UNLIKE_VERSION = "mcp-protocol-version header does not match the request envelope's protocol version"
UNLIKE_METHOD = "mcp-method header does not match the request body's method"
UNLIKE_NAME = "mcp-name header does not match the request body's 'name' parameter"
NAME_SHAPE = "name must be a string of 1 to 256 characters"


def no_id(message: str) -> Seen:
    return 400, -32600, message, None, None, "modern"


def modern(status: int, code: int, message: str, data: Json = None) -> Seen:
    return status, code, message, data, 7, "modern"


def unsupported(requested: str) -> Seen:
    return modern(400, -32022, "Unsupported protocol version", {"supported": SUPPORTED, "requested": requested})


MODERN_RUNGS: Mapping[str, tuple[Lines, Envelope, Seen]] = {
    # rung 8: metadata, before any header is compared
    "no params": (modern_lines("tools/list"), Request(7, "tools/list", {}), modern(400, -32602, NO_META)),
    "_meta is no object": (CALL, call([]), modern(400, -32602, NO_META)),
    "_meta is empty": (CALL, call({}), modern(400, -32602, f"{MISSING}{VERSION_KEY}, {CAPABILITIES_KEY}")),
    "no version in _meta": (CALL, call({CAPABILITIES_KEY: {}}), modern(400, -32602, MISSING + VERSION_KEY)),
    "no capabilities in _meta": (CALL, call({VERSION_KEY: V}), modern(400, -32602, MISSING + CAPABILITIES_KEY)),
    "capabilities are no object": (
        CALL,
        call({VERSION_KEY: V, CAPABILITIES_KEY: []}),
        modern(400, -32602, f"params._meta[{CAPABILITIES_KEY!r}] must be an object"),
    ),
    "bad _meta and no headers": ([], call({VERSION_KEY: V}), modern(400, -32602, MISSING + CAPABILITIES_KEY)),
    "bad _meta and a doubled header": ([*CALL, *CALL], call({VERSION_KEY: V}), modern(400, -32602, MISSING + CAPABILITIES_KEY)),
    "only capabilities, and no header": ([], call({CAPABILITIES_KEY: {}}), modern(400, -32602, MISSING + VERSION_KEY)),
    # rung 9: headers, before any version is judged
    "no version header": ([("mcp-method", "tools/list")], LIST, modern(400, -32020, UNLIKE_VERSION)),
    "a legacy version header": (modern_lines("tools/list", version="2025-11-25"), LIST, modern(400, -32020, UNLIKE_VERSION)),
    "another version in the header": (
        modern_lines("tools/list", version="2099-01-01"),
        LIST,
        modern(400, -32020, UNLIKE_VERSION),
    ),
    "an empty version header": (modern_lines("tools/list", version=""), LIST, modern(400, -32020, UNLIKE_VERSION)),
    "a null version in the body": ([], call({VERSION_KEY: None, CAPABILITIES_KEY: {}}), modern(400, -32020, UNLIKE_VERSION)),
    "no method header": ([("mcp-protocol-version", V)], LIST, modern(400, -32020, UNLIKE_METHOD)),
    "another method in the header": (modern_lines("tools/call"), LIST, modern(400, -32020, UNLIKE_METHOD)),
    "the method in other letters": (modern_lines("Tools/List"), LIST, modern(400, -32020, UNLIKE_METHOD)),
    "no name header": (modern_lines("tools/call"), call(), modern(400, -32020, UNLIKE_NAME)),
    "another name in the header": (modern_lines("tools/call", "safe"), call(), modern(400, -32020, UNLIKE_NAME)),
    "a name that is no base64": (modern_lines("tools/call", "=?base64?c2VhcmNo!?="), call(), modern(400, -32020, UNLIKE_NAME)),
    "a name in base64 not canonical": (
        modern_lines("tools/call", "=?base64?YR==?="),
        call(name="a"),
        modern(400, -32020, UNLIKE_NAME),
    ),
    "a uri header of another uri": (
        modern_lines("resources/read", "file:///a"),
        Request(7, "resources/read", {"uri": "file:///b", "_meta": META}),
        modern(400, -32020, "mcp-name header does not match the request body's 'uri' parameter"),
    ),
    "a doubled version": (
        [*modern_lines("tools/list"), ("mcp-protocol-version", V)],
        LIST,
        modern(400, -32020, "the header mcp-protocol-version was sent more than once"),
    ),
    "a doubled method": (
        [*modern_lines("tools/list"), ("mcp-method", "tools/call")],
        LIST,
        modern(400, -32020, "the header mcp-method was sent more than once"),
    ),
    "a doubled name": (
        [*CALL, ("mcp-name", "other")],
        call(),
        modern(400, -32020, "the header mcp-name was sent more than once"),
    ),
    # rung 10: version, before the method is looked up
    "an unknown version": (
        modern_lines("no/such", version="2099-01-01"),
        Request(7, "no/such", {"_meta": {**META, VERSION_KEY: "2099-01-01"}}),
        unsupported("2099-01-01"),
    ),
    "a legacy version in modern form": (
        modern_lines("tools/list", version="2025-11-25"),
        Request(7, "tools/list", {"_meta": {**META, VERSION_KEY: "2025-11-25"}}),
        unsupported("2025-11-25"),
    ),
    # rung 11: method, before its parameters
    "an unknown method": (
        modern_lines("no/such"),
        Request(7, "no/such", {"_meta": META, "cursor": 5}),
        modern(404, -32601, "Method not found: no/such"),
    ),
    "initialize with modern headers and an old body": (
        [("mcp-protocol-version", V)],
        Request(7, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}),
        modern(400, -32602, NO_META),
    ),
    "a long unknown method is not echoed whole": (
        modern_lines("x" * 500),
        Request(7, "x" * 500, {"_meta": META}),
        modern(404, -32601, "Method not found: " + "x" * 128),
    ),
    # rung 12: parameters
    "no name": (modern_lines("tools/call"), Request(7, "tools/call", {"_meta": META}), modern(400, -32602, NAME_SHAPE)),
    "arguments are null": (
        CALL,
        call(arguments=None),
        modern(400, -32602, "arguments must be an object; leave it out if there are none"),
    ),
    "a requestState of nobody": (
        CALL,
        call(requestState="x", inputResponses={"k": {"action": "accept"}}),
        modern(400, -32602, "requestState: this gateway issued none; send the request without it"),
    ),
}


@pytest.mark.parametrize("rung", MODERN_RUNGS)
def test_a_modern_request_fails_at_the_first_wrong_rung(rung: str) -> None:
    lines, envelope, seen = MODERN_RUNGS[rung]
    assert rejection(lines, envelope) == seen


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/get", "tasks/list"],
)
def test_a_method_of_the_other_era_is_404_in_the_modern_one(method: str) -> None:
    assert rejection(modern_lines(method), Request(7, method, {"_meta": META})) == modern(
        404, -32601, f"Method not found: {method}"
    )


def test_server_discover_passes_for_whoever_climbs_the_ladder() -> None:
    message = route(head(*modern_lines("server/discover")), Request("d", "server/discover", {"_meta": META}))
    assert (message.era, message.method, message.id) == ("modern", "server/discover", "d")


def test_a_name_header_is_decoded_before_it_is_compared() -> None:
    lines = modern_lines("tools/call", "=?base64?c3VjaGXDqQ==?=")
    assert route(head(*lines), call(name="sucheé")).params["name"] == "sucheé"


def test_client_info_of_any_shape_is_never_a_reason_to_refuse() -> None:
    strange: list[Json] = [None, [], "x", {"name": 5, "version": {}}]
    for info in strange:
        message = route(
            head(*modern_lines("tools/list")),
            Request(1, "tools/list", {"_meta": {**META, "io.modelcontextprotocol/clientInfo": info}}),
        )
        assert message.client == ClientInfo()


# --- notifications and answers ---


def test_a_modern_notification_is_accepted_with_and_without_a_method_header() -> None:
    for lines in (modern_lines("notifications/cancelled"), [("mcp-protocol-version", V)]):
        notification = Notification("notifications/cancelled", {"requestId": 7})
        assert route(head(*lines), notification) == Message("modern", V, "notifications/cancelled", {"requestId": 7})


@pytest.mark.parametrize(
    ("lines", "params", "seen"),
    [
        ([], {"_meta": META}, (400, -32020, "mcp-protocol-version header does not match the notification's protocol version")),
        (
            [("mcp-protocol-version", V)],
            {"_meta": {VERSION_KEY: ["x"]}},
            (400, -32020, "mcp-protocol-version header does not match the notification's protocol version"),
        ),
        (
            modern_lines("notifications/progress"),
            {},
            (400, -32020, "mcp-method header does not match the notification's method"),
        ),
        ([("mcp-protocol-version", "2099-01-01")], {}, (400, -32022, "Unsupported protocol version")),
    ],
)
def test_a_modern_notification_that_disagrees_with_its_headers_is_refused(
    lines: Lines, params: JsonObject, seen: tuple[int, int, str]
) -> None:
    assert rejection(lines, Notification("notifications/cancelled", params))[:3] == seen


@pytest.mark.parametrize("method", [each.name for each in METHODS])
def test_a_request_without_an_id_is_refused_instead_of_dropped(method: str) -> None:
    assert rejection(modern_lines(method), Notification(method, {"_meta": META})) == no_id(
        f"{method} is a request: give it an `id`"
    )
    legacy = rejection([("mcp-session-id", "s")], Notification(method, {}))
    assert legacy == (400, -32600, f"{method} is a request: give it an `id`", None, None, "legacy")


def test_an_answer_that_nobody_waits_for_is_refused_without_its_id() -> None:
    text = "this gateway asked for nothing, so there is nothing to answer"
    assert rejection([("mcp-session-id", "s")], Response(7)) == (400, -32600, text, None, None, None)


# --- legacy ---

SESSION: Lines = [("mcp-session-id", "s")]
INIT: Final[JsonObject] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"roots": {}},
    "clientInfo": {"name": "c", "version": "1"},
}
NO_SESSION = "there is no session: send initialize first, then its Mcp-Session-Id with every message"


def legacy(status: int, code: int, message: str, data: Json = None) -> Seen:
    return status, code, message, data, 7, "legacy"


def old(version: str) -> Seen:
    text = f"protocol version {version} is not supported here; supported are 2026-07-28, 2025-11-25, 2025-06-18"
    return legacy(400, -32600, text, {"supported": SUPPORTED})


def test_initialize_needs_neither_session_nor_version_header() -> None:
    assert route(head(), Request(7, "initialize", INIT)) == Message(
        era="legacy",
        version="",
        method="initialize",
        params=INIT,
        id=7,
        client=ClientInfo("c", "1"),
        capabilities={"roots": {}},
    )


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18"])
def test_a_legacy_request_names_its_session_and_its_version(version: str) -> None:
    lines = [*SESSION, ("mcp-protocol-version", version)]
    assert route(head(*lines), Request("7", "tools/list", {})) == Message("legacy", version, "tools/list", {}, "7", "s")


def test_a_legacy_notification_passes_with_its_session() -> None:
    assert route(head(*SESSION), Notification("notifications/initialized", {})) == Message(
        "legacy", "", "notifications/initialized", {}, None, "s"
    )


LEGACY_RUNGS: Mapping[str, tuple[Lines, Request, Seen]] = {
    "2025-03-26, told so": ([*SESSION, ("mcp-protocol-version", "2025-03-26")], Request(7, "ping", {}), old("2025-03-26")),
    "2024-11-05, told so": ([("mcp-protocol-version", "2024-11-05")], Request(7, "initialize", INIT), old("2024-11-05")),
    "a legacy date that never was": ([("mcp-protocol-version", "2025-12-31")], Request(7, "ping", {}), old("2025-12-31")),
    "no session": ([("mcp-protocol-version", "2025-11-25")], Request(7, "tools/list", {}), legacy(400, -32600, NO_SESSION)),
    "nothing at all": ([], Request(7, "tools/list", {}), legacy(400, -32600, NO_SESSION)),
    "no session, before an unknown method": ([], Request(7, "no/such", {}), legacy(400, -32600, NO_SESSION)),
    "unknown method": (SESSION, Request(7, "no/such", {}), legacy(200, -32601, "Method not found: no/such")),
    "a modern method": (SESSION, Request(7, "server/discover", {}), legacy(200, -32601, "Method not found: server/discover")),
    "bad parameters": (SESSION, Request(7, "tools/call", {}), legacy(200, -32602, NAME_SHAPE)),
    "a bad level": (
        SESSION,
        Request(7, "logging/setLevel", {"level": "loud"}),
        legacy(200, -32602, "level must be one of debug, info, notice, warning, error, critical, alert, emergency"),
    ),
    "a doubled session id": (
        [*SESSION, *SESSION],
        Request(7, "ping", {}),
        legacy(400, -32600, "the header mcp-session-id was sent more than once"),
    ),
}


@pytest.mark.parametrize("rung", LEGACY_RUNGS)
def test_a_legacy_request_fails_at_the_first_wrong_rung(rung: str) -> None:
    lines, envelope, seen = LEGACY_RUNGS[rung]
    assert rejection(lines, envelope) == seen


def test_a_doubled_version_header_of_a_legacy_body_is_refused_before_an_era_is_chosen() -> None:
    lines = [*SESSION, ("mcp-protocol-version", "2025-11-25"), ("mcp-protocol-version", V)]
    text = "the header mcp-protocol-version was sent more than once"
    assert rejection(lines, Request(7, "ping", {})) == (400, -32020, text, None, 7, None)


def test_an_unknown_method_never_ends_a_legacy_session() -> None:
    assert rejection(SESSION, Request(7, "no/such", {}))[0] == 200
    assert rejection(modern_lines("no/such"), Request(7, "no/such", {"_meta": META}))[0] == 404


def test_a_session_keeps_to_the_version_it_negotiated() -> None:
    check_session_version(None, "2025-06-18")
    check_session_version("2025-06-18", "2025-06-18")
    with pytest.raises(Refusal) as refusal:
        check_session_version("2025-11-25", "2025-06-18")
    assert (refusal.value.kind, refusal.value.status("legacy"), refusal.value.message) == (
        Kind.INVALID_REQUEST,
        400,
        "this session speaks 2025-06-18, but the header MCP-Protocol-Version of this message says 2025-11-25",
    )


# --- anything else ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([V, "2025-11-25", "tools/call", "s"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=6,
)
KEYS = st.sampled_from(["name", "uri", "arguments", "cursor", "ref", "argument", "context", "level", "notifications", "_meta"])
METAS = st.dictionaries(st.sampled_from([VERSION_KEY, CAPABILITIES_KEY, "progressToken"]), JSON) | st.just(META)
PARAMS = st.dictionaries(KEYS, JSON, max_size=4).flatmap(
    lambda params: st.one_of(st.just(params), METAS.map(lambda meta: {**params, "_meta": meta}))
)
NAMES = st.sampled_from([each.name for each in METHODS]) | st.sampled_from(["notifications/x", "no/such", ""])
ENVELOPES = st.one_of(
    st.builds(Request, st.integers() | st.text(max_size=3), NAMES, PARAMS),
    st.builds(Notification, NAMES, PARAMS),
    st.builds(Response, st.none() | st.integers()),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "mcp-param-a"]),
        st.sampled_from([V, "2025-11-25", "2025-03-26", "x", "", "tools/call", "=?base64?!?=", "²²²²-07-28"]),
    ),
    max_size=5,
)


@given(HEADERS, ENVELOPES, st.booleans())
@settings(max_examples=500)
def test_any_head_and_envelope_are_a_message_or_a_rejection(lines: Lines, envelope: Envelope, agree: bool) -> None:
    if agree and isinstance(envelope, Request):
        lines = modern_lines(envelope.method, str(envelope.params.get("name", envelope.params.get("uri"))))
    try:
        message = route(head(*lines), envelope)
    except Rejected as rejected:
        assert rejected.refusal.status("modern") in {400, 404}
        assert rejected.id == (envelope.id if isinstance(envelope, Request) else None)
    else:
        assert not isinstance(envelope, Response)
        assert (message.method, message.params) == (envelope.method, envelope.params)
        assert message.era == "legacy" or message.version == V
        assert message.era == "modern" or message.session_id is not None or message.method == "initialize"
        assert message.era == "modern" or VERSION_KEY not in message.meta

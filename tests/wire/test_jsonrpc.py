"""Envelopes: one message, or a refusal with the id where it could be read."""

import json as standard

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Kind, Refusal
from gateway.model import RequestId
from gateway.wire import json, jsonrpc
from gateway.wire.jsonrpc import Notification, Rejected, Request, Response, parse
from gateway.wire.limits import BodyLimits

LIMITS = BodyLimits()


def refusal(body: bytes, limits: BodyLimits = LIMITS) -> tuple[int, int, str, RequestId | None]:
    """HTTP status, code, message and id; they are the same in both eras."""
    with pytest.raises(Rejected) as rejected:
        parse(body, limits)
    refused = rejected.value.refusal
    assert (refused.status("modern"), refused.code("modern")) == (refused.status("legacy"), refused.code("legacy"))
    assert rejected.value.era is None
    return refused.status("modern"), refused.code("modern"), refused.message, rejected.value.id


@pytest.mark.parametrize(
    ("body", "envelope"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', Request(1, "ping", {})),
        (b'{"jsonrpc":"2.0","id":"1","method":"ping","params":{}}', Request("1", "ping", {})),
        (b'{"jsonrpc":"2.0","id":-7,"method":"m","params":{"a":[null]}}', Request(-7, "m", {"a": [None]})),
        (b'{"jsonrpc":"2.0","id":18446744073709551616,"method":"m"}', Request(2**64, "m", {})),
        (b'{"jsonrpc":"2.0","id":9007199254740993,"method":"m"}', Request(2**53 + 1, "m", {})),
        (b'{"jsonrpc":"2.0","id":"","method":"m"}', Request("", "m", {})),
        (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', Notification("notifications/initialized", {})),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', Response(1)),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}', Response(None)),
    ],
)
def test_a_sound_envelope_is_read(body: bytes, envelope: jsonrpc.Envelope) -> None:
    assert parse(body, LIMITS) == envelope


ID = "`id` must be a string or an integer"
METHOD = "`method` must be a string, under exactly that key"


@pytest.mark.parametrize(
    ("body", "message", "id"),
    [
        (b"[]", "batches are not supported: send each message in a request of its own", None),
        (
            b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
            "batches are not supported: send each message in a request of its own",
            None,
        ),
        (b'"ping"', "the body must be one JSON-RPC message, a JSON object", None),
        (b"null", "the body must be one JSON-RPC message, a JSON object", None),
        (b'{"id":1,"method":"ping"}', '`jsonrpc` must be "2.0"', 1),
        (b'{"jsonrpc":2.0,"id":1,"method":"ping"}', '`jsonrpc` must be "2.0"', 1),
        (b'{"jsonrpc":"1.0","id":"a","method":"ping"}', '`jsonrpc` must be "2.0"', "a"),
        (b'{"JSONRPC":"2.0","id":1,"method":"ping"}', '`jsonrpc` must be "2.0"', 1),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', ID, None),
        (b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}', ID, None),
        (b'{"jsonrpc":"2.0","id":1e2,"method":"ping"}', ID, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', ID, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', ID, None),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', ID, None),
        (b'{"jsonrpc":"2.0","id":1}', METHOD, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":""}', METHOD, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', METHOD, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":null}', METHOD, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":[]}', "`params` must be an object", 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":null}', "`params` must be an object", 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","result":{}}', "a message has a `method`, or a `result`, or an `error`", 1),
    ],
)
def test_a_bad_envelope_is_400_invalid_request_with_the_id_that_could_be_read(
    body: bytes, message: str, id: RequestId | None
) -> None:
    assert refusal(body) == (400, -32600, message, id)


@pytest.mark.parametrize("key", ["Method", "METHOD", "method ", "method\\u0000"])
def test_json_keys_are_matched_as_they_are_spelt(key: str) -> None:
    assert refusal(f'{{"jsonrpc":"2.0","id":1,"{key}":"tools/call"}}'.encode()) == (400, -32600, METHOD, 1)


def test_bytes_that_are_not_json_are_400_parse_error_without_an_id() -> None:
    assert refusal(b'{"jsonrpc":"2.0","id":1,') == (400, -32700, "the body is not JSON in UTF-8: Input data was truncated", None)


def test_a_body_that_is_too_deep_is_refused_before_it_is_parsed() -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":' + b"[" * 80_000 + b"broken"
    assert refusal(body) == (400, -32600, "the body is nested deeper than 64 levels", None)


def test_a_body_of_too_many_members_is_refused_before_it_is_parsed() -> None:
    assert refusal(b"[" + b"[]," * 100, BodyLimits(max_members=50)) == (413, -32600, "the body has more than 50 members", None)


@given(st.binary(max_size=120) | st.text(max_size=60).map(str.encode))
@settings(max_examples=150)
def test_any_bytes_are_an_envelope_or_a_rejection(body: bytes) -> None:
    try:
        envelope = parse(body, LIMITS)
    except Rejected as rejected:
        assert isinstance(rejected.refusal, Refusal)
    else:
        assert isinstance(envelope, Request | Notification | Response)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
MEMBERS = st.dictionaries(
    st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "Method", "x"]),
    st.just("2.0") | SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)


@given(MEMBERS, st.booleans())
@settings(max_examples=300)
def test_any_object_is_an_envelope_or_a_rejection_and_ids_keep_their_type(members: dict[str, object], is_rpc: bool) -> None:
    if is_rpc:
        members["jsonrpc"] = "2.0"
    body = standard.dumps(members).encode()
    try:
        envelope = parse(body, LIMITS)
    except Rejected as rejected:
        assert rejected.refusal.kind in {Kind.INVALID_REQUEST, Kind.PARSE}
    else:
        if not isinstance(envelope, Notification):
            assert (envelope.id, type(envelope.id)) == (members.get("id"), type(members.get("id"))) or envelope.id is None


# --- what is built ---


@pytest.mark.parametrize("id", [1, "1", 2**53 + 1, 2**64, -1, "", 'a"b'])
def test_an_answer_echoes_the_id_with_its_type(id: RequestId) -> None:
    for answer in (jsonrpc.result(id, {}), jsonrpc.error(id, -1, "no")):
        echoed = standard.loads(answer)["id"]
        assert (echoed, type(echoed)) == (id, type(id))


def test_a_result_that_is_serialised_already_is_put_in_as_it_is() -> None:
    assert jsonrpc.result("a", b'{"x": 1.50}') == b'{"jsonrpc":"2.0","id":"a","result":{"x": 1.50}}'


def test_an_error_without_a_readable_id_says_null() -> None:
    assert jsonrpc.error(None, -32700, "no", {"a": 1}) == (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no","data":{"a":1}}}'
    )


def test_requests_and_notifications_are_read_back_as_they_were_built() -> None:
    assert parse(jsonrpc.request(7, "tools/list", {"cursor": ""}), LIMITS) == Request(7, "tools/list", {"cursor": ""})
    assert parse(jsonrpc.notification("notifications/x", {}), LIMITS) == Notification("notifications/x", {})
    assert json.decode(jsonrpc.error(1, 5, "m")) == {"jsonrpc": "2.0", "id": 1, "error": {"code": 5, "message": "m"}}

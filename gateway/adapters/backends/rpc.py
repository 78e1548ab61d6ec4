"""JSON-RPC on the back hop: what we send is built here, and nothing that a backend sends is believed before it was read here.

Pure. Whatever is not exactly a JSON-RPC message is `BackendFailed("not_mcp")`; one of too many members is "too_large".
"""

from collections.abc import Mapping
from typing import Final

from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value

from gateway.adapters.backends.challenges import bare, without_challenges
from gateway.errors import BackendFailed, Kind, Refusal
from gateway.model import MODERN_VERSIONS, Era, Fault, Json, JsonObject
from gateway.wire import json

MODERN: Final = MODERN_VERSIONS[0]
META = "io.modelcontextprotocol/"
MAX_DEPTH = 256  # those who redact and judge a result walk it; CPython's stack ends near a depth of 1,000
MAX_MEMBERS = 500_000  # 5,000 tools of 1 KB have half of that; 8 MiB of `[],` would hold the event loop for 1.6 s

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INVALID_REQUEST = -32600
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022


def request(id: int, method: str, params: Mapping[str, Json]) -> bytes:
    return json.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def notification(method: str, params: Mapping[str, Json] | None = None) -> bytes:
    return json.encode({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})


def cancelled(id: int) -> bytes:
    return notification("notifications/cancelled", {"requestId": id, "reason": "the gateway's caller no longer waits"})


def reply_to(asked: JsonObject) -> bytes:
    """Our answer to what a server asks its client: a ping is answered, nothing else is supported."""
    if asked["method"] == "ping":
        return json.encode({"jsonrpc": "2.0", "id": asked["id"], "result": {}})
    error = {"code": METHOD_NOT_FOUND, "message": "not supported by this client"}
    return json.encode({"jsonrpc": "2.0", "id": asked["id"], "error": error})


def modern_meta(client_info: Mapping[str, Json]) -> JsonObject:
    """The `_meta` without which no modern server may answer."""
    return {
        META + "protocolVersion": MODERN,
        META + "clientCapabilities": {},
        META + "clientInfo": dict(client_info),
    }


def name_header(method: str, params: Mapping[str, Json]) -> str | None:
    """Value of `Mcp-Name` for a request of `method`; None: it has none."""
    member = NAME_BEARING_METHODS.get(method)
    value = params.get(member) if member else None
    return encode_header_value(value) if isinstance(value, str) else None


def decode(data: bytes) -> JsonObject:
    """One JSON-RPC message of a backend, without the challenges in it. Raises `BackendFailed`."""
    try:
        json.check_members(data, MAX_MEMBERS)
        json.check_depth(data, MAX_DEPTH)
        message = json.decode(data)
    except Refusal as refusal:
        if refusal.kind is Kind.TOO_LARGE:
            raise BackendFailed("too_large", f"an answer of more than {MAX_MEMBERS} members", sent=True) from refusal
        raise not_mcp(refusal.message) from refusal
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise not_mcp("not a JSON-RPC 2.0 message")
    if "method" in message and not _sound_call(message):
        raise not_mcp("a request or notification without a method name, or with an id or params of a wrong type")
    return without_challenges(message, data)


def result_or_fault(message: JsonObject, era: Era) -> JsonObject | Fault:
    """What a response says. Raises `BackendFailed("not_mcp")` when it is not a response."""
    if ("result" in message) == ("error" in message):
        raise not_mcp("a response has either a result or an error")
    if "result" in message:
        result = message["result"]
        if not isinstance(result, dict):
            raise not_mcp("the result is not an object")
        return result
    error = message["error"]
    if not isinstance(error, dict):
        raise not_mcp("the error is not an object")
    code, text = error.get("code"), error.get("message")
    if not isinstance(code, int) or isinstance(code, bool) or not isinstance(text, str):
        raise not_mcp("the error lacks a code or a message")
    return bare(Fault(code, text, error.get("data"), era))


def is_response_to(message: JsonObject, id: int) -> bool:
    """True for the response to our request `id`, type and all: 1, true and "1" are not the same id."""
    answered = message.get("id")
    return "method" not in message and type(answered) is int and answered == id


def not_mcp(detail: str, *, sent: bool = True) -> BackendFailed:
    return BackendFailed("not_mcp", detail, sent=sent)


def _sound_call(message: JsonObject) -> bool:
    if not isinstance(message["method"], str) or not isinstance(message.get("params", {}), dict):
        return False
    return "id" not in message or (isinstance(message["id"], int | str) and not isinstance(message["id"], bool))

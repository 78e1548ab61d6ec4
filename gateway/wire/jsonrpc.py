"""JSON-RPC 2.0 envelopes as MCP has them: one message a body, ids that keep their type (2026-07-28, basic).

Keys are read as they are spelt: `Method` is not `method`.
"""

from dataclasses import dataclass
from typing import TypeAlias

from gateway.errors import Kind, Refusal
from gateway.model import Era, Json, JsonObject, RequestId
from gateway.wire import json
from gateway.wire.limits import BodyLimits


@dataclass(frozen=True, slots=True)
class Request:
    id: RequestId
    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Notification:
    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that a client posted. The gateway asks clients nothing yet, so none is expected."""

    id: RequestId | None


Envelope: TypeAlias = Request | Notification | Response


class Rejected(Exception):
    """A refusal of a message whose id, if it could be read, belongs into the answer.

    `era` is the one that the message was judged by, and says how the refusal looks; None: it was not judged yet, and
    what can be wrong until then looks the same in both.
    """

    def __init__(self, refusal: Refusal, id: RequestId | None, era: Era | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.id = id
        self.era = era


def parse(body: bytes, limits: BodyLimits) -> Envelope:
    """The one message in `body`. Raises `Rejected`."""
    try:
        json.check_members(body, limits.max_members)
        json.check_depth(body, limits.max_depth)
        decoded = json.decode(body)
    except Refusal as refusal:
        raise Rejected(refusal, None) from refusal
    if isinstance(decoded, list):
        raise _rejected("batches are not supported: send each message in a request of its own", None)
    if not isinstance(decoded, dict):
        raise _rejected("the body must be one JSON-RPC message, a JSON object", None)
    id = request_id(decoded.get("id"))
    if decoded.get("jsonrpc") != "2.0":
        raise _rejected('`jsonrpc` must be "2.0"', id)
    if "method" not in decoded and ("result" in decoded or "error" in decoded):
        return Response(id)
    return _message(decoded, id)


def request_id(value: Json) -> RequestId | None:
    """A string or an integer; None for everything else: `1`, `1.0` and `true` must not be taken for one another."""
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def result(id: RequestId, value: JsonObject | bytes) -> bytes:
    """A result; one that is serialised already is put in as it is."""
    raw = value if isinstance(value, bytes) else json.encode(value)
    return b"".join((b'{"jsonrpc":"2.0","id":', json.encode(id), b',"result":', raw, b"}"))  # one copy: a list has 1 MB


def error(id: RequestId | None, code: int, message: str, data: Json = None) -> bytes:
    """An error. Where no id could be read it says `null`, in both eras (JSON-RPC 2.0, section 5).

    The official SDK's clients take an error without that member for no message at all.
    """
    said: JsonObject = {"code": code, "message": message}
    if data is not None:
        said["data"] = data
    return json.encode({"jsonrpc": "2.0", "id": id, "error": said})


def notification(method: str, params: JsonObject) -> bytes:
    return json.encode({"jsonrpc": "2.0", "method": method, "params": params})


def request(id: RequestId, method: str, params: JsonObject) -> bytes:
    return json.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def _message(decoded: JsonObject, id: RequestId | None) -> Request | Notification:
    method, params = decoded.get("method"), decoded.get("params", {})
    if "id" in decoded and id is None:
        raise _rejected("`id` must be a string or an integer", None)
    if not isinstance(method, str) or not method:
        raise _rejected("`method` must be a string, under exactly that key", id)
    if not isinstance(params, dict):
        raise _rejected("`params` must be an object", id)
    if "result" in decoded or "error" in decoded:
        raise _rejected("a message has a `method`, or a `result`, or an `error`", id)
    return Notification(method, params) if id is None else Request(id, method, params)


def _rejected(message: str, id: RequestId | None) -> Rejected:
    return Rejected(Refusal(Kind.INVALID_REQUEST, message), id)

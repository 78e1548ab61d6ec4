"""Which era a message belongs to, and the ladder it has to climb: the first rung that fails is the answer.

Judged by body and headers together: a client that means to be modern must never be mistaken for a legacy one, or it is
turned to the legacy era for good (2026-07-28, basic/versioning and transports).
"""

from typing import Final

from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.jsonrpc import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION

from gateway.errors import Kind, Refusal
from gateway.model import LEGACY_VERSIONS, MODERN_VERSIONS, SUPPORTED_VERSIONS, ClientInfo, Era, Json, JsonObject, Message
from gateway.wire.head import Head
from gateway.wire.jsonrpc import Envelope, Notification, Rejected, Request, Response
from gateway.wire.methods import find
from gateway.wire.shapes import check_params

VERSION, METHOD, NAME, SESSION = "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id"
ROUTING: Final = (VERSION, METHOD, NAME)
PARAM_PREFIX = "mcp-param-"
MAX_ECHO_CHARS = 128  # of what the client sent, in a message to it


def route(head: Head, envelope: Envelope) -> Message:
    """The message, checked as far as head and body go. Raises `Rejected`."""
    if isinstance(envelope, Response):
        # Its id is one of the gateway's own; in an answer it would be taken for one of the client's.
        raise Rejected(Refusal(Kind.INVALID_REQUEST, "this gateway asked for nothing, so there is nothing to answer"), None)
    id = envelope.id if isinstance(envelope, Request) else None
    era: Era | None = None
    try:
        era = "modern" if is_modern(head, envelope) else "legacy"
        if isinstance(envelope, Notification) and not envelope.method.startswith("notifications/"):
            raise Refusal(Kind.INVALID_REQUEST, f"{envelope.method[:MAX_ECHO_CHARS]} is a request: give it an `id`")
        return _modern(head, envelope) if era == "modern" else _legacy(head, envelope)
    except Refusal as refusal:
        raise Rejected(refusal, id, era) from refusal


def is_modern(head: Head, envelope: Request | Notification) -> bool:
    """Per-request metadata in the body, or a version header that no legacy client sends."""
    meta = envelope.params.get("_meta")
    if isinstance(meta, dict) and not meta.keys().isdisjoint((PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY)):
        return True
    version = head.one(VERSION)
    return version is not None and not _was_legacy(version)


def check_session_version(header: str | None, session_version: str) -> None:
    """A legacy message names the version that its session negotiated, or none (2025-06-18 on). Raises `Refusal`."""
    if header is not None and header != session_version:
        text = f"this session speaks {session_version}, but the header MCP-Protocol-Version of this message says {header}"
        raise Refusal(Kind.INVALID_REQUEST, text, cause="version_header")


def _modern(head: Head, envelope: Request | Notification) -> Message:
    """Metadata, then headers, then version, then method, then parameters: a client learns of the first that is wrong."""
    if isinstance(envelope, Notification):
        return _modern_notification(head, envelope)
    routing = {name: value for name, value in head.headers if name in ROUTING}  # doubled ones are refused below
    body = {"method": envelope.method, "params": envelope.params}
    verdict = classify_inbound_request(body, headers=routing, supported_modern_versions=MODERN_VERSIONS)
    if isinstance(verdict, InboundLadderRejection) and verdict.code == INVALID_PARAMS:
        raise Refusal(Kind.INVALID_PARAMS, verdict.message, cause="meta")
    capabilities = envelope.params["_meta"][CLIENT_CAPABILITIES_META_KEY]  # type: ignore[index,call-overload]
    if not isinstance(capabilities, dict):
        raise Refusal(Kind.INVALID_PARAMS, f"params._meta[{CLIENT_CAPABILITIES_META_KEY!r}] must be an object", cause="meta")
    for name in ROUTING:
        head.one(name)
    if isinstance(verdict, InboundLadderRejection):
        if verdict.code == UNSUPPORTED_PROTOCOL_VERSION:
            raise _unsupported(_body_version(envelope))
        raise Refusal(Kind.HEADER_MISMATCH, verdict.message)
    if find(envelope.method, "modern") is None:
        raise _unknown_method(envelope.method)
    check_params(envelope.method, envelope.params)
    return Message(
        era="modern",
        version=verdict.protocol_version,
        method=envelope.method,
        params=envelope.params,
        id=envelope.id,
        client=_client(verdict.client_info),
        capabilities=capabilities,
        param_headers=tuple(line for line in head.headers if line[0].startswith(PARAM_PREFIX)),
    )


def _modern_notification(head: Head, envelope: Notification) -> Message:
    """Accepted and dropped: over HTTP a modern client cancels by closing its stream, and tells nothing else.

    The specification leaves its headers open: the version must be there, the method may be, and both must be right.
    """
    version, method, told = head.one(VERSION), head.one(METHOD), _body_version(envelope)
    if version is None or told not in (None, version):
        raise Refusal(Kind.HEADER_MISMATCH, f"{VERSION} header does not match the notification's protocol version")
    if method is not None and method != envelope.method:
        raise Refusal(Kind.HEADER_MISMATCH, f"{METHOD} header does not match the notification's method")
    if version not in MODERN_VERSIONS:
        raise _unsupported(version)
    return Message(era="modern", version=version, method=envelope.method, params=envelope.params)


def _legacy(head: Head, envelope: Request | Notification) -> Message:
    version, session_id = head.one(VERSION), head.one(SESSION)
    if version is not None and version not in LEGACY_VERSIONS:
        text = f"protocol version {version} is not supported here; supported are {', '.join(SUPPORTED_VERSIONS)}"
        raise Refusal(Kind.INVALID_REQUEST, text, cause="old_version", data={"supported": list[Json](SUPPORTED_VERSIONS)})
    if envelope.method != "initialize" and session_id is None:
        text = "there is no session: send initialize first, then its Mcp-Session-Id with every message"
        raise Refusal(Kind.INVALID_REQUEST, text, cause="no_session")
    is_request = isinstance(envelope, Request)
    if is_request and find(envelope.method, "legacy") is None:
        raise _unknown_method(envelope.method)
    if is_request:
        check_params(envelope.method, envelope.params)
    told = envelope.params if envelope.method == "initialize" else {}
    capabilities = told.get("capabilities")
    return Message(
        era="legacy",
        version=version or "",
        method=envelope.method,
        params=envelope.params,
        id=envelope.id if isinstance(envelope, Request) else None,
        session_id=session_id,
        client=_client(told.get("clientInfo")),
        capabilities=capabilities if isinstance(capabilities, dict) else {},
    )


def _was_legacy(version: str) -> bool:
    """A revision of before 2026-07-28: those had dates as well, and compare as text."""
    return len(version) == 10 and version[:4].isdigit() and version < MODERN_VERSIONS[0]


def _body_version(envelope: Request | Notification) -> Json:
    meta = envelope.params.get("_meta")
    return meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None


def _unsupported(requested: Json) -> Refusal:
    data: JsonObject = {"supported": list[Json](SUPPORTED_VERSIONS), "requested": requested}
    return Refusal(Kind.UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def _unknown_method(method: str) -> Refusal:
    return Refusal(Kind.UNKNOWN_METHOD, f"Method not found: {method[:MAX_ECHO_CHARS]}")


def _client(info: object) -> ClientInfo:
    if not isinstance(info, dict):
        return ClientInfo()
    name, version = info.get("name"), info.get("version")
    return ClientInfo(name if isinstance(name, str) else None, version if isinstance(version, str) else None)

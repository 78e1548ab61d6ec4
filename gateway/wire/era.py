"""Which era a message belongs to, and the ladder it has to climb: the first rung that fails is the answer.

Judged by body and headers together: a client that means to be modern must never be mistaken for a legacy one, or it is
turned to the legacy era for good (2026-07-28, basic/versioning and transports).
"""

from collections.abc import Callable, Mapping

from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp_types import PROTOCOL_VERSION_META_KEY
from mcp_types.jsonrpc import HEADER_MISMATCH, INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION

from gateway.errors import Kind, Refusal
from gateway.model import LEGACY_VERSIONS, MODERN_VERSIONS, SUPPORTED_VERSIONS, ClientInfo, Json, JsonObject, Message
from gateway.wire.head import Head
from gateway.wire.jsonrpc import Envelope, Notification, Rejected, Request, Response
from gateway.wire.methods import find

VERSION, METHOD, NAME, SESSION = "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id"
PARAM_PREFIX = "mcp-param-"
CAPABILITIES_META_KEY = "io.modelcontextprotocol/clientCapabilities"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
KINDS: Mapping[int, Kind] = {
    INVALID_PARAMS: Kind.INVALID_PARAMS,
    HEADER_MISMATCH: Kind.HEADER_MISMATCH,
    UNSUPPORTED_PROTOCOL_VERSION: Kind.UNSUPPORTED_VERSION,
}


def route(head: Head, envelope: Envelope) -> Message:
    """The message, checked as far as head and body go. Raises `Rejected`."""
    id = envelope.id if isinstance(envelope, Request | Response) else None
    try:
        if isinstance(envelope, Response):
            raise Refusal(Kind.INVALID_REQUEST, "this gateway asked for nothing, so there is nothing to answer")
        if is_modern(head, envelope):
            return _modern(head, envelope)
        return _legacy(head, envelope)
    except Refusal as refusal:
        raise Rejected(refusal, id) from refusal


def is_modern(head: Head, envelope: Request | Notification) -> bool:
    """Per-request metadata in the body, or a version header that no legacy client sends."""
    meta = envelope.params.get("_meta")
    if isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta:
        return True
    version = head.one(VERSION)
    return version is not None and not _was_legacy(version)


def check_session_version(message: Message, header: str | None, session_version: str) -> None:
    """A legacy message names the version that its session negotiated, or none (2025-06-18 on). Raises `Refusal`."""
    if header is not None and header != session_version:
        text = f"this session speaks {session_version}, but the header MCP-Protocol-Version of this message says {header}"
        raise Refusal(Kind.INVALID_REQUEST, text, cause="version_header")


def _modern(head: Head, envelope: Request | Notification) -> Message:
    if isinstance(envelope, Notification):
        return _modern_notification(head, envelope)
    routing = {name: value for name in (VERSION, METHOD, NAME) if (value := head.one(name)) is not None}
    body = {"method": envelope.method, "params": envelope.params}
    verdict = classify_inbound_request(body, headers=routing, supported_modern_versions=MODERN_VERSIONS)
    if isinstance(verdict, InboundLadderRejection):
        data: Json = verdict.data
        if verdict.code == UNSUPPORTED_PROTOCOL_VERSION:
            data = {"supported": list[Json](SUPPORTED_VERSIONS), "requested": _requested(envelope)}
        raise Refusal(KINDS[verdict.code], verdict.message, data=data)
    if not isinstance(verdict.client_capabilities, dict):
        raise Refusal(Kind.INVALID_PARAMS, f"params._meta[{CAPABILITIES_META_KEY!r}] must be an object")
    if find(envelope.method, "modern") is None:
        raise Refusal(Kind.UNKNOWN_METHOD, f"Method not found: {envelope.method}")
    _check_params(envelope.method, envelope.params)
    return Message(
        era="modern",
        version=verdict.protocol_version,
        method=envelope.method,
        params=envelope.params,
        id=envelope.id,
        client=_client(verdict.client_info),
        capabilities=verdict.client_capabilities,
        param_headers=tuple(line for line in head.headers if line[0].startswith(PARAM_PREFIX)),
    )


def _modern_notification(head: Head, envelope: Notification) -> Message:
    """Accepted and dropped: over HTTP a modern client cancels by closing its stream, and tells nothing else."""
    version = head.one(VERSION)
    if version not in MODERN_VERSIONS:
        data: JsonObject = {"supported": list[Json](SUPPORTED_VERSIONS), "requested": version or ""}
        raise Refusal(Kind.UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)
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
        raise Refusal(Kind.UNKNOWN_METHOD, f"Method not found: {envelope.method}")
    if is_request:
        _check_params(envelope.method, envelope.params)
    info = envelope.params.get("clientInfo") if envelope.method == "initialize" else None
    return Message(
        era="legacy",
        version=version or "",
        method=envelope.method,
        params=envelope.params,
        id=envelope.id if isinstance(envelope, Request) else None,
        session_id=session_id,
        client=_client(info),
    )


def _was_legacy(version: str) -> bool:
    """A revision of before 2026-07-28: those had dates as well, and compare as text."""
    return len(version) == 10 and version[:4].isdigit() and version < MODERN_VERSIONS[0]


def _requested(envelope: Request) -> Json:
    meta = envelope.params.get("_meta")
    return meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None


def _client(info: object) -> ClientInfo:
    if not isinstance(info, dict):
        return ClientInfo()
    name, version = info.get("name"), info.get("version")
    return ClientInfo(name if isinstance(name, str) else None, version if isinstance(version, str) else None)


# --- parameters -------------------------------------------------------------------------------------------------------


def _check_params(method: str, params: JsonObject) -> None:
    meta = params.get("_meta", {})
    _want(isinstance(meta, dict), "_meta must be an object")
    assert isinstance(meta, dict)
    token = meta.get("progressToken", "")
    _want(isinstance(token, int | str) and not isinstance(token, bool), "_meta.progressToken must be a string or an integer")
    level = meta.get("io.modelcontextprotocol/logLevel", LEVELS[0])
    _want(level in LEVELS, f"_meta logLevel must be one of {', '.join(LEVELS)}")
    _want("requestState" not in params, "requestState: this gateway issued none")
    check = _CHECKS.get(method)
    if check is not None:
        check(params)


def _want(right: bool, message: str) -> None:
    if not right:
        raise Refusal(Kind.INVALID_PARAMS, message)


def _list(params: JsonObject) -> None:
    _want(isinstance(params.get("cursor", ""), str), "cursor must be a string; leave it out to start at the beginning")


def _named(params: JsonObject) -> None:
    name = params.get("name")
    _want(isinstance(name, str) and 0 < len(name) <= 256, "name must be a string of 1 to 256 characters")
    _want(isinstance(params.get("arguments", {}), dict), "arguments must be an object; leave it out if there are none")


def _prompt(params: JsonObject) -> None:
    _named(params)
    arguments = params.get("arguments", {})
    assert isinstance(arguments, dict)
    _want(all(isinstance(each, str) for each in arguments.values()), "the arguments of a prompt must be strings")


def _uri(params: JsonObject) -> None:
    uri = params.get("uri")
    _want(isinstance(uri, str) and 0 < len(uri) <= 8192, "uri must be a string of 1 to 8192 characters")


def _completion(params: JsonObject) -> None:
    reference, argument, context = params.get("ref"), params.get("argument"), params.get("context", {})
    _want(isinstance(reference, dict), "ref must be an object")
    assert isinstance(reference, dict)
    member = {"ref/prompt": "name", "ref/resource": "uri"}.get(str(reference.get("type")))
    _want(
        member is not None and isinstance(reference.get(member), str),
        "ref must be a ref/prompt with name or a ref/resource with uri",
    )
    _want(isinstance(argument, dict), "argument must be an object with name and value")
    assert isinstance(argument, dict)
    _want(
        all(isinstance(argument.get(each), str) for each in ("name", "value")),
        "argument must have a name and a value, both strings",
    )
    _want(isinstance(context, dict), "context must be an object")
    assert isinstance(context, dict)
    known = context.get("arguments", {})
    _want(
        isinstance(known, dict) and all(isinstance(each, str) for each in known.values()),
        "context.arguments must be strings by name",
    )


def _level(params: JsonObject) -> None:
    _want(params.get("level") in LEVELS, f"level must be one of {', '.join(LEVELS)}")


def _initialize(params: JsonObject) -> None:
    _want(isinstance(params.get("protocolVersion"), str), "protocolVersion must be a string")
    _want(isinstance(params.get("capabilities"), dict), "capabilities must be an object")
    _want(isinstance(params.get("clientInfo"), dict), "clientInfo must be an object")


def _listen(params: JsonObject) -> None:
    wanted = params.get("notifications")
    _want(isinstance(wanted, dict), "notifications must be an object that says what to be told of")
    assert isinstance(wanted, dict)
    flags = ("toolsListChanged", "promptsListChanged", "resourcesListChanged")
    _want(all(isinstance(wanted.get(each, False), bool) for each in flags), f"{', '.join(flags)} must be booleans")
    uris = wanted.get("resourceSubscriptions", [])
    _want(isinstance(uris, list) and all(isinstance(each, str) for each in uris), "resourceSubscriptions must be a list of URIs")


_CHECKS: Mapping[str, Callable[[JsonObject], None]] = {
    "tools/list": _list,
    "prompts/list": _list,
    "resources/list": _list,
    "resources/templates/list": _list,
    "tools/call": _named,
    "prompts/get": _prompt,
    "resources/read": _uri,
    "resources/subscribe": _uri,
    "resources/unsubscribe": _uri,
    "completion/complete": _completion,
    "logging/setLevel": _level,
    "initialize": _initialize,
    "subscriptions/listen": _listen,
}

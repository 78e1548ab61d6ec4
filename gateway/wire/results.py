"""Results and errors from a backend's era to a client's, and the few checks that a result of each method must stand.

Unknown members are kept: only what the eras define differently is changed (2026-07-28, basic/versioning).
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.errors import DENIED_CODE, LIMITED_CODE, RESOURCE_NOT_FOUND_LEGACY, BackendFailed, Kind, Refusal
from gateway.model import Era, Fault, Json, JsonObject
from gateway.wire import json
from gateway.wire.methods import find

SERVER_INFO = "io.modelcontextprotocol/serverInfo"
MODERN_ONLY = ("resultType", "ttlMs", "cacheScope")
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
URL_ELICITATION_REQUIRED = -32042  # 2025-11-25, client/elicitation; 2026-07-28 retired it
MISSING_CAPABILITY: Final = -32021
OF_THE_HOP: Final = range(-32099, -32019)  # 2026-07-28, basic: header mismatch, missing capability, unsupported version
RESERVED: Final = range(-32768, -31999)  # JSON-RPC's own codes and MCP's; what lies outside is the application's
OURS: Final = (DENIED_CODE, LIMITED_CODE)  # no backend speaks in the gateway's voice


def check_result(result: JsonObject, *, method: str, backend_era: Era) -> None:
    """Raises `BackendFailed`: not a result of `method`, or one that asks the client for something."""
    kind = result.get("resultType", "complete")
    if backend_era == "modern" and kind != "complete":
        # Whatever is not known must be taken for invalid; the SDK's clients do not, so it ends here.
        raise BackendFailed("server_request" if kind == "input_required" else "not_mcp", "resultType", sent=True)
    check = _CHECKS.get(method)
    if check is not None and not check(result):
        raise BackendFailed("not_mcp", f"not a result of {method}", sent=True)


def for_client(
    result: JsonObject,
    *,
    method: str,
    backend_era: Era,
    client_era: Era,
    client_version: str,
    server_info: JsonObject,
) -> JsonObject:
    """The result in the client's terms; `result` itself stays as it is."""
    shown = {name: value for name, value in result.items() if name not in MODERN_ONLY}
    meta = dict(own) if isinstance(own := shown.get("_meta"), dict) else {}
    meta.pop(SERVER_INFO, None)
    if method == "tools/call":
        shown.setdefault("content", [])  # required in every era, and forgotten beside structured content
    if client_era == "modern":
        shown["resultType"] = "complete"
        meta[SERVER_INFO] = server_info
        row = find(method, "modern")
        if row is not None and row.cacheable:
            ttl_ms = result.get("ttlMs") if backend_era == "modern" else None
            fresh = isinstance(ttl_ms, int) and not isinstance(ttl_ms, bool) and ttl_ms > 0
            shown["ttlMs"] = ttl_ms if fresh else 0
            shown["cacheScope"] = "private"
    elif method == "tools/call":
        _legacy_tool_result(shown)
    if meta:
        shown["_meta"] = meta
    else:
        shown.pop("_meta", None)
    return shown


def _legacy_tool_result(shown: JsonObject) -> None:
    """Legacy structured content is an object; another one is told as text (2025-11-25, server/tools)."""
    structured = shown.get("structuredContent")
    if "structuredContent" not in shown or isinstance(structured, dict):
        return
    del shown["structuredContent"]
    content = shown.get("content")
    blocks = content if isinstance(content, list) else []
    if not any(isinstance(each, dict) and each.get("type") == "text" for each in blocks):
        shown["content"] = [*blocks, {"type": "text", "text": json.encode(structured).decode()}]


def fault_for_client(fault: Fault, *, method: str, client_era: Era, declared: frozenset[str] = frozenset()) -> Refusal:
    """A backend's error in the client's terms. Codes that speak of the hop behind are not the client's business."""
    if method in {"resources/read", "resources/subscribe"} and _says_missing(fault):
        return Refusal(Kind.UNKNOWN_RESOURCE, fault.message, cause="backend_not_found")
    if fault.code == INVALID_PARAMS:
        return Refusal(Kind.INVALID_PARAMS, fault.message, data=fault.data, cause="backend_invalid_params")
    if fault.code not in RESERVED and fault.code not in OURS:
        return Refusal(Kind.BACKEND_ERROR, fault.message, data=fault.data, code=fault.code)
    if fault.code == METHOD_NOT_FOUND:
        return Refusal(Kind.BACKEND_ERROR, "The backend does not offer this.", cause="backend_method_not_found")
    if fault.code == URL_ELICITATION_REQUIRED:
        text = "The backend wants the user to open a page first, which this gateway does not relay yet."
        return Refusal(Kind.BACKEND_ERROR, text, cause="backend_wants_input")
    if fault.code == MISSING_CAPABILITY:
        return _wants_input(_wanted(fault.data) - declared, client_era)
    if fault.code in OF_THE_HOP:
        return Refusal(Kind.BACKEND_ERROR, "The backend refused the gateway's request.", cause="backend_protocol")
    return Refusal(Kind.BACKEND_ERROR, fault.message or "The backend failed.", cause="backend_error")


def _says_missing(fault: Fault) -> bool:
    """Modern servers have one code for a missing resource and for other mistakes: its data names the URI, its text says so."""
    if fault.code == INVALID_PARAMS:
        return (isinstance(fault.data, dict) and "uri" in fault.data) or "not found" in fault.message.lower()
    return fault.code == RESOURCE_NOT_FOUND_LEGACY


def _wanted(data: Json) -> frozenset[str]:
    """The client capabilities that a backend misses."""
    wanted = data.get("requiredCapabilities") if isinstance(data, dict) else None
    return frozenset(wanted) if isinstance(wanted, dict) else frozenset()


def _wants_input(undeclared: frozenset[str], client_era: Era) -> Refusal:
    """What the client did not declare is its to know; what it did declare, this gateway does not relay yet."""
    text = "The backend asks its client for something that this gateway does not relay yet."
    if not undeclared or client_era == "legacy":
        return Refusal(Kind.BACKEND_ERROR, text, cause="backend_wants_input")
    data: JsonObject = {"requiredCapabilities": {name: {} for name in sorted(undeclared)}}
    return Refusal(Kind.MISSING_CAPABILITY, text, data=data, cause="backend_wants_input")


def _blocks(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and isinstance(each.get("type"), str) for each in value)


def _tool_result(result: JsonObject) -> bool:
    return _blocks(result.get("content", [])) and isinstance(result.get("isError", False), bool)


def _prompt_message(value: Json) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        return False
    content = value.get("content")
    return isinstance(content, dict) and isinstance(content.get("type"), str)


def _prompt_result(result: JsonObject) -> bool:
    messages = result.get("messages")
    return isinstance(messages, list) and all(_prompt_message(each) for each in messages)


def _resource_result(result: JsonObject) -> bool:
    contents = result.get("contents")
    return isinstance(contents, list) and all(isinstance(each, dict) and isinstance(each.get("uri"), str) for each in contents)


def _completion_result(result: JsonObject) -> bool:
    completion = result.get("completion")
    values = completion.get("values") if isinstance(completion, dict) else None
    return isinstance(values, list) and len(values) <= 100 and all(isinstance(each, str) for each in values)


_CHECKS: Mapping[str, Callable[[JsonObject], bool]] = {
    "tools/call": _tool_result,
    "prompts/get": _prompt_result,
    "resources/read": _resource_result,
    "completion/complete": _completion_result,
}

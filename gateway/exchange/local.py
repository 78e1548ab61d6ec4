"""What the gateway answers itself: discover, initialize, ping, setLevel. Authenticated and recorded, not decided.

None of it depends on a backend: a probe that fails turns a client to the legacy era for good.
"""

import secrets
from typing import cast, get_args

from gateway.errors import Kind, Refusal
from gateway.exchange.parts import Exchange, Ports
from gateway.model import LEGACY_VERSIONS, SUPPORTED_VERSIONS, Json, JsonObject
from gateway.ports import LogLevel, Session

CAPABILITIES: JsonObject = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
    "logging": {},
}
DISCOVER_TTL_MS = 60_000


def discovered(ports: Ports, x: Exchange) -> JsonObject:
    """`server/discover` (2026-07-28, server/discover)."""
    result: JsonObject = {
        "resultType": "complete",
        "supportedVersions": list[Json](SUPPORTED_VERSIONS),
        "capabilities": CAPABILITIES,
        "ttlMs": DISCOVER_TTL_MS,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": dict(ports.server_info)},
    }
    if x.view.instructions:
        result["instructions"] = x.view.instructions
    return result


def opened(x: Exchange) -> Session:
    """A new legacy session for an `initialize` that the ladder has checked."""
    params = x.message.params
    asked, client, capabilities = params.get("protocolVersion"), params.get("clientInfo"), params.get("capabilities")
    return Session(
        id=secrets.token_urlsafe(32),
        owner=x.caller.key,
        surface=x.view.surface,
        version=asked if isinstance(asked, str) and asked in LEGACY_VERSIONS else LEGACY_VERSIONS[0],
        client=client if isinstance(client, dict) else {},
        capabilities=capabilities if isinstance(capabilities, dict) else {},
    )


def initialized(ports: Ports, x: Exchange, session: Session) -> JsonObject:
    """The result of `initialize` (2025-11-25, basic/lifecycle)."""
    result: JsonObject = {
        "protocolVersion": session.version,
        "capabilities": CAPABILITIES,
        "serverInfo": dict(ports.server_info),
    }
    if x.view.instructions:
        result["instructions"] = x.view.instructions
    return result


def level_set(x: Exchange) -> JsonObject:
    """`logging/setLevel`: kept on the session."""
    level = x.message.params.get("level")
    if level not in get_args(LogLevel):
        raise Refusal(Kind.INVALID_PARAMS, f"level must be one of {', '.join(get_args(LogLevel))}")
    assert x.session is not None
    x.session.log_level = cast(LogLevel, level)
    return {}

"""`Mcp-Param-*`: arguments that a tool's schema mirrors into headers (2026-07-28, transports: custom headers)."""

from collections.abc import Mapping, Sequence

from mcp.shared.inbound import X_MCP_HEADER_KEY, mcp_param_headers, validate_mcp_param_headers, x_mcp_header_map

from gateway.errors import Kind, Refusal
from gateway.model import Json
from gateway.wire import json

PREFIX = "mcp-param-"
_ANNOTATION = f'"{X_MCP_HEADER_KEY}"'.encode()


def check_param_headers(schema: Json, arguments: Mapping[str, Json], lines: Sequence[tuple[str, str]]) -> None:
    """Header and argument agree, or both are absent; headers that `schema` does not name are ignored.

    `lines` as they were received, since a mapping hides the second one. Raises `Refusal(HEADER_MISMATCH)`.
    """
    if _ANNOTATION not in json.encode(schema):  # most schemas have none, and this is much cheaper than a walk
        return
    named = {PREFIX + token.lower() for token in x_mcp_header_map(schema).values()}
    received = [name.lower() for name, _ in lines if name.lower() in named]
    if len(set(received)) != len(received):
        raise Refusal(Kind.HEADER_MISMATCH, "an Mcp-Param header was sent more than once")
    rejection = validate_mcp_param_headers(schema, arguments, dict(lines))
    if rejection is not None:
        raise Refusal(Kind.HEADER_MISMATCH, rejection.message)


def param_headers(header_map: Mapping[tuple[str, ...], str], arguments: Mapping[str, Json]) -> dict[str, str]:
    """The headers that mirror the final arguments."""
    return mcp_param_headers(header_map, arguments)

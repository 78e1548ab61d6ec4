"""`Mcp-Param-*`: arguments that a tool's schema mirrors into headers (2026-07-28, transports: custom headers)."""

from collections.abc import Mapping, Sequence

from mcp.shared.inbound import mcp_param_headers, validate_mcp_param_headers

from gateway.errors import Kind, Refusal
from gateway.model import Json


def check_param_headers(schema: Json, arguments: Mapping[str, Json], lines: Sequence[tuple[str, str]]) -> None:
    """Header and argument agree, or both are absent; unknown ones are ignored. Raises `Refusal(HEADER_MISMATCH)`."""
    if not lines and not _annotated(schema):
        return
    names = [name.lower() for name, _ in lines]
    if len(set(names)) != len(names):
        raise Refusal(Kind.HEADER_MISMATCH, "an Mcp-Param header was sent more than once")
    rejection = validate_mcp_param_headers(schema, arguments, dict(lines))
    if rejection is not None:
        raise Refusal(Kind.HEADER_MISMATCH, rejection.message)


def param_headers(header_map: Mapping[tuple[str, ...], str], arguments: Mapping[str, Json]) -> dict[str, str]:
    """The headers that mirror the final arguments."""
    return mcp_param_headers(header_map, arguments)


def _annotated(schema: Json) -> bool:
    """Cheap: most schemas have no such annotation anywhere."""
    return "x-mcp-header" in str(schema)

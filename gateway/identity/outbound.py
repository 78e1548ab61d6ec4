"""What the gateway says of its callers to those behind it, and how it asks for tokens in their name.

Pure: keys, times and random ids are arguments. No token of a client is in anything that goes to a backend.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_NEVER: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("authorization", "proxy-authorization", "cookie", "set-cookie", "dpop", "www-authenticate", "proxy-authenticate"),
            "the client's credentials stay with the gateway",
        ),
        **dict.fromkeys(
            ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection", "expect"),
            "it belongs to one connection (RFC 9110 7.6.1)",
        ),
        **dict.fromkeys(
            ("host", "accept", "accept-encoding", "origin", "last-event-id", "user-agent"),
            "it belongs to the gateway's own request",
        ),
        **dict.fromkeys(("forwarded", "via", "x-real-ip"), "a client could claim any address in it"),
    }
)
_NEVER_PREFIXES: Final = {
    "mcp-": "the protocol's own headers are built from what was decided",
    "content-": "the body is written anew",
    "x-forwarded-": "a client could claim any address in it",
    "x-mcp-gateway-": "only the gateway says these",
    "sec-": "it belongs to the client's browser",
}


def why_not_forwarded(name: str) -> str | None:
    """Why a client's header of this name may never pass; None: an operator may let it."""
    lower = name.lower()
    if (why := _NEVER.get(lower)) is not None:
        return why
    return next((why for prefix, why in _NEVER_PREFIXES.items() if lower.startswith(prefix)), None)

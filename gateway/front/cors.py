"""Browser pages: those of a listed origin may read what we answer, errors too; no other page is told anything (Fetch, 3.2).

There are no cookies here, so credentials are never allowed with a request: a token is what the page itself puts into it.
"""

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.wire.head import Head

METHODS: Final = "GET, POST, DELETE, OPTIONS"
EXPOSED: Final = b"Mcp-Session-Id, WWW-Authenticate, Retry-After, DPoP-Nonce"
MAX_AGE_S: Final = "600"  # Chromium keeps an answer for two hours at most; a page taken off the list should notice sooner
ASKED_HEADERS: Final = "access-control-request-headers"
REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Accept",
    "MCP-Protocol-Version",
    "Mcp-Session-Id",
    "Mcp-Method",
    "Mcp-Name",
    "DPoP",
    "Last-Event-ID",
)
PARAM: Final = re.compile(r"mcp-param-[a-z0-9_.-]+", re.ASCII)  # one for each argument that a tool marks (2026-07-28, transports)


def asks_first(head: Head) -> bool:
    """Whether it is a preflight: a browser's question before a page's request is sent."""
    return head.method == "OPTIONS" and head.one("origin") is not None and head.one("access-control-request-method") is not None


def preflight(head: Head, end_user_header: str) -> dict[str, str]:
    """What a page may send; the origin is added to it as to every answer. Names that nobody here reads are not echoed."""
    allowed = [*REQUEST_HEADERS, end_user_header]
    asked = [name.strip().lower() for name, value in head.headers if name == ASKED_HEADERS for name in value.split(",")]
    params = dict.fromkeys(name for name in asked if PARAM.fullmatch(name))
    return {
        "allow": METHODS,
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": ", ".join((*allowed, *params)),
        "access-control-max-age": MAX_AGE_S,
    }


class Cors:
    """Adds what lets a page of a listed origin read an answer."""

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = frozenset(each.lower() for each in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        added = [(b"vary", b"Origin")]  # also without one: a cache must not hand this answer to a page
        if len(origins) == 1 and origins[0].decode("latin-1").lower() in self._origins:
            added += [(b"access-control-allow-origin", origins[0]), (b"access-control-expose-headers", EXPOSED)]

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start" and not _open(message):
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, telling)


def _open(message: Message) -> bool:
    """A document that every page may read says so itself."""
    return any(name == b"access-control-allow-origin" for name, _ in message["headers"])

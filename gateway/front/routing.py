"""Which URL is which surface, and the edge where a defect becomes an answer: the one place that catches everything."""

import logging
from collections.abc import Mapping

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Kind, Refusal
from gateway.front.endpoint import Endpoint
from gateway.front.responding import write
from gateway.wire import jsonrpc

log = logging.getLogger("gateway.front")

DEFAULT = "default"


def path(surface: str) -> str:
    """The URL path of a surface: /mcp for `default`, /mcp/<name> for the others."""
    return "/mcp" if surface == DEFAULT else f"/mcp/{surface}"


def routes(endpoints: Mapping[str, Endpoint]) -> ASGIApp:
    """All surfaces; with and without a trailing slash, since a redirect would lose the token."""
    table = [Route(path(name) + end, endpoint=endpoint) for name, endpoint in endpoints.items() for end in ("", "/")]
    return Edge(Router(table, redirect_slashes=False, default=_nothing_here))


class Edge:
    """Turns a defect into a 500 that tells nothing, and a line for the operator that tells everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception:
            log.exception("an exchange ended with a defect")
            await _refused(Refusal(Kind.INTERNAL, "The gateway failed; nothing more is known. Tell its operator."), send)


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _refused(Refusal(Kind.NO_SUCH_ENDPOINT, "There is no MCP endpoint at this path; the default one is /mcp."), send)


async def _refused(refusal: Refusal, send: Send) -> None:
    body = jsonrpc.error(None, refusal.code("modern"), refusal.message, refusal.data)
    await write(send, refusal.status("modern"), body, {})

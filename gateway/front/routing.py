"""Which URL is which surface, and the edge where a defect becomes an answer: the one place that catches everything."""

import logging
from collections.abc import Mapping

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Kind, Refusal
from gateway.front.documents import Document, Published, Refused
from gateway.front.endpoint import Endpoint
from gateway.front.responding import write
from gateway.identity.challenge import surface_path
from gateway.wire import jsonrpc

log = logging.getLogger("gateway.front")


def routes(
    endpoints: Mapping[str, Endpoint],
    documents: Mapping[str, Document],
    refused: Refused,
    *,
    hosts: frozenset[str] = frozenset(),
) -> ASGIApp:
    """All surfaces, and `documents` by their paths; with and without a trailing slash, since a redirect would lose the token.

    `hosts`: at which the documents are served besides loopback's; a surface's endpoint knows its own.
    """
    table = [Route(surface_path(name) + end, endpoint=endpoint) for name, endpoint in endpoints.items() for end in ("", "/")]
    for place, document in documents.items():
        published = Published(document, hosts, refused)
        table += [Route(place + end, endpoint=published) for end in ("", "/")]
    return Edge(Router(table, redirect_slashes=False, default=Nowhere(refused)))


class Edge:
    """Turns a defect into a 500 that tells nothing, and a line for the operator that tells everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            log.exception("an exchange ended with a defect")
            if begun:  # a second head would be no answer; the end of an unfinished stream says enough
                await send({"type": "http.response.body", "body": b""})
            else:
                await _refused(Refusal(Kind.INTERNAL, "The gateway failed; nothing more is known. Tell its operator."), send)


class Nowhere:
    """Answers what asks for a path without a surface."""

    def __init__(self, refused: Refused) -> None:
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            self._refused(Kind.NO_SUCH_ENDPOINT, client[0] if client else "")
            await _refused(
                Refusal(Kind.NO_SUCH_ENDPOINT, "There is no MCP endpoint at this path; the default one is /mcp."), send
            )


async def _refused(refusal: Refusal, send: Send) -> None:
    body = jsonrpc.error(None, refusal.code("modern"), refusal.message, refusal.data)
    await write(send, refusal.status("modern"), body, {})

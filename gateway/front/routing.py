"""Which URL is which surface, and the edge where a defect becomes an answer: the one place that catches everything."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Kind, Refusal
from gateway.front.cors import Cors
from gateway.front.documents import Document, Published, Refused
from gateway.front.endpoint import Endpoint
from gateway.front.proxies import Proxies, TrustedProxies
from gateway.front.responding import write_refusal
from gateway.identity.challenge import surface_path

log = logging.getLogger("gateway.front")


@dataclass(frozen=True, slots=True)
class Threshold:
    """What is looked at before it matters which URL is asked for."""

    hosts: frozenset[str] = frozenset()  # names that are ours besides loopback's
    origins: frozenset[str] = frozenset()  # of browser pages that may read our answers
    proxies: TrustedProxies | None = None  # None: everybody comes as who they are


def routes(
    endpoints: Mapping[str, Endpoint],
    documents: Mapping[str, Document],
    refused: Refused,
    threshold: Threshold | None = None,
) -> ASGIApp:
    """All surfaces, and `documents` by their paths; with and without a trailing slash, since a redirect would lose the token."""
    threshold = threshold or Threshold()
    table = [Route(surface_path(name) + end, endpoint=endpoint) for name, endpoint in endpoints.items() for end in ("", "/")]
    for place, document in documents.items():
        published = Published(document, threshold.hosts, refused)
        table += [Route(place + end, endpoint=published) for end in ("", "/")]
    app: ASGIApp = Router(table, redirect_slashes=False, default=Nowhere(refused))
    if threshold.proxies is not None:
        app = Edge(app, refused)  # knows who really asks, which the one outside does not
        app = Proxies(app, threshold.proxies, threshold.hosts, refused)
    app = Edge(app, refused)
    return Cors(app, threshold.origins) if threshold.origins else app


class Edge:
    """Turns a defect into a 500 that tells nothing, a line in the audit, and one for the operator that tells everything."""

    def __init__(self, app: ASGIApp, refused: Refused) -> None:
        self._app = app
        self._refused = refused

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
                refusal = Refusal(Kind.INTERNAL, "The gateway failed; nothing more is known. Tell its operator.")
                client = scope.get("client")
                self._refused(refusal, client[0] if client else "")
                await write_refusal(send, refusal)


class Nowhere:
    """Answers what asks for a path without a surface."""

    def __init__(self, refused: Refused) -> None:
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            refusal = Refusal(Kind.NO_SUCH_ENDPOINT, "There is no MCP endpoint at this path; the default one is /mcp.")
            self._refused(refusal, client[0] if client else "")
            await write_refusal(send, refusal)

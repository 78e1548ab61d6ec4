"""Well-known documents: whoever reaches the gateway may read them, no page is kept out, and reading one leaves no trace.

They are public by their nature (RFC 9728 metadata, the gateway's own keys), so there is no credential, no Origin check and no
line in the log; the Host is checked as everywhere, or a rebound name would have documents of ours.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from starlette.types import Receive, Scope, Send

from gateway.errors import Kind, Refusal
from gateway.front.responding import write, write_refusal
from gateway.wire import head as heads
from gateway.wire.limits import BodyLimits

Document: TypeAlias = Callable[[], tuple[int, Mapping[str, str], bytes]]
"""Status, headers and body of a document as it is now. Never waits, and is asked for each reading: keep what costs."""

METHODS: Final = "GET, HEAD, OPTIONS"
OPEN: Final = {"access-control-allow-origin": "*"}  # no credential is sent for it, so there is none to be misused
PREFLIGHT: Final = {
    **OPEN,
    "allow": METHODS,
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": "*",
    "access-control-max-age": "86400",
}

Refused: TypeAlias = Callable[[Refusal, str], None]
"""Told of a request that no surface heard: its refusal, and the address it came from."""


class Published:
    """The ASGI application of one document."""

    def __init__(self, document: Document, hosts: frozenset[str], refused: Refused) -> None:
        self._document = document
        self._hosts = hosts
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            head = heads.head(scope, BodyLimits())
            heads.check_host(head, self._hosts)
            await self._read(head.method, send)
        except Refusal as refusal:
            client = scope.get("client")
            self._refused(refusal, client[0] if client else "")
            await write_refusal(send, refusal, OPEN)

    async def _read(self, method: str, send: Send) -> None:
        if method == "OPTIONS":
            await write(send, 204, b"", PREFLIGHT)
        elif method in {"GET", "HEAD"}:
            status, headers, body = self._document()
            await write(send, status, body, {**OPEN, **headers})  # the server leaves the body of a HEAD out
        else:
            raise Refusal(Kind.METHOD_NOT_ALLOWED, f"this document is only read: {METHODS}", headers={"allow": METHODS})

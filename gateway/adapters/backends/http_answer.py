"""Reads an HTTP answer to one request: its messages for the caller, or a refusal that says what can be done about it.

401, 402, 403 and 407 are the gateway's own affair and are never passed on; a redirect is never followed.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal, TypeAlias

import aiohttp

from gateway.adapters.backends import rpc
from gateway.adapters.backends.call import Call
from gateway.adapters.backends.link import ERROR_BODY_BYTES, Link
from gateway.errors import BackendFailed
from gateway.model import Answer, BackendMessage, Fault, JsonObject

Asked: TypeAlias = Callable[[JsonObject], None]
"""Takes a request of the server to its client, to answer it."""

# Codes with which servers say "no such session" or "you did not initialize" (2025-11-25 leaves it to the status 404;
# the TypeScript SDK adds -32000 and -32001, older Python SDKs answer 400 with -32600).
SESSION_CODES = frozenset({rpc.INVALID_REQUEST, -32000, -32001})
ERA_CODES = frozenset({*SESSION_CODES, rpc.UNSUPPORTED_VERSION})

OUR_AFFAIR = frozenset({401, 402, 403, 407})  # who the gateway is, what it may and what it pays: nothing the client could mend

Stage = Literal["modern", "initialize", "session"]


class Refused(BackendFailed):
    """The backend refused the request by HTTP status: up to 499 it did not act on it."""

    def __init__(self, status: int, fault: Fault | None) -> None:
        super().__init__("status", f"HTTP {status}" + (f": {fault.message}" if fault else ""), sent=status >= 500)
        self.status = status
        self.fault = fault
        self.stage: Stage = "modern"  # in which it was sent

    @property
    def unknown_session(self) -> bool:
        if self.stage != "session":
            return False
        if self.fault is None:
            return self.status == 404
        if self.fault.code not in SESSION_CODES:
            return False
        return self.status == 404 or (self.status == 400 and "session" in self.fault.message.lower())

    @property
    def doubts_era(self) -> bool:
        """Whether a server of the other era might have refused it just so."""
        if self.status not in (400, 404, 405):
            return False
        return self.stage != "modern" or self.fault is None or self.fault.code in ERA_CODES


async def answers(
    link: Link, response: aiohttp.ClientResponse, call: Call, deadline_s: float, asked: Asked | None
) -> AsyncGenerator[BackendMessage, None]:
    """The messages of a response, the last an `Answer` or a `Fault`. Raises `BackendFailed`."""
    if response.status != 200:
        raise await refusal(link, response, call, deadline_s)
    async with aclosing(link.messages(response, deadline_s)) as messages:
        async for message, size_bytes in messages:
            if asked is not None and "method" in message and "id" in message:
                asked(message)
            read = call.read(message, size_bytes)
            if read is None:
                continue
            yield read
            if isinstance(read, Answer | Fault):
                return
    raise BackendFailed("closed", "the stream ended before the answer", sent=True)


async def refusal(link: Link, response: aiohttp.ClientResponse, call: Call, deadline_s: float) -> BackendFailed:
    """What a status other than 200 means."""
    status = response.status
    if status in OUR_AFFAIR:
        return BackendFailed("unauthorized", f"HTTP {status}", sent=False)
    if status < 300:
        return rpc.not_mcp(f"HTTP {status} to a request")
    if status < 400:
        return BackendFailed("status", f"HTTP {status}: redirects are not followed", sent=False)
    if response.content_type != "application/json":
        return Refused(status, None)
    try:
        message = rpc.decode(await link.body(response, deadline_s, limit_bytes=ERROR_BODY_BYTES))
        if message.get("id") is not None and not rpc.is_response_to(message, call.id):
            return Refused(status, None)
        outcome = rpc.result_or_fault(message, call.era)
    except BackendFailed:
        return Refused(status, None)  # an error page that says it is JSON
    return Refused(status, outcome if isinstance(outcome, Fault) else None)

"""What an HTTP backend tells of its own accord: a `subscriptions/listen` stream of a modern one, the GET stream of the
gateway's own session at a legacy one.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count

import aiohttp

from gateway.adapters.backends import rpc
from gateway.adapters.backends.http_answer import OUR_AFFAIR
from gateway.adapters.backends.http_sessions import LegacySession, LegacySessions
from gateway.adapters.backends.link import Link
from gateway.adapters.backends.pool import Held
from gateway.adapters.backends.watching import NothingToHear, Standing, Uris
from gateway.errors import BackendFailed
from gateway.model import Fault, Json, JsonObject, Outgoing

LISTS = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
SUBSCRIPTION_ID = rpc.META + "subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


def listen_params(capabilities: JsonObject, uris: Uris, meta: JsonObject) -> JsonObject:
    """What to listen for, of what the backend says it can tell. Raises `NothingToHear`."""
    wanted: JsonObject = {}
    for offered, name in LISTS.items():
        capability = capabilities.get(offered)
        if isinstance(capability, dict) and capability.get("listChanged") is True:
            wanted[name] = True
    resources = capabilities.get("resources")
    if uris and isinstance(resources, dict) and resources.get("subscribe") is True:
        chosen: list[Json] = [*sorted(uris)]
        wanted["resourceSubscriptions"] = chosen
    if not wanted:
        raise NothingToHear
    return {"notifications": wanted, "_meta": meta}


class ListenSource:
    """One long answer of a modern backend; other URIs need another one."""

    def __init__(self, link: Link, ids: "count[int]", capabilities: JsonObject, head: Callable[[], JsonObject]) -> None:
        self._link = link
        self._ids = ids
        self._capabilities = capabilities
        self._meta = head
        self._request = Outgoing(link.backend, "subscriptions/listen", {}, "")

    async def amend(self, before: Uris, after: Uris) -> bool:
        return False

    async def stream(self, uris: Uris) -> AsyncGenerator[JsonObject | Standing, None]:
        id = next(self._ids)
        body = rpc.request(id, "subscriptions/listen", listen_params(self._capabilities, uris, self._meta()))
        headers = {"MCP-Protocol-Version": rpc.MODERN, "Mcp-Method": "subscriptions/listen"}
        response = await self._link.send("POST", self._request, headers, body, deadline_s=None)
        try:
            _check(response, nothing=(400, 404, 405))
            async with aclosing(self._link.events(response, None)) as events:
                async for message, _ in events:
                    if rpc.is_response_to(message, id):
                        return  # its orderly end
                    if message.get("method") == ACKNOWLEDGED:
                        yield "standing"
                    elif "id" not in message and _subscription(message) == (int, id):
                        yield message
        finally:
            response.close()


class SessionSource:
    """The GET stream of the gateway's own session; URIs are subscribed within the session."""

    def __init__(self, link: Link, sessions: LegacySessions, held: Held[LegacySession]) -> None:
        self._link = link
        self._sessions = sessions
        self._held = held
        self._session = held.value

    async def amend(self, before: Uris, after: Uris) -> bool:
        await self._subscribe("resources/unsubscribe", before - after)
        await self._subscribe("resources/subscribe", after - before)
        return True

    async def stream(self, uris: Uris) -> AsyncGenerator[JsonObject | Standing, None]:
        with self._sessions.pool.using(self._held):
            headers = {**self._session.headers, "Accept": "text/event-stream"}
            response = await self._link.send("GET", self._session.last, headers, None, deadline_s=None)
            try:
                if response.status == 404:
                    self._sessions.pool.lost(self._held)
                _check(response, nothing=(405,))
                await self._subscribe("resources/subscribe", uris)
                yield "standing"
                async with aclosing(self._link.events(response, None)) as events:
                    async for message, _ in events:
                        if "id" not in message:
                            yield message
                        elif "method" in message:
                            await self._sessions.post(self._session, rpc.reply_to(message))
            finally:
                response.close()

    async def _subscribe(self, method: str, uris: Uris) -> None:
        resources = self._session.capabilities.get("resources")
        if not isinstance(resources, dict) or resources.get("subscribe") is not True:
            return
        for uri in sorted(uris):
            answer = await self._sessions.ask(self._session, method, {"uri": uri}, _ignore)
            if isinstance(answer, Fault):
                continue  # this one is not told of; reading it still works


def _check(response: aiohttp.ClientResponse, *, nothing: tuple[int, ...]) -> None:
    """Raises unless an event stream has begun."""
    if response.status in nothing:
        raise NothingToHear
    if response.status in OUR_AFFAIR:
        raise BackendFailed("unauthorized", f"HTTP {response.status} to a stream of notifications", sent=True)
    if response.status != 200:
        raise BackendFailed("status", f"HTTP {response.status} to a stream of notifications", sent=True)
    if response.content_type != "text/event-stream":
        raise NothingToHear


def _subscription(message: JsonObject) -> tuple[type, Json]:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    id = meta.get(SUBSCRIPTION_ID) if isinstance(meta, dict) else None
    return type(id), id


def _ignore(message: JsonObject) -> None:
    """What changed meanwhile comes on the stream as well."""

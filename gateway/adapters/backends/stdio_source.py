"""What a process tells of its own accord: under a `subscriptions/listen` of a modern one, by itself from a legacy one."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import count
from typing import TypeAlias

from gateway.adapters.backends import rpc
from gateway.adapters.backends.http_sources import ACKNOWLEDGED, listen_params
from gateway.adapters.backends.process import Child
from gateway.adapters.backends.watching import NothingToHear, Standing, Uris
from gateway.errors import BackendFailed
from gateway.model import Era, Fault, JsonObject

Ask: TypeAlias = Callable[[str, JsonObject], Awaitable[JsonObject | Fault]]


class ChildSource:
    """The notifications of the gateway's own process."""

    def __init__(
        self, child: Child, era: Era, capabilities: JsonObject, ask: Ask, ids: "count[int]", client_info: JsonObject
    ) -> None:
        self._child = child
        self._era = era
        self._capabilities = capabilities
        self._ask = ask
        self._ids = ids
        self._client_info = client_info

    async def amend(self, before: Uris, after: Uris) -> bool:
        if self._era == "modern":
            return False
        await self._subscribe("resources/unsubscribe", before - after)
        await self._subscribe("resources/subscribe", after - before)
        return True

    async def stream(self, uris: Uris) -> AsyncGenerator[JsonObject | Standing, None]:
        if self._era == "legacy":
            await self._subscribe("resources/subscribe", uris)
            yield "standing"
            await self._child.ended.wait()  # its notifications name no request and come by `told`
            raise BackendFailed("closed", "its process ended", sent=True)
        id = next(self._ids)
        params = listen_params(self._capabilities, uris, rpc.modern_meta(self._client_info))
        mailbox = self._child.open(id, call=False)
        try:
            await self._child.write(rpc.request(id, "subscriptions/listen", params))
            while True:
                message, _ = await mailbox.next()
                if "method" not in message:
                    if isinstance(rpc.result_or_fault(message, "modern"), Fault):
                        raise NothingToHear
                    return
                if message["method"] == ACKNOWLEDGED:
                    yield "standing"
                else:
                    yield message
        finally:
            self._child.forget(id)
            if not self._child.ended.is_set():
                await self._child.write(rpc.cancelled(id))

    async def _subscribe(self, method: str, uris: Uris) -> None:
        resources = self._capabilities.get("resources")
        if not isinstance(resources, dict) or resources.get("subscribe") is not True:
            return
        for uri in sorted(uris):
            await self._ask(method, {"uri": uri})  # one that is refused is not told of; reading it still works

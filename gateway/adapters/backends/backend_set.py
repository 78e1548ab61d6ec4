"""All backends by name: the port `Backends`. What one of them does or fails to do never reaches another."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol, assert_never

from gateway.adapters.backends import rpc
from gateway.adapters.backends.http import HttpBackend
from gateway.adapters.backends.specs import BackendSpec, BackendStatus, HttpSpec, Pace, StdioSpec
from gateway.adapters.backends.stdio import StdioBackend
from gateway.adapters.backends.watching import Emit
from gateway.errors import BackendFailed, Kind, Refusal
from gateway.model import Answer, BackendMessage, Caller, Fault, ItemType, Json, JsonObject, Listing, Outgoing

log = logging.getLogger("gateway.backends")

LISTS: dict[ItemType, tuple[str, str]] = {
    "tool": ("tools/list", "tools"),
    "prompt": ("prompts/list", "prompts"),
    "resource": ("resources/list", "resources"),
    "resource_template": ("resources/templates/list", "resourceTemplates"),
}


class Backend(Protocol):
    """One backend, whatever carries its messages."""

    name: str

    @property
    def per_subject(self) -> bool:
        """Whether it may list differently for each subject."""
        ...

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    def forward(self, request: Outgoing) -> AsyncGenerator[BackendMessage, None]: ...
    async def watch(self, uri: str) -> None: ...
    async def unwatch(self, uri: str) -> None: ...
    def status(self) -> BackendStatus: ...


class BackendSet:
    """Every configured backend. `on_change` is called in the event loop and must not block."""

    def __init__(
        self, specs: Sequence[BackendSpec], *, on_change: Emit, client_info: JsonObject, pace: Pace | None = None
    ) -> None:
        """Raises `ValueError` for a spec that cannot work: two of one name, TLS files that cannot be read."""
        self._backends: dict[str, Backend] = {}
        for spec in specs:
            if spec.name in self._backends:
                raise ValueError(f"two backends are named {spec.name}")
            self._backends[spec.name] = _backend(spec, client_info, on_change, pace or Pace())

    async def start(self) -> None:
        """Begin to listen to every backend. Waits for none of them."""
        await asyncio.gather(*(each.start() for each in self._backends.values()))

    async def close(self) -> None:
        """End sessions, processes and connections."""
        await asyncio.gather(*(each.close() for each in self._backends.values()))

    def forward(self, request: Outgoing) -> AsyncGenerator[BackendMessage, None]:
        return self._backends[request.backend].forward(request)

    async def watch(self, backend: str, uri: str) -> None:
        await self._backends[backend].watch(uri)

    async def unwatch(self, backend: str, uri: str) -> None:
        await self._backends[backend].unwatch(uri)

    def status(self) -> tuple[BackendStatus, ...]:
        return tuple(each.status() for each in self._backends.values())

    def scope(self, backend: str, owner: str) -> str:
        return owner if self._backends[backend].per_subject else ""

    async def page(self, backend: str, type: ItemType, cursor: str | None, caller: Caller | None) -> Listing:
        method, member = LISTS[type]
        params: JsonObject = {} if cursor is None else {"cursor": cursor}
        asker = caller if self._backends[backend].per_subject else None
        request = Outgoing(backend, method, params, asker.key if asker else "", caller=asker)
        async with aclosing(self.forward(request)) as messages:
            async for message in messages:
                if isinstance(message, Answer):
                    return _listing(backend, type, member, message)
                if isinstance(message, Fault):
                    return _no_listing(backend, type, cursor, message)
        raise BackendFailed("closed", "no answer", sent=True)


def _backend(spec: BackendSpec, client_info: JsonObject, emit: Emit, pace: Pace) -> Backend:
    match spec:
        case HttpSpec():
            return HttpBackend(spec, client_info=client_info, emit=emit, pace=pace)
        case StdioSpec():
            return StdioBackend(spec, client_info=client_info, emit=emit, pace=pace)
    assert_never(spec)


def _listing(backend: str, type: ItemType, member: str, answer: Answer) -> Listing:
    definitions = answer.result.get(member)
    if not isinstance(definitions, list):
        raise rpc.not_mcp(f"a list without {member}")
    cursor = answer.result.get("nextCursor")
    if cursor is not None and not isinstance(cursor, str):
        raise rpc.not_mcp("a cursor that is not text")
    objects = tuple(each for each in definitions if isinstance(each, dict))
    if len(objects) < len(definitions):
        log.warning(
            "backend %s: %d entries of %s are not objects and were left out", backend, len(definitions) - len(objects), member
        )
    return Listing(backend, type, objects, answer.era, _ttl_ms(answer.result.get("ttlMs")), cursor)


def _no_listing(backend: str, type: ItemType, cursor: str | None, fault: Fault) -> Listing:
    if fault.code == rpc.METHOD_NOT_FOUND:
        return Listing(backend, type, (), fault.era)  # it has none of these
    if fault.code == rpc.INVALID_PARAMS and cursor is not None:
        raise Refusal(Kind.INVALID_PARAMS, "unknown cursor; start the list again without one", cause="cursor")
    raise BackendFailed("status", f"error {fault.code} to a list: {fault.message}", sent=True)


def _ttl_ms(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

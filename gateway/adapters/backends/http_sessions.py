"""Sessions at a legacy HTTP backend: one for each owner, opened once, reused, and ended. Never shared between owners,
unless the backend is declared stateless.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count

from gateway.adapters.backends import rpc
from gateway.adapters.backends.call import Call, Told
from gateway.adapters.backends.era import INITIALIZE_VERSIONS
from gateway.adapters.backends.http_answer import Refused, answers, refusal
from gateway.adapters.backends.link import Link
from gateway.adapters.backends.pool import Held, OwnerPool, PoolLimits
from gateway.adapters.backends.specs import HttpSpec
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed
from gateway.model import LEGACY_VERSIONS, Answer, BackendMessage, Fault, Json, JsonObject, Outgoing

END_S = 2.0  # for the DELETE of a session, and for a notification nobody waits for
MAX_ID_LENGTH = 1024


@dataclass(slots=True)
class LegacySession:
    """One session, as the backend opened it."""

    headers: Mapping[str, str]
    capabilities: JsonObject
    has_id: bool
    last: Outgoing  # the newest request within it: as whom the gateway speaks of its own accord there
    log_rank: int | None = None  # the lowest level that was asked for so far
    levelling: asyncio.Lock = field(default_factory=asyncio.Lock)


class LegacySessions:
    """The sessions of one backend; `pool` holds them by owner."""

    def __init__(self, spec: HttpSpec, link: Link, ids: "count[int]", client_info: JsonObject, tasks: Tasks) -> None:
        self._spec = spec
        self._link = link
        self._ids = ids
        self._client_info = client_info
        self._shared = spec.stateless and not spec.credential.per_subject  # opened as one subject, it serves no other
        limits = PoolLimits(f"sessions of {spec.name}", spec.max_sessions, spec.idle_s, self._shared)
        self.pool: OwnerPool[LegacySession] = OwnerPool(limits, tasks, end=self._delete)

    async def of(self, request: Outgoing) -> Held[LegacySession]:
        """The session of the request's owner, opened as the request's caller if need be. Raises `BackendFailed`."""
        opening = Outgoing(self._spec.name, "", {}, "") if self._shared else request
        return await self.pool.of(request.owner, lambda: self._opened(opening))

    async def post(self, session: LegacySession, message: bytes) -> None:
        """Send a notification or a response within the session; what the backend says to it changes nothing."""
        deadline_s = asyncio.get_running_loop().time() + END_S
        try:
            response = await self._link.send("POST", _aside(session), session.headers, message, deadline_s=deadline_s)
        except BackendFailed:
            return
        self._link.release(response)

    async def ask(self, session: LegacySession, method: str, params: Mapping[str, Json], told: Told) -> Answer | Fault:
        """A request of the gateway's own within the session. Raises `BackendFailed`."""
        call = Call(next(self._ids), replace(_aside(session), method=method, params=dict(params)), "legacy", told)
        return await self._final(call, session.headers)

    async def _delete(self, session: LegacySession) -> None:
        if not session.has_id:
            return
        deadline_s = asyncio.get_running_loop().time() + END_S
        try:
            response = await self._link.send("DELETE", _aside(session), session.headers, None, deadline_s=deadline_s)
        except BackendFailed:
            return
        response.close()

    async def _opened(self, request: Outgoing) -> LegacySession:
        try:
            return await self._open(request)
        except Refused as refused:
            refused.stage = "initialize"
            raise

    async def _open(self, request: Outgoing) -> LegacySession:
        params: JsonObject = {
            "protocolVersion": LEGACY_VERSIONS[0],
            "capabilities": {},
            "clientInfo": self._client_info,
        }
        call = Call(next(self._ids), replace(_bare(request), method="initialize", params=params), "legacy", _ignore)
        seen: list[Mapping[str, str]] = []
        answer = await self._final(call, {}, seen.append)
        if isinstance(answer, Fault):
            raise rpc.not_mcp(f"initialize: error {answer.code}: {answer.message}", sent=False)
        version = answer.result.get("protocolVersion")
        if version not in INITIALIZE_VERSIONS or not isinstance(version, str):
            raise rpc.not_mcp(f"initialize: it speaks {str(version)[:32]}, this gateway none older than 2025-03-26", sent=False)
        id = next((headers.get("Mcp-Session-Id") for headers in seen), None)
        if id is not None and (not id.isascii() or not id.isprintable() or " " in id or len(id) > MAX_ID_LENGTH):
            raise rpc.not_mcp("initialize: a session id that is not visible ASCII", sent=False)
        headers = {"MCP-Protocol-Version": version, **({"Mcp-Session-Id": id} if id else {})}
        capabilities = answer.result.get("capabilities")
        session = LegacySession(headers, capabilities if isinstance(capabilities, dict) else {}, id is not None, request)
        await self.post(session, rpc.notification("notifications/initialized"))
        return session

    async def _final(
        self, call: Call, headers: Mapping[str, str], seen: Callable[[Mapping[str, str]], None] | None = None
    ) -> Answer | Fault:
        times = self._spec.timeouts
        deadline_s = asyncio.get_running_loop().time() + times.total_s
        body = rpc.request(call.id, call.request.method, call.request.params)
        response = await self._link.send("POST", call.request, headers, body, deadline_s=deadline_s)
        try:
            if response.status != 200:
                raise await refusal(self._link, response, call, deadline_s)
            if seen is not None:
                seen(response.headers)
            async with aclosing(answers(self._link, response, call, deadline_s, None)) as messages:
                final = await _last(messages)
        except BaseException:
            response.close()
            raise
        self._link.release(response)
        return final


async def _last(messages: AsyncGenerator[BackendMessage, None]) -> Answer | Fault:
    async for message in messages:
        if isinstance(message, Answer | Fault):
            return message
    raise BackendFailed("closed", "no answer", sent=True)


def _aside(session: LegacySession) -> Outgoing:
    """What the gateway sends within a session beside its owner's requests: for the same caller, about no item."""
    return _bare(session.last)


def _bare(request: Outgoing) -> Outgoing:
    return Outgoing(request.backend, "", {}, request.owner, caller=request.caller)


def _ignore(message: JsonObject) -> None:
    """Nothing can have changed before the session stands."""

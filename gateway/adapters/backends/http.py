"""A backend behind Streamable HTTP, of either era: judged once, asked in its own era, and judged again when it contradicts.

A request is sent a second time only when the backend refused the first one unread: an unknown session, the wrong era.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import Literal

from gateway.adapters.backends import era, rpc
from gateway.adapters.backends.call import SEVERITY, Call
from gateway.adapters.backends.circuit import Circuit
from gateway.adapters.backends.era import Judgement
from gateway.adapters.backends.http_answer import Asked, Refused, answers
from gateway.adapters.backends.http_sessions import LegacySession, LegacySessions
from gateway.adapters.backends.http_sources import ListenSource, SessionSource
from gateway.adapters.backends.link import Link
from gateway.adapters.backends.pool import Held
from gateway.adapters.backends.specs import BackendStatus, HttpSpec, Pace
from gateway.adapters.backends.watching import Emit, Source, Watcher
from gateway.adapters.shared import Shared
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed
from gateway.model import Answer, BackendMessage, Fault, Json, JsonObject, Outgoing

log = logging.getLogger("gateway.backends")

SWEEP_S = 15.0
DISCOVER_S = 10.0  # a server that knows the method answers at once
REPLIES_PER_CALL = 8  # to what a server asks during one call, under way at once; it waits in vain for an answer to more
REPLIES_AT_ONCE = 32  # of all calls: each may need a connection, and the front and the audit need descriptors, too


class HttpBackend:
    """One backend; see `ports.Backends` for what `forward` promises."""

    def __init__(self, spec: HttpSpec, *, client_info: JsonObject, emit: Emit, pace: Pace) -> None:
        """Raises `ValueError` when its TLS files cannot be used."""
        self.name = spec.name
        self._spec = spec
        self._tasks = Tasks()
        self._ids = count(1)
        self._client_info = client_info
        self._circuit = Circuit(spec.name, pace, self._tasks, self._probe)
        self._link = Link(spec, self._circuit, self._tasks)
        self.per_subject = spec.credential.per_subject if spec.lists_per_subject is None else spec.lists_per_subject
        self._sessions = LegacySessions(spec, self._link, self._ids, client_info, self._tasks)
        self._watcher = Watcher(spec.name, self._source, emit, pace, self._tasks)
        self._circuit.on_recovery(self._watcher.all_changed)
        self._judging: Shared[Judgement] = Shared(self._tasks, f"era of {spec.name}")
        self._pinned = None if spec.era == "auto" else Judgement(spec.era, {})
        self._judgement: Judgement | None = self._pinned
        self._in_flight = 0
        self._replying = asyncio.Semaphore(REPLIES_AT_ONCE)

    # --- life ---

    async def start(self) -> None:
        self._watcher.start()
        self._tasks.keep(self._sweep, f"idle sessions of {self.name}")

    async def close(self) -> None:
        await self._tasks.close()
        await self._sessions.pool.close()
        await self._tasks.close()
        await self._link.close()

    def status(self) -> BackendStatus:
        return self._circuit.status(self._judgement.era if self._judgement else None)

    async def watch(self, uri: str) -> None:
        await self._watcher.watch(uri)

    async def unwatch(self, uri: str) -> None:
        self._watcher.unwatch(uri)

    # --- requests ---

    async def forward(self, request: Outgoing) -> AsyncGenerator[BackendMessage, None]:
        """The messages of one request, the last an `Answer` or a `Fault`. Raises `BackendFailed`."""
        self._circuit.check()
        if self._in_flight >= self._spec.max_concurrent:
            raise BackendFailed("busy", f"{self._in_flight} requests are in flight", sent=False)
        self._in_flight += 1
        try:
            tries = 2
            while tries:
                tries -= 1
                try:
                    async with aclosing(await self._exchange(request)) as messages:
                        async for message in messages:
                            yield message
                    return
                except Refused as refused:  # before any message
                    if tries and await self._mended(refused):
                        continue
                    if refused.fault is None:
                        raise
                    yield refused.fault
                    return
        except BackendFailed as failed:
            self._circuit.failed(str(failed))
            raise
        finally:
            self._in_flight -= 1

    async def _exchange(self, request: Outgoing) -> AsyncGenerator[BackendMessage, None]:
        """One try in the era that counts now. The backend has not seen it before the first message is asked for."""
        judgement = self._judgement or await self.judged()
        if judgement.era == "modern":
            return self._modern(request)
        return self._legacy(request, await self._sessions.of(request))

    def _modern(self, request: Outgoing) -> AsyncGenerator[BackendMessage, None]:
        call = Call(next(self._ids), request, "modern", self._watcher.told)
        meta = {**request.meta, **rpc.modern_meta(self._client_info)}
        if request.log_level is not None:
            meta[rpc.META + "logLevel"] = request.log_level
        headers = {**self._forwarded(request), "MCP-Protocol-Version": rpc.MODERN, "Mcp-Method": request.method}
        if (name := rpc.name_header(request.method, request.params)) is not None:
            headers["Mcp-Name"] = name
        headers.update(request.param_headers)
        return self._sent(call, headers, meta, None)

    async def _legacy(self, request: Outgoing, held: Held[LegacySession]) -> AsyncGenerator[BackendMessage, None]:
        call = Call(next(self._ids), request, "legacy", self._watcher.told)
        running, session, replies = True, held.value, set[asyncio.Task[None]]()
        with self._sessions.pool.using(held):
            if request.owner == held.owner:
                session.last = request
            try:
                if request.log_level is not None:
                    await self._level(session, request.log_level)
                messages = self._sent(
                    call,
                    {**self._forwarded(request), **session.headers},
                    dict(request.meta),
                    partial(self._asked, session, replies),
                )
                async with aclosing(messages):
                    async for message in messages:
                        running = not isinstance(message, Answer | Fault)
                        yield message
            except Refused as refused:
                running = False
                refused.stage = "session"
                if refused.unknown_session:
                    self._sessions.pool.lost(held)
                raise
            except BackendFailed as failed:
                running = failed.sent
                raise
            finally:
                if running:  # closing the stream does not cancel in this era; and a server may ignore this, too
                    self._tasks.spawn(self._sessions.post(session, rpc.cancelled(call.id)), f"cancel at {self.name}")

    def _forwarded(self, request: Outgoing) -> dict[str, str]:
        """The client's own headers that this backend may see."""
        return {name: value for name, value in request.headers.items() if name in self._spec.forward_headers}

    async def _sent(
        self, call: Call, headers: Mapping[str, str], meta: JsonObject, asked: Asked | None
    ) -> AsyncGenerator[BackendMessage, None]:
        """Send one request and read its answer. Leaving early closes the stream."""
        if call.request.progress:
            meta["progressToken"] = call.id
        params: Mapping[str, Json] = {**call.request.params, "_meta": meta} if meta else call.request.params
        deadline_s = asyncio.get_running_loop().time() + self._spec.timeouts.total_s
        body = rpc.request(call.id, call.request.method, params)
        response = await self._link.send("POST", call.request, headers, body, deadline_s=deadline_s)
        final = False
        try:
            async with aclosing(answers(self._link, response, call, deadline_s, asked)) as messages:
                async for message in messages:
                    if isinstance(message, Answer | Fault):
                        final = True
                        self._circuit.succeeded()
                        self._link.release(response)
                    yield message
        finally:
            if not final:
                response.close()

    def _asked(self, session: LegacySession, replies: set[asyncio.Task[None]], message: JsonObject) -> None:
        if len(replies) < REPLIES_PER_CALL:
            reply = self._tasks.spawn(self._reply(session, rpc.reply_to(message)), f"reply to {self.name}")
            replies.add(reply)
            reply.add_done_callback(replies.discard)

    async def _reply(self, session: LegacySession, message: bytes) -> None:
        async with self._replying:
            await self._sessions.post(session, message)

    async def _level(self, session: LegacySession, level: str) -> None:
        """Have the session's log messages sent from `level` on; each request then takes what it wants."""
        rank = SEVERITY[level]
        if "logging" not in session.capabilities or (session.log_rank is not None and session.log_rank <= rank):
            return
        async with session.levelling:
            if session.log_rank is None or session.log_rank > rank:
                try:
                    await self._sessions.ask(session, "logging/setLevel", {"level": level}, self._watcher.told)
                except BackendFailed as failed:
                    failed.sent = False  # the request itself has not been sent yet
                    raise
                session.log_rank = rank

    # --- era ---

    async def judged(self) -> Judgement:
        """The era, asked for if it is not known. Raises `BackendFailed`."""
        if self._judgement is None:
            self._judgement = await self._judging.run(self._judge)
        return self._judgement

    async def _judge(self) -> Judgement:
        for _ in range(2):
            verdict = await self._discover()
            if isinstance(verdict, Judgement):
                log.info("backend %s is %s", self.name, verdict.era)
                return verdict
        raise rpc.not_mcp("it refuses the protocol version that it asks for", sent=False)

    async def _discover(self) -> Judgement | Literal["again"]:
        try:
            async with asyncio.timeout(DISCOVER_S):
                return await self._verdict()
        except BackendFailed as failed:
            if failed.cause == "late":
                self._circuit.unreached("no answer to server/discover")
            raise
        except TimeoutError:
            self._circuit.unreached("no answer to server/discover")
            raise BackendFailed("late", "no answer to server/discover", sent=False) from None

    async def _verdict(self) -> Judgement | Literal["again"]:
        try:
            async with aclosing(self._modern(Outgoing(self.name, "server/discover", {}, ""))) as messages:
                async for message in messages:
                    if isinstance(message, Answer):
                        return era.judge(message.result)
                    if isinstance(message, Fault):
                        return era.judge(message)
        except Refused as refused:
            return era.judge(refused.fault) if refused.fault is not None else era.judge_status(refused.status)
        except BackendFailed as failed:
            if failed.cause not in ("not_mcp", "server_request"):
                raise
        return era.LEGACY  # it answered, but not as a modern server does

    async def _mended(self, refused: Refused) -> bool:
        """Whether a request that was refused unread may be sent once more, since the refusal's ground is gone."""
        if refused.unknown_session:
            return True
        if self._judgement is None or not refused.doubts_era or self._pinned is not None:
            return False
        before, self._judgement = self._judgement.era, None
        return (await self.judged()).era != before

    async def _probe(self) -> None:
        """Raises `BackendFailed` while the backend cannot be reached."""
        await self._discover()

    # --- what it tells ---

    async def _source(self) -> Source:
        self._circuit.check()
        judgement = await self.judged()
        if judgement.era == "legacy":
            return SessionSource(self._link, self._sessions, await self._sessions.of(Outgoing(self.name, "", {}, "")))
        if judgement is self._pinned:
            asked = await self._discover()
            judgement = asked if isinstance(asked, Judgement) else judgement
        return ListenSource(self._link, self._ids, judgement.capabilities, partial(rpc.modern_meta, self._client_info))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(SWEEP_S, self._spec.idle_s))
            self._sessions.pool.end_idle()

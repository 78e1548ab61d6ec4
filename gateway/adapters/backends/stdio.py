"""A backend that the gateway runs: one process for each owner, or one for all where it is declared stateless.

A process that dies fails what it had under way and is started again when somebody asks; one that keeps dying is left
alone for a while first.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count

from gateway.adapters.backends import era, process, rpc
from gateway.adapters.backends.call import SEVERITY, Call
from gateway.adapters.backends.circuit import Circuit
from gateway.adapters.backends.era import INITIALIZE_VERSIONS, Judgement
from gateway.adapters.backends.pool import Held, OwnerPool, PoolLimits
from gateway.adapters.backends.process import Child
from gateway.adapters.backends.specs import BackendStatus, Pace, StdioSpec
from gateway.adapters.backends.stdio_source import ChildSource
from gateway.adapters.backends.watching import Emit, Source, Watcher
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed
from gateway.model import LEGACY_VERSIONS, Answer, BackendMessage, Era, Fault, Json, JsonObject, Outgoing

log = logging.getLogger("gateway.backends")

SWEEP_S = 15.0
CANCEL_S = 2.0


@dataclass(slots=True, eq=False)
class Running:
    """A process that has said which era it speaks and what it can do."""

    child: Child
    era: Era
    capabilities: JsonObject
    log_rank: int | None = None


class StdioBackend:
    """One backend; see `ports.Backends` for what `forward` promises."""

    def __init__(self, spec: StdioSpec, *, client_info: JsonObject, emit: Emit, pace: Pace) -> None:
        self.name = spec.name
        self.per_subject = False  # a process has one environment
        self._spec = spec
        self._pace = pace
        self._tasks = Tasks()
        self._ids = count(1)
        self._client_info = client_info
        self._circuit = Circuit(spec.name, pace, self._tasks, self._probe)
        self._watcher = Watcher(spec.name, self._source, emit, pace, self._tasks)
        self._circuit.on_recovery(self._watcher.all_changed)
        limits = PoolLimits(f"processes of {spec.name}", spec.max_processes, spec.idle_s, spec.stateless)
        self._pool: OwnerPool[Running] = OwnerPool(limits, self._tasks, end=self._end)
        self._judgement = None if spec.era == "auto" else Judgement(spec.era, {})
        self._children: set[Child] = set()
        self._in_flight = 0
        self._deaths = 0  # of processes in a row that never answered a call
        self._not_before_s = 0.0
        self._closing = False

    # --- life ---

    async def start(self) -> None:
        self._watcher.start()
        self._tasks.keep(self._sweep, f"idle processes of {self.name}")

    async def close(self) -> None:
        self._closing = True
        await asyncio.gather(*(each.stop() for each in tuple(self._children)))  # while their output is still read
        await self._tasks.close()

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
            held = await self._held(request.owner)
            with self._pool.using(held):
                running = held.value
                call = Call(next(self._ids), request, running.era, self._watcher.told)
                if running.era == "legacy" and request.log_level is not None:
                    await self._level(running, request.log_level)
                messages = self._sent(running.child, call, self._meta(running, request))
                async with aclosing(messages):
                    async for message in messages:
                        if isinstance(message, Answer | Fault):
                            self._deaths = 0
                            self._circuit.succeeded()
                        yield message
        except BackendFailed as failed:
            self._circuit.failed(str(failed))
            raise
        finally:
            self._in_flight -= 1

    def _meta(self, running: Running, request: Outgoing) -> JsonObject:
        meta = dict(request.meta)
        if running.era == "modern":
            meta.update(rpc.modern_meta(self._client_info))
            if request.log_level is not None:
                meta[rpc.META + "logLevel"] = request.log_level
        return meta

    async def _sent(
        self, child: Child, call: Call, meta: JsonObject, *, first_s: float | None = None
    ) -> AsyncGenerator[BackendMessage, None]:
        times = self._spec.timeouts
        clock = asyncio.get_running_loop().time
        deadline_s = clock() + times.total_s
        wait_s = first_s or times.first_byte_s
        if call.request.progress:
            meta["progressToken"] = call.id
        params: Mapping[str, Json] = {**call.request.params, "_meta": meta} if meta else call.request.params
        mailbox = child.open(call.id)
        running = True
        try:
            async with asyncio.timeout_at(min(deadline_s, clock() + wait_s)):
                await child.write(rpc.request(call.id, call.request.method, params))
            while True:
                async with asyncio.timeout_at(min(deadline_s, clock() + wait_s)):
                    message, size_bytes = await mailbox.next()
                wait_s = times.idle_s
                read = call.read(message, size_bytes)
                if read is not None:
                    running = not isinstance(read, Answer | Fault)
                    yield read
                if not running:
                    return
        except TimeoutError as error:
            raise BackendFailed("late", "no answer in time", sent=True) from error
        finally:
            child.forget(call.id)
            if running and not child.ended.is_set() and call.request.method not in ("server/discover", "initialize"):
                self._tasks.spawn(self._cancel(child, call.id), f"cancel at {self.name}")

    async def _cancel(self, child: Child, id: int) -> None:
        with suppress(BackendFailed, TimeoutError):
            async with asyncio.timeout(CANCEL_S):
                await child.write(rpc.cancelled(id))

    async def _level(self, running: Running, level: str) -> None:
        """Have the process send its log messages from `level` on; each request then takes what it wants."""
        rank = SEVERITY[level]
        if "logging" in running.capabilities and (running.log_rank is None or running.log_rank > rank):
            running.log_rank = rank
            await self._ask(running.child, "legacy", "logging/setLevel", {"level": level})

    async def _ask(
        self, child: Child, era: Era, method: str, params: JsonObject, *, first_s: float | None = None
    ) -> JsonObject | Fault:
        """A request of the gateway's own. Raises `BackendFailed`."""
        call = Call(next(self._ids), Outgoing(self.name, method, params, ""), era, self._watcher.told)
        meta = rpc.modern_meta(self._client_info) if era == "modern" else {}
        async with aclosing(self._sent(child, call, meta, first_s=first_s)) as messages:
            async for message in messages:
                if isinstance(message, Fault):
                    return message
                if isinstance(message, Answer):
                    return message.result
        raise BackendFailed("closed", "no answer", sent=False)

    # --- processes ---

    async def _held(self, owner: str) -> Held[Running]:
        """The owner's process, which has not ended as far as we know. Raises `BackendFailed`."""
        open = partial(self._start, "" if self._spec.stateless else owner)
        held = await self._pool.of(owner, open)
        if not held.value.child.ended.is_set():
            return held
        self._pool.lost(held)
        return await self._pool.of(owner, open)

    async def _start(self, owner: str) -> Running:
        """A process that answers. Raises `BackendFailed`."""
        if self._closing:
            raise BackendFailed("closed", "the gateway is ending", sent=False)
        wait_s = self._not_before_s - time.monotonic()
        if self._deaths >= self._pace.failures and wait_s > 0:
            raise BackendFailed("unreachable", f"its processes keep ending; the next start is in {wait_s:.1f} s", sent=False)
        told = self._watcher.told if not owner else _ignore
        try:
            child = await process.start(self._spec, self._tasks, told)
        except BackendFailed as failed:
            self._circuit.unreached(failed.detail)
            raise
        self._children.add(child)
        self._tasks.spawn(self._mourn(child), f"end of a process of {self.name}")
        try:
            running = await self._greeted(child)
        except BaseException as error:
            if isinstance(error, BackendFailed):
                self._circuit.unreached(str(error))
            self._tasks.spawn(child.stop(), f"end of a process of {self.name}")
            raise
        self._circuit.reached()
        return running

    async def _mourn(self, child: Child) -> None:
        """When a process ends, by itself or by us, clear away what is left of it."""
        await child.ended.wait()
        if not child.stopping:
            self._died()
            log.warning("backend %s: a process ended by itself", self.name)
        await child.stop()
        self._children.discard(child)

    def _died(self) -> None:
        self._deaths += 1
        wait_s = min(self._pace.first_s * 2**self._deaths, self._pace.most_s)
        self._not_before_s = time.monotonic() + wait_s

    async def _end(self, running: Running) -> None:
        await running.child.stop()

    async def _greeted(self, child: Child) -> Running:
        """The era and the capabilities of a fresh process: `server/discover`, and `initialize` where that says so."""
        judgement = self._judgement
        if judgement is None or judgement.era == "modern":
            found = await self._discovered(child)
            if found.era == "modern":
                self._judgement = found
                return Running(child, "modern", found.capabilities)
            if self._spec.era == "modern":
                return Running(child, "modern", {})
        capabilities = await self._initialized(child)
        self._judgement = self._judgement if self._spec.era != "auto" else era.LEGACY
        return Running(child, "legacy", capabilities)

    async def _discovered(self, child: Child) -> Judgement:
        for _ in range(2):
            try:
                said = await self._ask(child, "modern", "server/discover", {}, first_s=self._spec.timeouts.connect_s)
                verdict = era.judge(said)
            except BackendFailed as failed:
                if failed.cause not in ("late", "not_mcp", "server_request"):
                    raise
                return era.LEGACY  # also for one that is late: some legacy servers never answer what they do not know
            if isinstance(verdict, Judgement):
                return verdict
        raise rpc.not_mcp("it refuses the protocol version that it asks for", sent=False)

    async def _initialized(self, child: Child) -> JsonObject:
        params: JsonObject = {"protocolVersion": LEGACY_VERSIONS[0], "capabilities": {}, "clientInfo": self._client_info}
        times = self._spec.timeouts
        first_s = max(times.connect_s, times.first_byte_s)  # it may still be starting
        result = await self._ask(child, "legacy", "initialize", params, first_s=first_s)
        if isinstance(result, Fault):
            raise rpc.not_mcp(f"initialize: error {result.code}: {result.message}", sent=False)
        version = result.get("protocolVersion")
        if version not in INITIALIZE_VERSIONS:
            raise rpc.not_mcp(f"initialize: it speaks {str(version)[:32]}, this gateway none older than 2025-03-26", sent=False)
        await child.write(rpc.notification("notifications/initialized"))
        capabilities = result.get("capabilities")
        return capabilities if isinstance(capabilities, dict) else {}

    async def _probe(self) -> None:
        await self._held("")

    # --- what it tells ---

    async def _source(self) -> Source:
        self._circuit.check()
        running = (await self._held("")).value
        ask = partial(self._ask, running.child, running.era)
        return ChildSource(running.child, running.era, running.capabilities, ask, self._ids, self._client_info)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(SWEEP_S, self._spec.idle_s))
            self._pool.end_idle()


def _ignore(message: JsonObject) -> None:
    """Lists are fetched by the gateway's own process; what it says of changes counts."""

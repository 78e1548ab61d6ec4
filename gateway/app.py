"""The gateway put together: what it starts, in which order, what it tells whom when something changes, and how it ends."""

import asyncio
import gc
import logging
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version

from gateway.adapters.catalogs import CatalogChange, Ears, LiveCatalogs
from gateway.adapters.concurrency import Concurrency
from gateway.adapters.credentials.assertion import Signer
from gateway.adapters.key_file import KeyChange
from gateway.adapters.limits import MemoryLimiter
from gateway.adapters.metrics import Metrics, Words
from gateway.adapters.opa.findings import on_a_line
from gateway.adapters.opa.rollout_figures import RolloutFigures
from gateway.adapters.opa.shadow import Shadowed
from gateway.adapters.opa.status import PolicyEvent
from gateway.adapters.operations import Check, Operations
from gateway.adapters.sessions import MemorySessions, SessionLimits
from gateway.adapters.tasks import Tasks
from gateway.assembly import backends, credentials, identity, keys, listening, policy, whole, workloads
from gateway.audit_record import Changed, Fetch, Record, Refused, Started, Who
from gateway.catalog.merge import TYPES
from gateway.errors import Refusal, Unrecorded
from gateway.exchange.kept_lists import KeptLists
from gateway.exchange.listen import Listeners
from gateway.exchange.memory import ListMemory, Redactors, Validators
from gateway.exchange.parts import Bounds, Ports
from gateway.exchange.standing import Standings
from gateway.front import metadata, protocol
from gateway.front.endpoint import Door, Endpoint
from gateway.front.protocol import BoundedProtocol, Ending
from gateway.front.routing import routes
from gateway.model import Caller, Change, JsonObject
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings
from gateway.wire.methods import METHODS

log = logging.getLogger("gateway")

SWEEP_S = 10.0


class Gateway:
    """Everything that runs in one process, from `start` to `close`."""

    def __init__(self, settings: Settings, public_url: str) -> None:
        """`public_url`: by which clients reach it; every surface's URI begins with it."""
        self._settings = settings
        self.certificates = listening.certificates(settings)
        rooms = [listening.room(settings, name, public_url) for name in settings.surfaces]
        self._tasks = Tasks()
        self._listeners = Listeners(self._unwatch)
        self._metrics = Metrics(Words(methods=[each.name for each in METHODS], backends=tuple(settings.backends)))
        self._audit = whole.audit_log(settings)
        self._tokens = identity.access_tokens(settings.identity.issuers)
        self._keys = keys.WorkloadKeys(settings, self._keys_told)
        self._metrics.register(self._tokens.figures())
        self._strangers = workloads.strangers(settings, self._metrics.failed_login)
        self._authenticator = identity.authenticator(
            settings, self._tokens, self._keys.method, rooms, public_url, self._strangers
        )
        self._decider = policy.decider(settings, self._policy_told)
        self._feeds = policy.feeds(settings)
        self._shadow = policy.shadow(settings, self._audit, self._shadow_told)
        if self._shadow is not None:
            self._metrics.register(self._shadow)
        self._metrics.register(RolloutFigures(self._decider.status, {name: each.status for name, each in self._feeds.items()}))
        info = backends.client_info(settings)
        self._signing = credentials.signing_keys(settings)
        self._backends = backends.backends(settings, self._backend_told, signer=Signer(self._signing, public_url))
        self._catalogs = LiveCatalogs(
            self._backends,
            tuple(settings.backends),
            backends.surface_specs(settings),
            backends.freshness(settings),
            Ears(self._catalog_told, self._asking_as),
        )
        limits = settings.limits
        self._sessions = MemorySessions(SessionLimits(limits.sessions_per_caller, limits.sessions_in_all, limits.session_idle_s))
        self._concurrency = Concurrency({"exchanges": limits.exchanges_per_caller, "streams": limits.streams_per_caller})
        self._standings = Standings(self._authenticator.still_good, lambda: self._decider.revision)
        door = Door(
            ports=self._ports(info),
            authenticator=self._authenticator,
            sessions=self._sessions,
            concurrency=self._concurrency,
            listeners=self._listeners,
            body_limits=listening.body_limits(settings),
            hosts=listening.hosts(settings),
            origins=frozenset(settings.listen.allowed_origins),
            end_user_header=settings.identity.end_user_header,
            body_timeout_s=limits.body_timeout_s,
            keep_alive_s=limits.keep_alive_s,
            forwarded=backends.forwarded(settings),
        )
        endpoints = {room.surface: Endpoint(door, room) for room in rooms}
        documents = {
            **metadata.documents(listening.resources(settings, public_url)),
            **credentials.documents(settings, self._signing),
        }
        self.front = routes(endpoints, documents, self._unheard, listening.threshold(settings))
        self.operations = Operations(metrics=self._metrics.exposition, checks=self.checks)

    def _ports(self, info: JsonObject) -> Ports:
        """What the pipeline gets. `info`: what the gateway says of itself."""
        limits = self._settings.limits
        return Ports(
            decider=Shadowed(self._decider, self._shadow) if self._shadow is not None else self._decider,
            backends=self._backends,
            catalogs=self._catalogs,
            limiter=MemoryLimiter(),
            audit=self._audit,
            meter=self._metrics,
            memory=ListMemory(),
            list_turns=asyncio.Semaphore(self._settings.opa.lists_at_once),
            kept_lists=KeptLists(),
            redactors=Redactors(secrets.token_bytes(32)),
            validators=Validators(),
            standings=self._standings,
            server_info=info,
            cursor_key=secrets.token_bytes(32),
            bounds=Bounds(limits.list_page_items, limits.subscriptions_per_stream, limits.held_notices, limits.call_grace_s),
            questions=whole.questions(self._settings),
        )

    async def start(self) -> None:
        """Raises `SettingsError`, `AuditBusy` or `Unrecorded`.

        Audit first: what happens from here on is recorded. Backends and policy may still be down; the gateway heals.
        """
        started = Started(version("mcp-gateway"), whole.digest(self._settings), self._settings.audit.durability, os.getpid())
        try:
            await self._audit.start(started.record())
        except OSError as error:
            folder = self._settings.audit.folder
            raise SettingsError(f"audit.folder: {folder}: cannot be written ({error.strerror or error})") from error
        self._tokens.start()
        self._keys.start()
        await asyncio.gather(*(feed.start() for feed in self._feeds.values()))
        await asyncio.gather(self._decider.start(), self._backends.start())
        await self._catalogs.start()
        await self._catalogs.started(self._settings.catalog.start_wait_s)
        self._tasks.keep(self._upkeep, "upkeep")
        if self._shadow is not None:
            self._shadow.start()
        if self.certificates is not None:
            self._tasks.keep(self.certificates.watch, "watch of the TLS files")
        self._tasks.keep(self._standings.watch, "what is open")
        gc.collect()
        gc.freeze()  # what the start made stays for good: no collection need look at it again
        self._metrics.state.watch(
            {
                "sessions": partial(len, self._sessions),
                "streams": partial(len, self._listeners),
                "limited_sources": self._strangers.failed_logins.limited,
                "audit_ok": lambda: float(self._audit.state().ok),
            }
        )

    def end_streams(self) -> None:
        """Let open streams end in order, so that the listener can close."""
        self._listeners.end_all()

    async def close(self) -> None:
        """Ends everything, also where one fails to end, whose error is then raised; the audit last."""
        ends = [self._tasks.close, self._catalogs.close, self._backends.close, self._signing.close, self._decider.close]
        ends += [feed.close for feed in self._feeds.values()]
        if self._shadow is not None:
            ends.append(self._shadow.close)
        async with AsyncExitStack() as ending:
            for end in reversed([*ends, self._tokens.close, self._keys.close, self._audit.close]):
                ending.push_async_callback(end)

    def checks(self) -> Sequence[Check]:
        """Ready: a call could be decided, recorded and answered right now. A backend that is down is told, not a reason."""
        policy = self._decider.status()
        audit = self._audit.state()
        problem = policy.problem or f"revision {policy.revision}"
        checks = [Check("policy", policy.ready, problem), Check("audit", audit.ok, audit.detail)]
        if policy.pinned is not None:
            checks.append(Check("policy-pin", True, f"revision {policy.pinned} was gone back to: newer sets wait", note=True))
        if policy.facts_pinned is not None:
            gone = f"facts of revision {policy.facts_pinned} were gone back to: newer facts, blocks among them, wait"
            checks.append(Check("policy-facts-pin", True, gone, note=True))
        if policy.fallback:
            last = f"{' and '.join(policy.fallback)} accepted before decide, since the newest is refused"
            checks.append(Check("policy-fallback", True, last, note=True))
        if policy.rejection is not None:
            findings = on_a_line(policy.rejection.findings)
            checks.append(Check("policy-edit", True, f"the newest edit is not in force: {findings}", note=True))
        for name, feed in self._feeds.items():
            if problem := feed.status().problem:
                checks.append(Check(name, True, f"the newest bundle that it served stays: {problem}", note=True))
        if self._shadow is not None:
            checks.append(self._shadow.check())
        for status in self._backends.status():
            detail = f"{status.state}, era {status.era or 'unknown'}" + (f": {status.last_error}" if status.last_error else "")
            checks.append(Check(f"backend {status.name}", True, detail))
        if self.certificates is not None and self.certificates.failure is not None:
            checks.append(Check("tls", True, f"the newest files are not in force: {self.certificates.failure}", note=True))
        for issuer, failure in self._tokens.failures().items():
            checks.append(Check(f"issuer {issuer}", True, failure, note=True))
        if self._keys.file is not None and self._keys.file.failure is not None:
            checks.append(
                Check("keys", True, f"the key file is not in force, an earlier one is: {self._keys.file.failure}", note=True)
            )
        for name, crash in self._tasks.crashed().items():
            checks.append(Check(f"task {name}", True, f"begun again after {crash}", note=True))
        return checks

    # --- what is told when something changes ---

    def connections(self) -> type[BoundedProtocol]:
        """Of the front's connections: what ends before it is a request is counted and recorded like any other refusal."""
        gateway = self

        class Told(BoundedProtocol):
            bounds = protocol.Bounds(max_head_bytes=2 * gateway._settings.limits.max_headers_bytes)

            def told(self, ending: Ending, source_ip: str) -> None:
                gateway._unheard(Refusal(ending.kind, ""), source_ip)

        return Told

    def _unheard(self, refusal: Refusal, source_ip: str) -> None:
        """A request that no surface heard."""
        self._metrics.rejected(kind=refusal.kind.value)
        self._record(Refused(refusal.kind.value, refusal.cause, refusal.status("modern"), source_ip))

    def _policy_told(self, event: PolicyEvent) -> None:
        state = self._metrics.state
        if event.kind == "restarted":
            state.opa_restarted()
            return
        findings = [str(each) for each in event.findings]
        detail: JsonObject = {"findings": [*findings]} if findings else {"took_ms": round(event.took_s * 1e3, 1)}
        told = {"signed_by": event.signed_by, "facts": event.facts, "facts_signed_by": event.facts_signed_by}
        detail |= {name: value for name, value in told.items() if value is not None}
        if event.kind == "renewed":
            detail = {"signed_anew": True, **detail}
        if event.fallback:
            detail["fallback"] = [*event.fallback]
        accepted = event.kind != "rejected"
        if not accepted:
            state.policy_rejected()
        elif event.revision is not None and event.kind == "enforced":
            state.policy(revision=event.revision, since_s=time.time(), now=time.time)
        if event.revision != event.previous or not accepted:  # the same, signed anew or typed otherwise, says the same
            self._standings.policy_changed()
            if accepted:
                self._listeners.policy_changed()
        self._record(Changed("policy", accepted, before=event.previous, after=event.revision, detail=detail))

    def _shadow_told(self, event: PolicyEvent) -> None:
        findings: JsonObject = {"findings": [str(each) for each in event.findings]}
        if event.kind != "restarted":
            accepted = event.kind == "enforced"
            detail = {} if accepted else findings
            self._record(Changed("shadow", accepted, before=event.previous, after=event.revision, detail=detail))

    def _keys_told(self, change: KeyChange) -> None:
        ids: JsonObject = {} if change.problem is None else {"findings": [change.problem]}
        if change.difference is not None:
            ids |= {name: [*named] for name, named in change.difference.members().items()}
        self._record(Changed("keys", change.problem is None, before=change.before, after=change.after, detail=ids))

    def _backend_told(self, change: Change) -> None:
        if change.kind == "updated":
            self._listeners.resource_updated(change)
        else:
            self._catalogs.refresh(change)

    def _catalog_told(self, change: CatalogChange) -> None:
        for backend, type, count in change.counts:
            self._metrics.state.catalog(backend=backend, type=type, items=count)
        self._listeners.catalog_changed(change.surfaces, change.kinds, change.owner)
        if change.detail:
            self._record(Changed("catalog", True, before=change.before or None, after=change.after, detail=change.detail))

    async def _asking_as(self, backend: str, caller: Caller) -> None:
        """A backend is about to be asked for its lists as this caller. Raises `Unrecorded`."""
        await self._audit.write(Fetch(Who(caller), backend, TYPES).record())

    def _unwatch(self, backend: str, uri: str) -> None:
        self._tasks.spawn(self._backends.unwatch(backend, uri), "end of a subscription")

    def _record(self, record: Record) -> None:
        self._tasks.spawn(self._written(record), "audit of a change")

    async def _written(self, record: Record) -> None:
        try:
            await self._audit.write(record.record())
        except Unrecorded:
            log.error("a change could not be recorded: %s", record)

    async def _upkeep(self) -> None:
        while True:
            for status in self._backends.status():
                self._metrics.state.backend_up(backend=status.name, up=status.state == "up")
            self._sessions.sweep()
            await asyncio.sleep(SWEEP_S)

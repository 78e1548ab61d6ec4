"""One surface's endpoint: from bytes to an exchange and back, rung by rung, and nothing past a failed rung.

Host and Origin → token → HTTP method → Accept → size → JSON → envelope → era → session → limits → the exchange.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gateway.audit_record import Refused, Who
from gateway.errors import Kind, Refusal, Unrecorded
from gateway.exchange import local, pipeline, recording
from gateway.exchange.draft import Draft
from gateway.exchange.listen import KINDS, Listener, Listeners, changes
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.reviewing import admitted
from gateway.front import cors
from gateway.front.reading import ClientGone, Receive, body
from gateway.front.responding import Answering, Send, write
from gateway.front.watching import Running, RunningKey, Watch
from gateway.identity.outbound import passing
from gateway.identity.surfaces import check_surface
from gateway.model import MODERN_VERSIONS, Caller, Era, Message, Notice, Presented, Reply, RequestId
from gateway.ports import Authenticator, Concurrency, Session, Sessions
from gateway.wire import head as heads
from gateway.wire import jsonrpc
from gateway.wire.era import check_session_version, route
from gateway.wire.head import Head
from gateway.wire.limits import BodyLimits
from gateway.wire.methods import Method, find

log = logging.getLogger("gateway.front")

SESSION_HEADER = "mcp-session-id"
NO_RESUMING = "streams are not resumed here: open a new one without Last-Event-ID, and ask again for what was under way"
HEARD = Method("subscriptions/listen", ("legacy",), "listen")  # a session's GET stream
ENDED = Method("DELETE", ("legacy",), "local")


@dataclass(frozen=True, slots=True)
class Door:
    """What every surface's endpoint shares."""

    ports: Ports
    authenticator: Authenticator
    sessions: Sessions
    concurrency: Concurrency
    listeners: Listeners
    body_limits: BodyLimits
    hosts: frozenset[str]
    origins: frozenset[str]
    end_user_header: str
    body_timeout_s: float
    keep_alive_s: float
    forwarded: frozenset[str] = frozenset()  # names of clients' headers that some backend may see


@dataclass(frozen=True, slots=True)
class Room:
    """What is one surface's own."""

    surface: str
    groups: frozenset[str] = frozenset()  # only their members come in; empty: everybody
    resource_metadata: str | None = None  # URL of its document (RFC 9728); None: no authorization server speaks for it


@dataclass(slots=True)
class Heard:
    """As much of a request as is known so far: what a refusal's record and answer can say."""

    surface: str
    source_ip: str
    era: Era = "modern"
    request_id: RequestId | None = None
    caller: Caller | None = None
    message: Message | None = None
    bytes_in: int = 0


class Endpoint:
    """The ASGI application of one surface."""

    def __init__(self, door: Door, room: Room) -> None:
        self._door = door
        self._room = room
        self._surface = room.surface
        self._running: dict[RunningKey, Running] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        client = scope.get("client")
        heard = Heard(self._surface, client[0] if client else "")
        try:
            await self._request(scope, receive, send, heard)
        except ClientGone:
            return
        except Refusal as refusal:
            await self._refuse(refusal, send, heard)

    async def _request(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, heard: Heard) -> None:
        door = self._door
        head = heads.head(scope, door.body_limits)
        heads.check_host(head, door.hosts)
        heads.check_origin(head, door.origins)
        if cors.asks_first(head):
            await write(send, 204, b"", cors.preflight(head, door.end_user_header))
            return
        heard.era = "modern" if ("mcp-protocol-version", MODERN_VERSIONS[0]) in head.headers else "legacy"  # until it is judged
        presented = Presented(head.headers, head.method, heard.source_ip, client_certificate(scope))
        caller = heard.caller = await door.authenticator.authenticate(presented, surface=self._surface)
        check_surface(caller, self._surface, groups=self._room.groups)
        if head.method == "POST":
            await self._posted(head, receive, send, heard, caller)
        elif head.method in {"GET", "DELETE"} and head.one(SESSION_HEADER) and heard.era == "legacy":
            session = door.sessions.find(head.one(SESSION_HEADER) or "", owner=caller.key, surface=self._surface)
            check_session_version(head.one("mcp-protocol-version"), session.version)
            if head.method == "GET":
                heads.check_accept(head)
                if head.one("last-event-id") is not None:
                    raise Refusal(Kind.INVALID_REQUEST, NO_RESUMING, cause="resuming")
                await self._streamed(session, receive, send, caller)
            else:
                await self._recorded(self._about_session(session, caller, ENDED))
                door.sessions.end(session.id)
                await write(send, 200, b"", {})
        else:
            raise Refusal(
                Kind.METHOD_NOT_ALLOWED,
                "send JSON-RPC messages with POST (GET and DELETE belong to a legacy session and name it in Mcp-Session-Id)",
                headers={"allow": "POST"},
            )

    async def _posted(self, head: Head, receive: Receive, send: Send, heard: Heard, caller: Caller) -> None:
        door = self._door
        heads.check_accept(head)
        heads.check_content_type(head)
        whole = await body(head, receive, max_bytes=door.body_limits.max_body_bytes, timeout_s=door.body_timeout_s)
        heard.bytes_in = len(whole)
        try:
            envelope = jsonrpc.parse(whole, door.body_limits)
            message = replace(route(head, envelope), body_bytes=len(whole))
        except jsonrpc.Rejected as rejected:
            heard.request_id = rejected.id
            heard.era = rejected.era or heard.era
            raise rejected.refusal from rejected
        heard.era, heard.request_id, heard.message = message.era, message.id, message
        session = self._session(head, message, caller)
        if session is not None:
            message = heard.message = replace(message, version=session.version)
        if message.id is None:
            await self._notified(message, session, send)
            return
        method = find(message.method, message.era)
        assert method is not None, "the ladder lets no unknown method through"
        x = Exchange(
            id=secrets.token_hex(16),
            message=message,
            method=method,
            caller=caller,
            view=door.ports.catalogs.view(self._surface, caller),
            trace_id=trace_id(message),
            started_ns=door.ports.now_ns(),
            session=session,
            resource_metadata=self._room.resource_metadata,
            headers=passing(head.headers, door.forwarded),
        )
        if method.name == "server/discover":
            # Never busy: clients take any error to their first question for a server of the legacy era, and stay with that.
            await self._exchanged(x, receive, send)
            return
        with door.concurrency.slot("streams" if method.kind == "listen" else "exchanges", caller.key):
            await self._exchanged(x, receive, send)

    def _session(self, head: Head, message: Message, caller: Caller) -> Session | None:
        if message.era == "modern" or message.method == "initialize":
            return None
        session = self._door.sessions.find(message.session_id or "", owner=caller.key, surface=self._surface)
        check_session_version(head.one("mcp-protocol-version"), session.version)
        return session

    async def _notified(self, message: Message, session: Session | None, send: Send) -> None:
        """A notification is accepted and, but for two legacy ones, dropped: nobody's work ends by another's word."""
        if session is not None and message.method == "notifications/initialized":
            session.initialized = True
        if session is not None and message.method == "notifications/cancelled":
            request_id = message.params.get("requestId")
            if isinstance(request_id, int | str) and not isinstance(request_id, bool):
                running = self._running.get((session.id, type(request_id).__name__, request_id))
                if running is not None:
                    running.cancel()
        await write(send, 202, b"", {})

    async def _exchanged(self, x: Exchange, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None and x.message.id is not None
        running = Running(task)
        key = (x.session.id if x.session else x.id, type(x.message.id).__name__, x.message.id)
        if key in self._running:
            raise Refusal(Kind.INVALID_REQUEST, f"a request with the id {x.message.id!r} is still running in this session")
        self._running[key] = running
        answering = Answering(send, era=x.message.era, request_id=x.message.id, keep_alive_s=self._door.keep_alive_s)
        # In the modern era a client that goes away cancels its request; in the legacy one it does not.
        watch = Watch(running, receive) if x.message.era == "modern" else None
        headers: dict[str, str] = {}
        try:
            async with aclosing(self._events(x, headers)) as events:
                await answering.answer(events, headers)
        except asyncio.CancelledError:
            if not running.cancelled:
                raise  # the gateway stops
            task.uncancel()
            await answering.end()
        finally:
            self._running.pop(key, None)
            if watch is not None:
                watch.stop()

    async def _streamed(self, session: Session, receive: Receive, send: Send, caller: Caller) -> None:
        """A legacy session's GET stream: list changes and updates, until the session or the connection ends."""
        door = self._door
        x = self._about_session(session, caller, HEARD)
        task = asyncio.current_task()
        assert task is not None
        running = Running(task)
        answering = Answering(send, era="legacy", request_id=None, keep_alive_s=door.keep_alive_s)
        with door.concurrency.slot("streams", caller.key), door.sessions.in_use(session.id):
            draft = Draft()
            await admitted(door.ports, x, draft)
            await self._recorded(x, draft=draft)
            await answering.begin()
            watch = Watch(running, receive)
            try:
                async with aclosing(changes(door.ports, door.listeners, Listener(x, frozenset(KINDS)))) as notices:
                    await answering.answer(notices)
                await answering.end()
            except asyncio.CancelledError:
                if not running.cancelled:
                    raise
                task.uncancel()
            finally:
                watch.stop()

    def _about_session(self, session: Session, caller: Caller, method: Method) -> Exchange:
        """What is asked of a legacy session by an HTTP method, without a message."""
        verb = "DELETE" if method is ENDED else "GET"
        return Exchange(
            id=secrets.token_hex(16),
            message=Message(era="legacy", version=session.version, method=verb, params={}, session_id=session.id),
            method=method,
            caller=caller,
            view=self._door.ports.catalogs.view(self._surface, caller),
            trace_id=None,
            started_ns=self._door.ports.now_ns(),
            session=session,
        )

    def _events(self, x: Exchange, headers: dict[str, str]) -> AsyncGenerator[Notice | Reply, None]:
        """The exchange's events: the pipeline's, or the gateway's own answer."""
        if x.method.kind == "local":
            return self._own(x, headers)
        return pipeline.run(self._door.ports, self._door.listeners, x)

    async def _own(self, x: Exchange, headers: dict[str, str]) -> AsyncGenerator[Reply, None]:
        """The gateway's own answer, or its refusal, once it stands in the log. A session nobody is told of is not kept."""
        try:
            reply = self._answered(x, headers)
        except Refusal as refusal:
            await self._recorded(x, refusal)
            raise
        try:
            await self._recorded(x)
        except Refusal:
            self._door.sessions.end(headers.pop(SESSION_HEADER, ""))
            raise
        yield reply

    def _answered(self, x: Exchange, headers: dict[str, str]) -> Reply:
        door = self._door
        match x.method.name:
            case "server/discover":
                return Reply(local.discovered(door.ports, x))
            case "initialize":
                session = local.opened(x)
                door.sessions.open(session)
                door.listeners.session_began(session.id)
                door.sessions.at_end(session.id, partial(door.listeners.session_ended, session.id))
                headers[SESSION_HEADER] = session.id
                return Reply(local.initialized(door.ports, x, session))
            case "logging/setLevel":
                return Reply(local.level_set(x))
            case _:
                return Reply({})

    async def _recorded(self, x: Exchange, refusal: Refusal | None = None, *, draft: Draft | None = None) -> None:
        try:
            if refusal is None:
                await recording.answered(self._door.ports, x, draft or Draft())
            else:
                await recording.refusal(self._door.ports, x, draft or Draft(), refusal)
        except Unrecorded as error:
            raise Refusal(Kind.UNRECORDED, "The audit log cannot be written, so nothing was done.") from error

    async def _refuse(self, refusal: Refusal, send: Send, heard: Heard) -> None:
        """A refusal before the exchange began: counted, recorded, answered."""
        door = self._door
        door.ports.meter.rejected(kind=refusal.kind.value)
        who = Who(heard.caller, heard.message.client) if heard.caller and heard.message else None
        record = Refused(
            kind=refusal.kind.value,
            cause=refusal.cause,
            status=refusal.status(heard.era),
            source_ip=heard.source_ip,
            surface=heard.surface,
            who=who or (Who(heard.caller) if heard.caller else None),
            method=heard.message.method if heard.message else None,
            code=refusal.code(heard.era),
            bytes_in=heard.bytes_in,
        )
        try:
            await door.ports.audit.write(record.record())
        except Unrecorded:
            log.error("a refusal could not be recorded: %s", refusal.cause)
        answering = Answering(send, era=heard.era, request_id=heard.request_id, keep_alive_s=door.keep_alive_s)
        await answering.refuse(refusal)


def client_certificate(scope: MutableMapping[str, Any]) -> bytes | None:
    """The client's certificate (DER), which the listener has verified and put into the scope."""
    found = scope.get("extensions", {}).get("tls", {}).get("client_certificate")
    return found if isinstance(found, bytes) else None


def trace_id(message: Message) -> str | None:
    """The trace id of a W3C `traceparent`, if the client sent a well-formed one."""
    parent = message.meta.get("traceparent")
    parts = parent.split("-") if isinstance(parent, str) else []
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 and parts[1].isalnum() else None

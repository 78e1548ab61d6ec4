"""Streams of changes: `subscriptions/listen` of modern clients, the GET stream of legacy sessions.

A listener is told that a list changed only when what *it* may see of it changed, and of a resource only while it may see it.
It is authorised again whenever the policy changes, and every end of it is recorded with its cause.
What is pending is a set, not a queue: a thousand changes while a client is slow are one message, and nothing grows.
"""

import asyncio
import hashlib
import random
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from gateway.catalog.merge import same_objects
from gateway.errors import BackendFailed, Kind, Refusal, Undecided, Unrecorded
from gateway.exchange import recording
from gateway.exchange.asking import ask_list, question
from gateway.exchange.draft import Draft
from gateway.exchange.listing import shown_as
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.places import Places
from gateway.exchange.reviewing import as_known_now, as_of_now, blocked, unseen
from gateway.exchange.standing import Ending, Standing
from gateway.exchange.target import linked
from gateway.model import Change, Item, ItemType, Json, JsonObject, Notice, Reply

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
KINDS: dict[str, tuple[ItemType, ...]] = {
    "tools": ("tool",),
    "prompts": ("prompt",),
    "resources": ("resource", "resource_template"),
}
FILTERS = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
SPREAD_S_PER_LISTENER = 0.002  # a policy change asks for every listener's view anew: not all in one moment
MAX_SPREAD_S = 2.0
MAX_UPDATED = 256  # URIs below subscribed ones that wait for one slow client; then the subscribed ones stand for them


StreamEnd = Ending | Literal["client", "replaced", "session", "shutdown"]
"""Why a stream ended: besides what ends anything open, its client went away · a newer stream of its session took over · its
session ended · the gateway stops."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was shown of one kind of list, and all that it follows from: the same again needs no question."""

    revision: str
    items: tuple[tuple[Item, ...], ...]
    digest: str


@dataclass(eq=False, slots=True)
class Listener:
    """One open stream: what it wants, what is pending for it, and what it saw last."""

    x: Exchange
    kinds: frozenset[str]
    resources: dict[tuple[str, str], str] = field(default_factory=dict)  # (backend, its URI) -> public URI
    pending: set[str] = field(default_factory=set)  # kinds
    updated: set[str] = field(default_factory=set)  # public URIs
    seen: dict[str, str | None] = field(default_factory=dict)  # kind -> digest of what was shown
    looked: dict[str, Looked] = field(default_factory=dict)  # by kind
    spread_s: float = 0.0
    revision: str | None = None  # of the policy that let it open; None: it is asked as soon as it stands
    told: int = 0
    watched: set[tuple[str, str]] = field(default_factory=set)  # asked of backends for this stream alone
    ended: StreamEnd | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, kinds: Iterable[str] = (), updated: Iterable[str] = (), spread_s: float = 0.0) -> None:
        self.pending.update(self.kinds.intersection(kinds))
        self.updated.update(updated)
        self.spread_s = spread_s
        self.woken.set()

    def end(self, cause: StreamEnd) -> None:
        self.ended = self.ended or cause
        self.over.set()
        self.woken.set()


class Listeners:
    """All open streams, and the legacy sessions' subscriptions."""

    def __init__(self, release: Callable[[str, str], None]) -> None:
        self._release = release  # tells a backend that a URI is watched by one less
        self._open: set[Listener] = set()
        self._places: Places[Listener] = Places()  # of all that are open
        self._streams: dict[str, Listener] = {}  # session id -> its GET stream
        self._subscribed: dict[str, dict[str, tuple[str, str]]] = {}  # live session's id -> public URI -> (backend, its URI)

    def session_began(self, session_id: str) -> None:
        """Only sessions that began and have not ended hold anything here: what is decided after its end comes too late."""
        self._subscribed[session_id] = {}

    def open(self, listener: Listener) -> None:
        self._open.add(listener)
        session = listener.x.session
        if session is not None and session.id not in self._subscribed:
            listener.end("session")
        elif session is not None:
            before = self._streams.get(session.id)
            if before is not None:
                before.end("replaced")  # one stream per session: the newer one is the one that the client reads
            self._streams[session.id] = listener
            listener.resources.update({place: uri for uri, place in self._subscribed[session.id].items()})
        for place in listener.resources:
            self._places.add(place, listener)

    def close(self, listener: Listener) -> None:
        self._open.discard(listener)
        for place in listener.resources:
            self._places.discard(place, listener)
        session = listener.x.session
        if session is not None and self._streams.get(session.id) is listener:
            del self._streams[session.id]

    def subscribe(self, session_id: str, public_uri: str, place: tuple[str, str]) -> bool:
        """False: it was subscribed already. Raises `Refusal` where the session has ended."""
        subscribed = self._subscribed.get(session_id)
        if subscribed is None:
            raise Refusal(Kind.UNKNOWN_SESSION, "This session has ended: send initialize to begin a new one.")
        if public_uri in subscribed:
            return False
        subscribed[public_uri] = place
        if session_id in self._streams:
            self._streams[session_id].resources[place] = public_uri
            self._places.add(place, self._streams[session_id])
        return True

    def unsubscribe(self, session_id: str, public_uri: str) -> tuple[str, str] | None:
        place = self._subscribed.get(session_id, {}).pop(public_uri, None)
        if place is not None and session_id in self._streams:
            self._streams[session_id].resources.pop(place, None)
            self._places.discard(place, self._streams[session_id])
        return place

    def drop(self, listener: Listener, public_uri: str) -> None:
        """Tell this stream, or the whole session that it belongs to, no more of `public_uri`."""
        session = listener.x.session
        if session is not None:
            place = self.unsubscribe(session.id, public_uri)
            if place is not None:
                self._release(*place)
            return
        for place in [place for place, uri in listener.resources.items() if uri == public_uri]:
            del listener.resources[place]
            self._places.discard(place, listener)
            if place in listener.watched:
                listener.watched.discard(place)
                self._release(*place)

    def subscriptions(self, session_id: str) -> int:
        return len(self._subscribed.get(session_id, {}))

    def session_ended(self, session_id: str) -> None:
        """Ends its stream, and what it had subscribed to."""
        if session_id in self._streams:
            self._streams[session_id].end("session")
        for backend, uri in self._subscribed.pop(session_id, {}).values():
            self._release(backend, uri)

    def catalog_changed(self, surfaces: Iterable[str], kinds: Iterable[str], owner: str | None = None) -> None:
        """`owner`: whose own lists changed (`Caller.key`); None: everybody's."""
        named, which = frozenset(surfaces), tuple(kinds)
        for listener in self._open:
            if listener.x.view.surface in named and owner in {None, listener.x.caller.key}:
                listener.wake(which)

    def resource_updated(self, change: Change) -> None:
        """A backend tells of a URI: whoever watches it, or one above it, is told."""
        if change.uri is None:
            return
        for listener, uri in self._places.concerned(change.backend, change.uri).items():
            told = change.uri if len(listener.updated) < MAX_UPDATED else uri
            listener.wake(updated=(listener.x.view.publish_uri(change.backend, told),))

    def policy_changed(self) -> None:
        spread_s = min(MAX_SPREAD_S, SPREAD_S_PER_LISTENER * len(self._open))
        for listener in self._open:
            listener.wake(KINDS, spread_s=spread_s)

    def end_all(self) -> None:
        for listener in tuple(self._open):
            listener.end("shutdown")

    def __len__(self) -> int:
        return len(self._open)


async def listened(ports: Ports, listeners: Listeners, x: Exchange, listener: Listener) -> AsyncGenerator[Notice | Reply, None]:
    """`subscriptions/listen`: the acknowledgement, then changes, then (when the gateway ends it) the result."""
    assert x.message.id is not None
    meta: JsonObject = {SUBSCRIPTION_ID: x.message.id}
    try:
        async with aclosing(changes(ports, listeners, listener)) as notices:
            async for notice in notices:
                yield Notice(notice.method, {**notice.params, "_meta": meta})
    finally:
        for place in tuple(listener.watched):
            listener.watched.discard(place)
            await ports.backends.unwatch(*place)
    server = {"io.modelcontextprotocol/serverInfo": dict(ports.server_info)}
    yield Reply({"resultType": "complete", "_meta": {**meta, **server}})


async def changes(ports: Ports, listeners: Listeners, listener: Listener) -> AsyncGenerator[Notice, None]:
    """The changes that concern `listener` (in the modern era after an acknowledgement), until it ends; that is recorded."""
    x = listener.x
    standing = Standing(x.caller, x.view.surface, listener.revision, partial(_review, ports, listeners, listener), listener.end)
    listeners.open(listener)
    ports.standings.open(standing)
    try:
        if x.session is None:  # a session's own were asked for one by one
            await _watch(ports, listener)
            if listener.ended is None:
                yield Notice("notifications/subscriptions/acknowledged", {"notifications": _acknowledged(listener)})
        for kind in listener.kinds:
            listener.seen[kind] = await _digest(ports, listener, kind)
        if listener.revision not in {None, ports.decider.revision}:
            listener.wake(listener.kinds)
        for kind in listener.pending:
            listener.seen[kind] = None  # it changed while it was first looked at: what the client has listed may be older
        while await _woken(listener) is None:
            async with aclosing(_news(ports, listener)) as news:
                async for notice in news:
                    if listener.ended is not None:
                        break  # while this was decided, or while the client was slow to take the one before
                    listener.told += 1
                    yield notice
    finally:
        listeners.close(listener)
        ports.standings.close(standing)
        defect = isinstance(sys.exception(), Exception)
        await asyncio.shield(_recorded(ports, listener, listener.ended or ("internal" if defect else "client")))


async def _news(ports: Ports, listener: Listener) -> AsyncGenerator[Notice, None]:
    """What is pending, of it what changed for the subject and what it may see."""
    if listener.spread_s:
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, listener.spread_s)):  # noqa: S311 — spreads load, guards nothing
                await listener.over.wait()
                return
        listener.spread_s = 0.0
    kinds, updated = sorted(listener.pending), sorted(listener.updated)
    listener.pending.clear()
    listener.updated.clear()
    for kind in kinds:
        now = await _digest(ports, listener, kind)
        if now is not None and now != listener.seen.get(kind):
            listener.seen[kind] = now
            yield Notice(f"notifications/{kind}/list_changed", {})
    for uri in await _visible(ports, listener, updated):
        yield Notice("notifications/resources/updated", {"uri": uri})


async def _woken(listener: Listener) -> StreamEnd | None:
    """Wait for something to do; why the stream should end, if it should."""
    if listener.ended is None:
        await listener.woken.wait()
    listener.woken.clear()
    return listener.ended


async def _review(ports: Ports, listeners: Listeners, listener: Listener) -> Ending | None:
    """What the policy in force now says of this stream: why it ends, if it does. Resources out of sight are dropped from it."""
    x = await as_known_now(ports, listener.x)
    try:
        if await blocked(ports, x, Draft()):
            return "revoked"
        dropped = await unseen(ports, x, Draft(), tuple(listener.resources.values()))
    except Undecided:
        return "undecided"
    if not dropped:
        return None
    for uri in dropped:
        listeners.drop(listener, uri)
    if not listener.resources and not listener.kinds:
        return "revoked"
    await _recorded(ports, listener, "revoked", dropped=dropped)
    return None


async def _recorded(ports: Ports, listener: Listener, cause: StreamEnd, *, dropped: tuple[str, ...] = ()) -> None:
    try:
        await recording.stream(ports, listener.x, cause, told=listener.told, dropped=dropped)
    except Unrecorded:
        return  # the audit says so itself, and nothing more is told on this stream without a record of its own


async def honoured(ports: Ports, x: Exchange, draft: Draft) -> Listener:
    """The part of the filter that the policy lets the subject have. Raises `Refusal`."""
    wanted = x.message.params.get("notifications")
    asked = wanted if isinstance(wanted, dict) else {}
    kinds = frozenset(kind for kind, member in FILTERS.items() if asked.get(member) is True)
    uris = asked.get("resourceSubscriptions")
    listener = Listener(x, kinds)
    if not isinstance(uris, list) or not uris:
        return listener
    if len(uris) > ports.bounds.subscriptions_per_stream:
        raise Refusal(
            Kind.INVALID_PARAMS, f"resourceSubscriptions: at most {ports.bounds.subscriptions_per_stream} URIs on one stream"
        )
    resources = [linked(x.view, str(uri)) for uri in uris]
    try:
        seen = await ask_list(ports, draft, question(x, resources, phase="list", now_ns=x.started_ns))
    except Undecided as undecided:
        message = "The policy gave no decision on these resources. Try again in a moment."
        raise Refusal(Kind.UNDECIDED, message, cause=undecided.cause) from undecided
    for position in sorted(seen.visible):
        resource = resources[position]
        if resource.backend is not None and resource.uri is not None:
            listener.resources[resource.backend, resource.uri] = resource.public_name
    return listener


def _acknowledged(listener: Listener) -> JsonObject:
    honoured: JsonObject = {FILTERS[kind]: True for kind in FILTERS if kind in listener.kinds}
    if listener.resources:
        honoured["resourceSubscriptions"] = list[Json](listener.resources.values())
    return honoured


async def _watch(ports: Ports, listener: Listener) -> None:
    """All at once: each may wait for its backend. One that cannot be asked now is asked by its adapter when it is back."""

    async def watch(place: tuple[str, str]) -> None:
        if place in listener.resources:  # nobody took it from the stream since
            listener.watched.add(place)  # before the wait: it counts from its first moment, whoever goes away meanwhile
            with suppress(BackendFailed):
                await ports.backends.watch(*place)

    async with asyncio.TaskGroup() as watching:
        for place in listener.resources:
            watching.create_task(watch(place), name="watch of a resource")


async def _digest(ports: Ports, listener: Listener, kind: str) -> str | None:
    """Of everything of this kind as the subject is shown it now; None when the policy cannot tell."""
    x = await as_of_now(ports, listener.x)
    revision, items = ports.decider.revision, tuple(x.view.items.get(type, ()) for type in KINDS[kind])
    before = listener.looked.pop(kind, None)
    if before is not None and before.revision == revision and same_objects(before.items, items):
        listener.looked[kind] = before
        return before.digest
    whole, lost = hashlib.sha256(), False
    try:
        for type in KINDS[kind]:
            definitions, undecided = await shown_as(ports, x, type)
            lost = lost or bool(undecided)
            for each in definitions:
                whole.update(each)
    except Undecided:
        return None
    if revision is not None and not lost:
        listener.looked[kind] = Looked(revision, items, whole.hexdigest())
    return whole.hexdigest()


async def _visible(ports: Ports, listener: Listener, uris: list[str]) -> list[str]:
    """Those of `uris` that the subject may still see."""
    if not uris:
        return []
    try:
        hidden = await unseen(ports, await as_of_now(ports, listener.x), Draft(), uris)
    except Undecided:
        return []
    return [uri for uri in uris if uri not in hidden]

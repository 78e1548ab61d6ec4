"""What one backend lists for each credential scope, fetched with that scope's own credential and shown to no other.

Fetched when it is first needed, again before it grows old while it is in use, and never for somebody who asks nothing.
A fetch that fails costs its scope this backend's items; no other scope's list stands in for them.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.adapters.catalogs.freshness import FAILING_PAUSE_S, FIRST_RETRY_S, Freshness
from gateway.adapters.catalogs.walking import Walker
from gateway.adapters.tasks import Tasks
from gateway.catalog.merge import Part, refreshed, ungranted
from gateway.errors import BackendFailed, Refusal, Unrecorded
from gateway.model import Caller

log = logging.getLogger("gateway.catalog")

ScopeKey: TypeAlias = tuple[str, frozenset[str], str]
"""An owner, its token's OAuth scopes, and a digest of what else was verified: with a lesser token one may be shown less."""

Asking: TypeAlias = Callable[[str, Caller], Awaitable[None]]
"""Records that a backend is about to be asked for its lists as this caller. Raises `Unrecorded`; it is not asked then."""

ISSUED = "token_issued_ns"  # of a subject's assurance: another one with every token
_encoded = json.JSONEncoder(sort_keys=True).encode  # made once: on the way of every request
AT_ONCE = 8  # walks of one backend's lists: a thousand callers who come at once are a queue, not a stampede
AHEAD = 0.8  # of its time, after which a part that is asked for is fetched again while it still counts
SHORT_WAIT_S = 0.5
LINES_TOLD = 1000  # about what is left out of any caller's lists
TOLD_EVERY_S = 10.0  # a backend that fails every caller is told of once in this time


@dataclass(slots=True, eq=False)
class _Own:
    """One scope's part, by the loop's clock."""

    part: Part | None = None
    ahead_s: float = 0.0  # from here on it is fetched again when somebody asks for it
    fresh_until_s: float = 0.0
    gone_at_s: float = 0.0  # from here on it counts no longer, whatever the backend does
    retry_at_s: float = 0.0
    retry_s: float = FIRST_RETRY_S
    walk: "asyncio.Task[None] | None" = None
    begun_s: float = 0.0  # when `walk` was


def scope_key(caller: Caller) -> ScopeKey:
    """Whose lists these are: of one caller with one set of rights.

    Groups, claims and assurance count since they may change what a token is exchanged for. The token itself does not, nor
    when it was issued: each refreshed token would be a scope of its own, fetched anew. So a claim by which a backend
    lists must be one that the gateway keeps (`identity.issuers[].claims`).
    """
    subject = caller.subject
    assurance = {name: value for name, value in subject.assurance.items() if name != ISSUED}
    rights = _encoded([sorted(set(subject.groups)), subject.claims, assurance])
    return caller.key, frozenset(subject.scopes), hashlib.sha256(rights.encode()).hexdigest()


class OwnParts:
    """One backend's parts. `changed` is told of each part that differs from its scope's last one."""

    def __init__(
        self,
        backend: str,
        walker: Walker,
        freshness: Freshness,
        asking: Asking,
        changed: Callable[[Caller, Part | None, Part], None],
    ) -> None:
        self.backend = backend
        self._walker = walker
        self._freshness = freshness
        self._asking = asking
        self._changed = changed
        self._tasks = Tasks()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._kept: OrderedDict[ScopeKey, _Own] = OrderedDict()  # least recently used first
        self._newest: Part | None = None  # of any scope: equal items are one object, or 500 scopes would be 500 copies
        self._changes = 0  # that the backend told of
        self._told: frozenset[str] = frozenset()
        self._failure_told_s = float("-inf")
        self._hangs = False  # somebody waited long in vain, and nothing came since

    def __len__(self) -> int:
        return len(self._kept)

    async def close(self) -> None:
        await self._tasks.close()

    def part(self, key: ScopeKey) -> Part | None:
        """As it is known now. None: not fetched yet, failing for too long, or forgotten."""
        own = self._kept.get(key)
        return own.part if own is not None and time.monotonic() < own.gone_at_s else None

    def wanted(self, key: ScopeKey, caller: Caller) -> "asyncio.Task[None] | None":
        """Begin a fetch where one is due; what to wait for before `part` is fit to be used, or None."""
        own = self._kept.get(key)
        if own is None:
            if not self._room():
                return None
            own = self._kept[key] = _Own()
        self._kept.move_to_end(key)
        now_s = time.monotonic()
        if own.walk is None and now_s >= own.ahead_s and now_s >= own.retry_at_s:
            own.begun_s = now_s
            own.walk = self._tasks.spawn(self._walked(own, caller), f"lists of {self.backend} for one caller")
        if now_s < own.fresh_until_s or now_s >= own.begun_s + self._freshness.scope_wait_s:
            return None  # who comes later waits no more for a backend that has kept others waiting in vain
        return own.walk

    @property
    def wait_s(self) -> float:
        """How long a walk is worth waiting for: of a backend that hangs not every caller must learn it the long way."""
        return min(SHORT_WAIT_S, self._freshness.scope_wait_s) if self._hangs else self._freshness.scope_wait_s

    def waited_in_vain(self) -> None:
        self._hangs = True

    def expire(self) -> None:
        """The backend told that a list changed: whoever asks next has it fetched again."""
        self._changes += 1
        at_latest_s = time.monotonic() + FAILING_PAUSE_S  # that it is up again is such a change
        for own in self._kept.values():
            own.ahead_s = own.fresh_until_s = 0.0
            own.retry_at_s = min(own.retry_at_s, at_latest_s)

    def _room(self) -> bool:
        """Forgets the least used; no room while everything that is kept is still on its way."""
        if len(self._kept) < self._freshness.scopes_kept:
            return True
        key = next((key for key, own in self._kept.items() if own.walk is None), None)
        if key is None:
            self._failed("too many callers at once ask for its lists")
            return False
        del self._kept[key]
        return True

    async def _walked(self, own: _Own, caller: Caller) -> None:
        """One fetch, shared by all who wait for it. Whoever began it may have gone away."""
        done = False
        try:
            async with self._turns:
                changes, at_s = self._changes, time.monotonic()
                await self._asking(self.backend, caller)
                part, left = await self._walker.walked(self.backend, caller)
            before, own.part = own.part, self._joined(own.part, part)
            lasts_s = self._freshness.lasts_s(part)
            own.gone_at_s = at_s + max(lasts_s, self._freshness.stale_s)
            if changes == self._changes:  # otherwise it may be from before the change
                own.ahead_s, own.fresh_until_s = at_s + AHEAD * lasts_s, at_s + lasts_s
            own.retry_at_s, own.retry_s, self._hangs, done = 0.0, FIRST_RETRY_S, False, True
            if len(self._told) < LINES_TOLD:
                self._told |= left.tell(self.backend, self._told)
            if own.part is not before:
                self._changed(caller, before, own.part)
        except (BackendFailed, Refusal, Unrecorded) as failed:
            done = True
            self._failing(own, failed)
        finally:
            own.walk = None
            if not done:  # a fault of ours: what it last knew may not stay in force unwatched
                own.part, own.ahead_s, own.fresh_until_s = None, 0.0, 0.0
                own.retry_at_s = time.monotonic() + self._freshness.refresh_s

    def _joined(self, before: Part | None, now: Part) -> Part:
        """`now`, made of objects that are kept already as far as they are equal."""
        if self._newest is not None:
            now = refreshed(self._newest, now)
        self._newest = now
        return refreshed(before, now)

    def _failing(self, own: _Own, failed: Exception) -> None:
        """Keep the last good part for a while, as long as it is not the credential that the backend refuses."""
        refused = isinstance(failed, BackendFailed) and failed.cause in {"unauthorized", "credential"}
        own.part = ungranted(own.part) if own.part is not None and not refused else None
        own.ahead_s = own.fresh_until_s = 0.0
        now_s = time.monotonic()
        self._hangs = self._hangs or now_s - own.begun_s >= SHORT_WAIT_S  # a token endpoint that is late counts as well
        own.retry_at_s = now_s + own.retry_s
        own.retry_s = min(own.retry_s * 2, self._freshness.refresh_s)
        self._failed(str(failed))

    def _failed(self, reason: str) -> None:
        now_s = time.monotonic()
        if now_s - self._failure_told_s >= TOLD_EVERY_S:
            self._failure_told_s = now_s
            log.warning("the items of %s cannot be fetched for a caller: %s", self.backend, reason)

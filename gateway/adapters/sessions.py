"""The port `Sessions`, in memory: legacy client sessions, each usable only by its owner on its surface.

An id is 256 random bits and authenticates nobody: the credential is checked with every message, and a session that is
another's is answered exactly like none. Bounded per owner and in all; one unused for long ends.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.errors import Kind, Refusal
from gateway.model import Notice
from gateway.ports import Session

MAX_NOTICES = 256  # waiting for a client that does not read; the oldest messages go first, then the oldest news
_NEWS = ("/list_changed", "/updated")  # says the same however often it is said, and must not be lost before chatter is


def new_session_id() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    per_owner: int = 32
    in_all: int = 10_000
    idle_s: float = 1800.0
    max_notices: int = MAX_NOTICES


class Mailbox:
    """Notices on their way to one session's stream. Never waits for the client; counts what it had to drop."""

    def __init__(self, max_notices: int) -> None:
        self._notices: deque[Notice] = deque()
        self._max_notices = max_notices
        self._news = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, notice: Notice) -> None:
        if notice.method.endswith(_NEWS) and notice in self._notices:
            return
        if len(self._notices) >= self._max_notices:
            chatter = (at for at, one in enumerate(self._notices) if not one.method.endswith(_NEWS))
            del self._notices[next(chatter, 0)]
            self.dropped += 1
        self._notices.append(notice)
        self._news.set()

    async def next(self) -> Notice | None:
        """The oldest notice, as soon as there is one; None: the session has ended."""
        while not self._notices:
            if self._closed:
                return None
            self._news.clear()
            await self._news.wait()
        return self._notices.popleft()

    def close(self) -> None:
        self._closed = True
        self._news.set()


@dataclass(slots=True)
class _Entry:
    session: Session
    used_s: float
    mailbox: Mailbox
    streaming: bool = False
    on_end: list[Callable[[], None]] = field(default_factory=list)


class MemorySessions:
    """Every session of this process."""

    def __init__(self, limits: SessionLimits, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock_s = clock_s
        self._entries: dict[str, _Entry] = {}  # the longest unused first
        self._owned: dict[str, set[str]] = {}

    def open(self, session: Session) -> None:
        """Raises `Refusal(BUSY)` at the owner's cap or the cap of all."""
        self.sweep()
        if len(self._owned.get(session.owner, ())) >= self._limits.per_owner:
            raise Refusal(
                Kind.BUSY,
                f"You have {self._limits.per_owner} sessions open, which is the most one caller may have: end one with DELETE.",
                cause="too_many_sessions",
            )
        if len(self._entries) >= self._limits.in_all:
            raise Refusal(Kind.BUSY, "The gateway has no room for another session: try again later.", cause="sessions_full")
        if session.id in self._entries:
            raise ValueError("a session id was used twice")
        self._entries[session.id] = _Entry(session, self._clock_s(), Mailbox(self._limits.max_notices))
        self._owned.setdefault(session.owner, set()).add(session.id)

    def find(self, session_id: str, *, owner: str, surface: str) -> Session:
        """Raises `Refusal(UNKNOWN_SESSION)`, the same for absent, ended, expired and foreign ones."""
        return self._entry(session_id, owner, surface).session

    def end(self, session_id: str) -> None:
        """Close its stream and let go of what it held. A session that is not there is ended already."""
        entry = self._entries.pop(session_id, None)
        if entry is None:
            return
        owned = self._owned[entry.session.owner]
        owned.discard(session_id)
        if not owned:
            del self._owned[entry.session.owner]
        entry.mailbox.close()
        for release in entry.on_end:
            release()

    def at_end(self, session_id: str, release: Callable[[], None]) -> None:
        """Call `release` when the session ends, however it ends; at once if it has."""
        entry = self._entries.get(session_id)
        if entry is None:
            release()
        else:
            entry.on_end.append(release)

    def deliver(self, session_id: str, notice: Notice) -> None:
        """Put `notice` on the session's stream, or keep it for the next one. Ended sessions hear nothing."""
        entry = self._entries.get(session_id)
        if entry is not None:
            entry.mailbox.put(notice)

    @asynccontextmanager
    async def stream(self, session_id: str, *, owner: str, surface: str) -> AsyncIterator[Mailbox]:
        """The session's mailbox, for its GET stream. Raises `Refusal(BUSY)` while another stream reads it.

        The first stream stays: taking over would let a broken client's retries tear down the one that works.
        """
        entry = self._entry(session_id, owner, surface)
        if entry.streaming:
            raise Refusal(
                Kind.BUSY, "This session has a stream already: read that one, or close it first.", cause="second_stream"
            )
        entry.streaming = True
        try:
            yield entry.mailbox
        finally:
            entry.streaming = False
            if session_id in self._entries:
                self._used(entry)

    def all(self) -> Sequence[Session]:
        """Every live session: whom to tell that a list has changed."""
        return tuple(entry.session for entry in self._entries.values())

    def sweep(self) -> None:
        """End what was unused for too long. A session whose stream is open is in use."""
        oldest_s = self._clock_s() - self._limits.idle_s
        idle = []
        for entry in self._entries.values():
            if entry.used_s > oldest_s:
                break  # all behind it were used later
            if not entry.streaming:
                idle.append(entry.session.id)
        for session_id in idle:
            self.end(session_id)

    def dropped(self) -> int:
        """Notices that clients who do not read have lost, over the sessions there are."""
        return sum(entry.mailbox.dropped for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(self, session_id: str, owner: str, surface: str) -> _Entry:
        entry = self._entries.get(session_id)
        now_s = self._clock_s()
        if entry is not None and not entry.streaming and now_s - entry.used_s >= self._limits.idle_s:
            self.end(session_id)
            entry = None
        if entry is None or entry.session.owner != owner or entry.session.surface != surface:
            raise Refusal(Kind.UNKNOWN_SESSION, "There is no such session: send initialize to begin a new one.")
        self._used(entry)
        return entry

    def _used(self, entry: _Entry) -> None:
        entry.used_s = self._clock_s()
        self._entries[entry.session.id] = self._entries.pop(entry.session.id)  # now the most recently used

"""The port `Sessions`, in memory: legacy client sessions, each usable only by its owner on its surface.

An id is 256 random bits and authenticates nobody: the credential is checked with every message, and a session that is
another's is answered exactly like none. Bounded per owner and in all; one unused for long ends.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.errors import Kind, Refusal
from gateway.ports import Session


@dataclass(frozen=True, slots=True)
class SessionLimits:
    per_owner: int = 32
    in_all: int = 10_000
    idle_s: float = 1800.0


@dataclass(slots=True)
class _Entry:
    session: Session
    used_s: float
    streams: int = 0  # open ones: the session is in use
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
        self._entries[session.id] = _Entry(session, self._clock_s())
        self._owned.setdefault(session.owner, set()).add(session.id)

    def find(self, session_id: str, *, owner: str, surface: str) -> Session:
        """Raises `Refusal(UNKNOWN_SESSION)`, the same for absent, ended, expired and foreign ones."""
        return self._entry(session_id, owner, surface).session

    def end(self, session_id: str) -> None:
        """Let go of what it held. A session that is not there is ended already."""
        entry = self._entries.pop(session_id, None)
        if entry is None:
            return
        owned = self._owned[entry.session.owner]
        owned.discard(session_id)
        if not owned:
            del self._owned[entry.session.owner]
        for release in entry.on_end:
            release()

    def at_end(self, session_id: str, release: Callable[[], None]) -> None:
        """Call `release` when the session ends, however it ends; at once if it has."""
        entry = self._entries.get(session_id)
        if entry is None:
            release()
        else:
            entry.on_end.append(release)

    @contextmanager
    def in_use(self, session_id: str) -> Iterator[None]:
        """The session does not idle while the block runs: its stream is open."""
        entry = self._entries.get(session_id)
        if entry is None:
            yield
            return
        entry.streams += 1
        try:
            yield
        finally:
            entry.streams -= 1
            if session_id in self._entries:
                self._used(entry)

    def sweep(self) -> None:
        """End what was unused for too long. A session whose stream is open is in use."""
        oldest_s = self._clock_s() - self._limits.idle_s
        idle = []
        for entry in self._entries.values():
            if entry.used_s > oldest_s:
                break  # all behind it were used later
            if not entry.streams:
                idle.append(entry.session.id)
        for session_id in idle:
            self.end(session_id)

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(self, session_id: str, owner: str, surface: str) -> _Entry:
        entry = self._entries.get(session_id)
        now_s = self._clock_s()
        if entry is not None and not entry.streams and now_s - entry.used_s >= self._limits.idle_s:
            self.end(session_id)
            entry = None
        if entry is None or entry.session.owner != owner or entry.session.surface != surface:
            raise Refusal(Kind.UNKNOWN_SESSION, "There is no such session: send initialize to begin a new one.")
        self._used(entry)
        return entry

    def _used(self, entry: _Entry) -> None:
        entry.used_s = self._clock_s()
        self._entries[entry.session.id] = self._entries.pop(entry.session.id)  # now the most recently used

"""What the pipeline needs from outside, as protocols: one adapter each, real or a test's.

Each says what it guarantees and what it raises. Nothing here is optional: an adapter that cannot keep a promise raises.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.catalog.surface import View
from gateway.model import BackendMessage, Caller, ItemType, Json, JsonObject, Listing, Outgoing, Presented
from gateway.policy.contract import Contract
from gateway.policy.extract import Extractions


@dataclass(frozen=True, slots=True)
class Verdict:
    """OPA's `result` as it came, and the revision of the policy set that gave it."""

    result: Json
    revision: str


class Decider(Protocol):
    """Asks the policy in force. One call, one answer, from one immutable policy set."""

    async def decide(self, document: bytes) -> Verdict:
        """The answer to `document` (serialised `{"input": …}`). Raises `Undecided`."""
        ...

    @property
    def revision(self) -> str | None:
        """Revision of the set in force; None: there is none, everything is undecided."""
        ...

    @property
    def contract(self) -> Contract:
        """The version of the contract in which the set in force is asked; read it right before each `decide`."""
        ...

    @property
    def extractions(self) -> Extractions:
        """What the set in force wants to be extracted; an answer of another revision was asked without it."""
        ...


class Backends(Protocol):
    """The MCP servers behind the gateway."""

    def forward(self, request: Outgoing) -> AsyncIterator[BackendMessage]:
        """The backend's messages for one request, as they come; the last is an `Answer` or a `Fault`.

        Closing the iterator early cancels the request at the backend. Raises `BackendFailed`.
        """
        ...

    async def page(self, backend: str, type: ItemType, cursor: str | None, caller: Caller | None) -> Listing:
        """One page of a backend's list, by the backend's own cursor. Raises `BackendFailed`, or `Refusal` for a bad cursor.

        It is what the caller would see where the backend lists for each subject, else (or for None) what the gateway sees.
        """
        ...

    def scope(self, backend: str, owner: str) -> str:
        """Whose lists of `backend` this owner sees: "", the gateway's own, or the owner's where it lists for each subject."""
        ...

    async def watch(self, backend: str, uri: str) -> None:
        """Ask to be told of updates of `uri` (the backend's own). Counted from the first moment, also where it is broken off
        or raises: as many `unwatch` end it.
        """
        ...

    async def unwatch(self, backend: str, uri: str) -> None: ...


class Catalogs(Protocol):
    """What exists on each surface, kept fresh in the background, or as each caller where a backend lists for each subject."""

    def view(self, surface: str, caller: Caller) -> View:
        """The surface as it stands for this caller: never waits; says which backends are missing."""
        ...

    async def full_view(self, surface: str, caller: Caller) -> View:
        """The same, once what only this caller's own credential can list was fetched: waits a bounded time, and only for that."""
        ...


@dataclass(frozen=True, slots=True)
class Charge:
    """One rate limit to be charged. Atomic with the others of the same exchange: all or none."""

    key: str  # prefixed by the rule
    limit: int
    period_s: int
    weight: int = 1


class Limiter(Protocol):
    async def charge(self, charges: Sequence[Charge]) -> float:
        """Check all, then charge all; 0.0, or the seconds to wait when one is over (then none is charged).

        Raises `OSError` when the store is out of reach: the exchange is then refused.
        """
        ...


class Audit(Protocol):
    """The record of everything. A record that was written survives what `audit.durability` names."""

    async def write(self, record: Mapping[str, Json]) -> None:
        """Add the envelope (writer, sequence, time) and write one line. Raises `Unrecorded`; nothing may go on then."""
        ...


class Meter(Protocol):
    """Counters and timers of the field's standard words; never raises, never waits."""

    def exchange(self, *, method: str, backend: str, outcome: str, duration_s: float, own_s: float) -> None: ...
    def denial(self, *, rule: str, code: str) -> None: ...
    def obligation(self, *, type: str) -> None: ...
    def fired(self, *, rule: str, verb: str) -> None:
        """A rule of the policy spoke in an exchange that ended."""
        ...

    def decision(self, *, phase: str, duration_s: float) -> None: ...
    def undecided(self, *, cause: str) -> None: ...
    def backend(self, *, backend: str, duration_s: float, cause: str) -> None:
        """One request to a backend; `cause` is "ok" or one of `BACKEND_CAUSES`."""
        ...

    def rejected(self, *, kind: str) -> None:
        """A message refused before any decision (origin, token, parse, ladder)."""
        ...

    def missing(self, *, backend: str) -> None:
        """A list went out without this backend's part."""
        ...


class Authenticator(Protocol):
    async def authenticate(self, presented: Presented, *, surface: str) -> Caller:
        """The verified caller. Raises `Refusal(UNAUTHENTICATED)` with its challenge header, never returns an unknown."""
        ...

    def still_good(self, caller: Caller, surface: str) -> bool:
        """Whether the credential that `caller` came with would be accepted again now, were it not for its own end.

        Asked often, of everything that stays open: never waits, and says no of what it does not know.
        """
        ...


LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


@dataclass(slots=True)
class Session:
    """One legacy client session. Bound to one caller on one surface; only that caller may use it."""

    id: str
    owner: str  # Caller.key
    surface: str
    version: str
    client: JsonObject
    capabilities: JsonObject
    initialized: bool = False
    log_level: LogLevel | None = None


class Sessions(Protocol):
    def open(self, session: Session) -> None:
        """Raises `Refusal(BUSY)` at the subject's cap."""
        ...

    def find(self, session_id: str, *, owner: str, surface: str) -> Session:
        """Raises `Refusal(UNKNOWN_SESSION)`, the same for absent, ended, expired and foreign ones."""
        ...

    def end(self, session_id: str) -> None: ...

    def at_end(self, session_id: str, release: Callable[[], None]) -> None:
        """Call `release` when the session ends, however it ends."""
        ...

    def in_use(self, session_id: str) -> AbstractContextManager[None]:
        """The session does not end for idleness while the block runs."""
        ...


class Concurrency(Protocol):
    """What one caller may have under way at a time."""

    def slot(self, kind: Literal["exchanges", "streams"], key: str) -> AbstractContextManager[None]:
        """A place for as long as the block runs. Raises `Refusal(BUSY)` at the cap."""
        ...

"""What every exchange works with: the ports, and the facts about one exchange that do not change while it runs."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.catalog.surface import View
from gateway.exchange.kept_lists import KeptLists
from gateway.exchange.memory import ListMemory, Redactors, Validators
from gateway.exchange.questions import QuestionRecorder
from gateway.exchange.standing import Standings
from gateway.model import Caller, Json, Message
from gateway.ports import Audit, Backends, Catalogs, Decider, Limiter, Meter, Session
from gateway.wire.methods import Method


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one exchange may hold; each is a setting."""

    list_page_items: int = 1000
    subscriptions_per_stream: int = 100
    held_notices: int = 256
    call_grace_s: float = 60.0  # how long a request that was forwarded may outlive its credential
    resource_pages: int = 20  # backend pages walked for one page of resources/list, so that none comes back empty


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside, as the pipeline sees it, and what it remembers between exchanges."""

    decider: Decider
    backends: Backends
    catalogs: Catalogs
    limiter: Limiter
    audit: Audit
    meter: Meter
    memory: ListMemory
    list_turns: asyncio.Semaphore  # how many questions about lists are asked at once
    kept_lists: KeptLists
    redactors: Redactors
    validators: Validators
    standings: Standings  # what is open, to be authorised again
    server_info: Mapping[str, Json]
    cursor_key: bytes
    bounds: Bounds = Bounds()
    questions: QuestionRecorder | None = None  # None: questions are not recorded
    reading_turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))  # arguments that take long to read
    redacting_turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))  # what takes long to redact
    now_ns: Callable[[], int] = time.time_ns


@dataclass(frozen=True, slots=True)
class Exchange:
    """One client message and all it causes."""

    id: str
    message: Message
    method: Method
    caller: Caller
    view: View
    trace_id: str | None
    started_ns: int  # wall clock, for the record and the document
    started_s: float = field(default_factory=time.perf_counter)
    session: Session | None = None  # legacy only
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the client's, those that some backend may see
    resource_metadata: str | None = None  # URL where a client reads how to get a token with more scopes

    @property
    def progress_token(self) -> int | str | None:
        token = self.message.meta.get("progressToken")
        return token if isinstance(token, int | str) and not isinstance(token, bool) else None

"""The other side of the shadow, a process of its own at the lowest priority: asks the candidate and compares.

Run as a module; its settings are the first line of standard input, the questions with their live answers follow as frames.
What it finds goes to standard output, one JSON object a line. It ends with its standard input, and its OPA with it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.status import PolicyEvent
from gateway.adapters.tasks import Tasks
from gateway.audit_record import Diverged
from gateway.errors import Undecided
from gateway.model import Decision, Json, JsonObject, Phase
from gateway.policy.contract import SERVED, VERSION_1, Contract, Contracts, restated
from gateway.policy.divergence import Divergence, divergences
from gateway.ports import Verdict

LOWEST_NICENESS = 19
TELL_S = 0.05  # between two accounts of what was done
SIZES: Final = struct.Struct(">II")  # of the document, and of the live answer `[revision, result, version]` after it
MAX_LINE_BYTES = 1024 * 1024
UNAVAILABLE = frozenset(
    {"no_policy", "unreachable", "late", "revision"}
)  # says something of the candidate's OPA, not of its rules


class Plan(msgspec.Struct, frozen=True):
    """What to compare with, and within which bounds."""

    binary: str
    folder: str
    schemas: str
    capabilities: str | None
    deadline_s: float = 1.0
    max_answer_bytes: int = 8 * 1024 * 1024
    records_per_s: float = 20.0  # differences that are told; all are counted


class State(msgspec.Struct):
    """An account: all counts are since the process began."""

    revision: str | None = None
    ready: bool = False
    problem: str = "it is starting"
    findings: list[str] | None = None  # of the newest candidate, where it was refused
    pid: int | None = None  # of its OPA
    taken: int = 0  # decisions that were dealt with
    taken_bytes: int = 0  # of their documents
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    untold: int = 0  # differences without a record


class Told(msgspec.Struct, omit_defaults=True):
    """One line of what is told: exactly one of these."""

    state: State | None = None
    event: PolicyEvent | None = None
    record: dict[str, Any] | None = None


class _Named(msgspec.Struct):
    decision_id: str = ""
    request_id: str = ""


class _Action(msgspec.Struct):
    name: str
    phase: Phase


class _Place(msgspec.Struct):
    surface: str = ""


class _Subject(msgspec.Struct):
    type: str
    authentication: str
    groups: list[str]
    scopes: list[str]
    issuer: str = ""
    id: str = ""


class _Agent(msgspec.Struct):
    id: str | None = None


class _Resource(msgspec.Struct):
    type: str
    id: str | None = None
    uri: str | None = None
    public_name: str | None = None

    def named(self) -> str:
        return self.id or self.uri or self.public_name or self.type


class _Input(msgspec.Struct):
    subject: _Subject
    action: _Action
    resources: list[_Resource]
    context: _Place
    agent: _Agent = msgspec.field(default_factory=_Agent)
    exchange: _Named = msgspec.field(default_factory=_Named)


class _Document(msgspec.Struct):
    """What a record says of a question. Arguments and results are not read: no record of the shadow holds them."""

    input: _Input


_document: Final = msgspec.json.Decoder(_Document)
_live: msgspec.json.Decoder[tuple[str, Json, int]] = msgspec.json.Decoder(tuple[str, Any, int])


@dataclass(frozen=True, slots=True)
class Asked:
    """What the live set was asked, in its own words, and what it answered."""

    document: bytes
    contract: Contract
    live: Verdict

    def restated(self, target: Contract) -> bytes:
        """The document in the words of another version. Raises `ValueError`."""
        if target is self.contract:
            return self.document
        whole = msgspec.json.decode(self.document)
        return msgspec.json.encode({"input": restated(whole["input"], self.contract, target)})

    def told(self) -> _Input:
        """As records tell of it."""
        return _document.decode(self.restated(VERSION_1)).input


class Comparer:
    """Deals with one decision after the other."""

    def __init__(self, candidate: PolicySetDecider, records_per_s: float, tell: Callable[[JsonObject], None]) -> None:
        self._candidate = candidate
        self._rate = records_per_s
        self._tell = tell
        self._allowance = records_per_s
        self._allowed_at_s = asyncio.get_running_loop().time()
        self._taken = self._taken_bytes = self._untold = 0
        self._outcomes: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()

    def state(self) -> State:
        status = self._candidate.status()
        refused = status.rejection
        return State(
            revision=status.revision,
            ready=status.ready,
            problem=status.problem,
            findings=None if refused is None else [str(each) for each in refused.findings],
            pid=self._candidate.pid,
            taken=self._taken,
            taken_bytes=self._taken_bytes,
            outcomes=dict(self._outcomes),
            kinds=dict(self._kinds),
            untold=self._untold,
        )

    async def take(self, asked: Asked) -> None:
        self._outcomes[await self._outcome(asked)] += 1
        self._taken += 1
        self._taken_bytes += len(asked.document)

    async def _outcome(self, asked: Asked) -> str:
        live, contract = asked.live, self._candidate.contract
        try:
            document = asked.restated(contract)
        except ValueError:  # nothing that the gateway asks
            return "failed"
        try:
            verdict = await self._candidate.decide(document)
        except Undecided as undecided:
            return "failed" if undecided.cause in UNAVAILABLE else self._undecided(asked, undecided)
        if verdict.result == live.result and contract is asked.contract:  # most are, and nothing more need be read of them
            return "same"
        told = asked.told()
        try:
            ours = _read(live, told, asked.contract)
        except Undecided:  # the live answer was refused: what the candidate's would be worth cannot be told
            return "failed"
        try:
            theirs = _read(verdict, told, contract)
        except Undecided as undecided:
            return self._undecided(asked, undecided)
        found = divergences(ours, theirs, asked=len(told.resources), phase=told.action.phase)
        return self._diverged(told, live.revision, found) if found else "same"

    def _undecided(self, asked: Asked, undecided: Undecided) -> str:
        told = asked.told()
        found = (Divergence("newly-undecided", (), tuple(range(len(told.resources)))),)
        return self._diverged(told, asked.live.revision, found, cause=undecided.cause)

    def _diverged(self, asked: _Input, revision: str, found: tuple[Divergence, ...], *, cause: str | None = None) -> str:
        self._kinds.update(each.kind for each in found)
        if not self._may_write():
            self._untold += 1
            return "different"
        subject: JsonObject = msgspec.to_builtins(asked.subject)
        names = [each.named() for each in asked.resources]
        record = Diverged(
            decision_id=asked.exchange.decision_id,
            exchange_id=asked.exchange.request_id,
            surface=asked.context.surface,
            method=asked.action.name,
            phase=asked.action.phase,
            subject=subject,
            agent=asked.agent.id,
            revision=revision,
            candidate=self._candidate.revision or "",
            differences=tuple((each.kind, each.rules, tuple(names[at] for at in each.positions)) for each in found),
            cause=cause,
        )
        self._tell(record.record())
        return "different"

    def _may_write(self) -> bool:
        """A candidate that differs everywhere would write a line for each of everybody's."""
        now_s = asyncio.get_running_loop().time()
        rate = self._rate
        self._allowance = min(rate, self._allowance + (now_s - self._allowed_at_s) * rate)
        self._allowed_at_s = now_s
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


def _read(verdict: Verdict, asked: _Input, contract: Contract) -> Decision:
    return contract.read(
        verdict.result,
        asked=len(asked.resources),
        phase=asked.action.phase,
        revision=verdict.revision,
        decision_id=asked.exchange.decision_id,
    )


async def compare(
    plan: Plan, questions: asyncio.StreamReader, tell: Callable[[Told], None], contracts: Contracts = SERVED
) -> None:
    """Until `questions` end."""
    source = Source(Path(plan.folder), Path(plan.schemas), None if plan.capabilities is None else Path(plan.capabilities))
    limits = Limits(deadline_s=plan.deadline_s, connections=2, max_answer_bytes=plan.max_answer_bytes, background=True)

    def changed(event: PolicyEvent) -> None:
        tell(Told(event=event))

    candidate = PolicySetDecider(source, plan.binary, limits, changed, role="shadow policy", contracts=contracts)
    comparer = Comparer(candidate, plan.records_per_s, lambda record: tell(Told(record=record)))
    tasks = Tasks()
    tasks.spawn(_tell_states(comparer, tell), "account of the policy shadow")
    try:
        await candidate.start()
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                sizes = SIZES.unpack(await questions.readexactly(SIZES.size))
                document, live = [await questions.readexactly(size) for size in sizes]
                revision, result, version = _live.decode(live)
                await comparer.take(Asked(document, contracts[version], Verdict(result, revision)))
    finally:
        await tasks.close()
        tell(Told(state=comparer.state()))
        await candidate.close()


async def _tell_states(comparer: Comparer, tell: Callable[[Told], None]) -> None:
    last = State()
    while True:
        if (now := comparer.state()) != last:
            tell(Told(state=now))
            last = now
        await asyncio.sleep(TELL_S)


async def _main(contracts: Contracts) -> None:
    loop = asyncio.get_running_loop()
    questions = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    plan = msgspec.json.decode(await questions.readline(), type=Plan)

    def tell(told: Told) -> None:
        os.write(1, msgspec.json.encode(told) + b"\n")

    await compare(plan, questions, tell, contracts)


def _yield_to_everybody() -> None:
    """With all that it starts. Niceness alone lets a live process that wakes up wait for a moment; SCHED_IDLE does not."""
    os.nice(LOWEST_NICENESS)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # forbidden here: the niceness stays
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main(contracts: Contracts = SERVED) -> None:
    """The whole process. `contracts`: the versions that the live set and the candidate may say."""
    _yield_to_everybody()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everybody; the gateway ends us in order
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    uvloop.run(_main(contracts))


if __name__ == "__main__":
    main()

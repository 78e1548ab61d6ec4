"""A candidate policy set beside the live one: asked the same, never obeyed.

The live path only puts what was asked and answered into a bounded queue; everything else happens in a task of its own, and
whatever does not fit into the budget is dropped and counted. The candidate has an OPA of its own, on one processor at the
lowest priority. Nothing here raises into a live request or waits in one.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.operations import Check
from gateway.adapters.tasks import Tasks
from gateway.audit_record import Diverged, ShadowPeriod
from gateway.errors import Undecided, Unrecorded
from gateway.model import Decision, JsonObject, Phase
from gateway.policy import decision as answer
from gateway.policy.divergence import KINDS, Divergence, divergences
from gateway.policy.extract import Extractions
from gateway.ports import Audit, Decider, Verdict

log = logging.getLogger("gateway.opa")

PERIOD_S = 60.0  # between two lines of the audit that say how much was compared
DECISION_ID = b'"exchange":{"decision_id":"'  # the last member of a document; within a text the quotes would be escaped
ID_DIGITS = 8  # of the decision id: enough to draw lots by
UNAVAILABLE = frozenset(
    {"no_policy", "unreachable", "late", "revision"}
)  # says something of the candidate's OPA, not of its rules

Outcome = Literal["same", "different", "failed", "dropped"]
OUTCOMES: tuple[Outcome, ...] = ("same", "different", "failed", "dropped")


@dataclass(frozen=True, slots=True)
class Budget:
    """What the shadow may cost."""

    share: float = 1.0  # of the decisions, drawn by their ids
    queue: int = 256  # decisions that wait to be compared
    queued_bytes: int = 16 * 1024 * 1024  # of their documents, all together
    records_per_s: float = 20.0  # differences written to the audit; all are counted


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


class Shadow(Collector):
    """Compares. `offer` is for the live path; the figures are for Prometheus."""

    def __init__(self, candidate: PolicySetDecider, budget: Budget, audit: Audit) -> None:
        self._candidate = candidate
        self._budget = budget
        self._audit = audit
        self._below: int = round(budget.share * 16**ID_DIGITS)
        self._queue: asyncio.Queue[tuple[bytes, Verdict]] = asyncio.Queue(budget.queue)
        self._queued_bytes = 0
        self._tasks = Tasks()
        self._running: asyncio.Task[None] | None = None
        self.outcomes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self._told: Counter[str] = Counter()  # outcomes that the audit knows of
        self._allowance = budget.records_per_s
        self._allowed_at_s = 0.0
        self._unwritten = 0  # differences since the last line of the audit that were only counted

    # --- the live path ---

    def offer(self, document: bytes, live: Verdict) -> None:
        """Have it compared when there is time. Never waits and never raises."""
        if not self._drawn(document):
            return
        if self._queue.full() or self._queued_bytes + len(document) > self._budget.queued_bytes:
            self.outcomes["dropped"] += 1
            return
        self._queued_bytes += len(document)
        self._queue.put_nowait((document, live))

    def _drawn(self, document: bytes) -> bool:
        """Whether a decision is in the share: the same decision always is or is not, here and in every other gateway."""
        if self._budget.share >= 1:
            return True
        at = document.rfind(DECISION_ID) + len(DECISION_ID)
        try:
            lot = int(document[at : at + ID_DIGITS], 16)
        except ValueError:
            return False
        return lot < self._below

    # --- the life cycle ---

    def start(self) -> None:
        """Come up in the background: a candidate that cannot be loaded delays nobody's start."""
        self._allowed_at_s = asyncio.get_running_loop().time()
        self._running = self._tasks.spawn(self._run(), "policy shadow")
        self._tasks.spawn(self._tell_periods(), "audit of the policy shadow")

    async def close(self) -> None:
        """What still waits is not compared."""
        await self._tasks.close()
        await self._tell_period()
        await self._candidate.close()

    def check(self) -> Check:
        """A candidate that does not work is looked at, and no reason not to be ready."""
        status = self._candidate.status()
        counted = self.outcomes
        if status.rejection is not None:
            findings = "; ".join(f"{each.file}:{each.line}: {each.message}" for each in status.rejection.findings)
            return Check("policy-shadow", True, f"the newest candidate is not compared: {findings}", note=True)
        if self._running is not None and self._running.done():
            return Check("policy-shadow", True, "nothing is compared: an internal error, see the log", note=True)
        if not status.ready:
            return Check("policy-shadow", True, status.problem or "its canaries are answered wrong", note=True)
        compared = f"{counted['same'] + counted['different']} compared, {counted['different']} different"
        left = f"{counted['dropped']} dropped, {counted['failed']} failed"
        return Check("policy-shadow", True, f"candidate {status.revision}: {compared}, {left}")

    def collect(self) -> Iterable[Metric]:
        decisions = CounterMetricFamily(
            "mcp_gateway_shadow_decisions",
            "Live decisions by what came of comparing them with the candidate policy set's",
            labels=["outcome"],
        )
        for outcome in OUTCOMES:
            decisions.add_metric([outcome], self.outcomes[outcome])
        differing = CounterMetricFamily(
            "mcp_gateway_shadow_divergences", "Decisions that the candidate policy set would have made otherwise", labels=["kind"]
        )
        for kind in KINDS:
            differing.add_metric([kind], self.kinds[kind])
        status = self._candidate.status()
        up = GaugeMetricFamily("mcp_gateway_shadow_up", "1: the candidate policy set decides")
        up.add_metric([], float(status.ready))
        rejected = GaugeMetricFamily("mcp_gateway_shadow_rejected", "1: the newest candidate was refused when loaded")
        rejected.add_metric([], float(status.rejection is not None))
        revision = GaugeMetricFamily(
            "mcp_gateway_shadow_policy_info", "1: this candidate revision is compared", labels=["revision"]
        )
        if status.revision is not None:
            revision.add_metric([status.revision], 1)
        return (decisions, differing, up, rejected, revision)

    # --- in the background ---

    async def _run(self) -> None:
        await self._candidate.start()
        while True:
            document, live = await self._queue.get()
            self._queued_bytes -= len(document)
            await self._compare(document, live)

    async def _compare(self, document: bytes, live: Verdict) -> None:
        try:
            verdict = await self._candidate.decide(document)
        except Undecided as undecided:
            if undecided.cause in UNAVAILABLE:
                self.outcomes["failed"] += 1
            else:
                await self._undecided(document, live, undecided)
            return
        if verdict.result == live.result:  # most are, and nothing more need be read of them
            self.outcomes["same"] += 1
            return
        asked = _document.decode(document).input
        try:
            ours = _read(live, asked)
        except Undecided:  # the live answer was refused: what the candidate's would be worth cannot be told
            self.outcomes["failed"] += 1
            return
        try:
            theirs = _read(verdict, asked)
        except Undecided as undecided:
            await self._undecided(document, live, undecided)
            return
        found = divergences(ours, theirs, asked=len(asked.resources), phase=asked.action.phase)
        if not found:
            self.outcomes["same"] += 1
            return
        await self._diverged(asked, live.revision, verdict.revision, found)

    async def _undecided(self, document: bytes, live: Verdict, undecided: Undecided) -> None:
        asked = _document.decode(document).input
        found = (Divergence("newly-undecided", (), tuple(range(len(asked.resources)))),)
        await self._diverged(asked, live.revision, self._candidate.revision or "", found, cause=undecided.cause)

    async def _diverged(
        self, asked: _Input, revision: str, candidate: str, found: tuple[Divergence, ...], *, cause: str | None = None
    ) -> None:
        self.outcomes["different"] += 1
        self.kinds.update(each.kind for each in found)
        if not self._may_write():
            self._unwritten += 1
            return
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
            candidate=candidate,
            differences=tuple((each.kind, each.rules, tuple(names[at] for at in each.positions)) for each in found),
            cause=cause,
        )
        await self._write(record.record())

    def _may_write(self) -> bool:
        """A candidate that differs everywhere would write a line for each of everybody's."""
        now_s = asyncio.get_running_loop().time()
        rate = self._budget.records_per_s
        self._allowance = min(rate, self._allowance + (now_s - self._allowed_at_s) * rate)
        self._allowed_at_s = now_s
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    async def _write(self, record: JsonObject) -> None:
        try:
            await self._audit.write(record)
        except Unrecorded:
            self._unwritten += 1  # the log itself tells that it cannot be written; here nothing hangs on it

    async def _tell_periods(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            await self._tell_period()

    async def _tell_period(self) -> None:
        """How much was compared since the last such line: without it a report could not say of how many these are."""
        since = self.outcomes - self._told
        if not since:
            return
        self._told = self.outcomes.copy()
        unwritten, self._unwritten = self._unwritten, 0
        counts = tuple((outcome, since[outcome]) for outcome in OUTCOMES)
        await self._write(ShadowPeriod(self._candidate.revision, counts, unwritten).record())


@dataclass(frozen=True, slots=True)
class Shadowed:
    """The live decider, each of whose answers is offered to the shadow as well. Implements `ports.Decider`."""

    live: Decider
    shadow: Shadow

    @property
    def revision(self) -> str | None:
        return self.live.revision

    @property
    def extractions(self) -> Extractions:
        return self.live.extractions

    async def decide(self, document: bytes) -> Verdict:
        """Raises `Undecided`: then there is nothing to compare with."""
        verdict = await self.live.decide(document)
        self.shadow.offer(document, verdict)
        return verdict


def _read(verdict: Verdict, asked: _Input) -> Decision:
    return answer.read(
        verdict.result,
        asked=len(asked.resources),
        phase=asked.action.phase,
        revision=verdict.revision,
        decision_id=asked.exchange.decision_id,
    )

"""A candidate policy set beside the live one: asked the same, never obeyed.

The live path only puts what was asked and answered into a bounded buffer. It is sent, many at a time, to a process of its own
at the lowest priority, which asks the candidate and compares (`comparing`); whatever does not fit into the budget is dropped
and counted. Nothing here raises into a live request or waits in one.
"""

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.adapters.opa import comparing
from gateway.adapters.opa.command import scrubbed
from gateway.adapters.opa.comparing import MAX_LINE_BYTES, SIZES, Plan, State, Told
from gateway.adapters.opa.findings import on_a_line
from gateway.adapters.opa.status import PolicyEvent
from gateway.adapters.operations import Check
from gateway.adapters.tasks import Tasks
from gateway.audit_record import ShadowPeriod
from gateway.errors import Unrecorded
from gateway.model import JsonObject
from gateway.policy.contract import Contract
from gateway.policy.divergence import KINDS
from gateway.policy.extract import Extractions
from gateway.ports import Audit, Decider, Verdict

log = logging.getLogger("gateway.opa")

FIRST_PERIOD_S = 5.0
PERIOD_S = 60.0  # between two lines of the audit that say how much was compared
FLUSH_S = 0.05  # decisions wait for one another so long: to send each alone would cost a live request ten times as much
FIRST_PAUSE_S = 1.0  # before the process is started again; doubles with each death in a row
LONGEST_PAUSE_S = 60.0
STOP_S = 3.0  # for the process to end its OPA and itself
DECISION_ID = b'"exchange":{"decision_id":"'  # the last member of a document; within a text the quotes would be escaped
ID_DIGITS = 8  # of the decision id: enough to draw lots by
PACKAGE = Path(__file__).resolve().parents[3]

Outcome = Literal["same", "different", "failed", "dropped"]
OUTCOMES: tuple[Outcome, ...] = ("same", "different", "failed", "dropped")
_told = msgspec.json.Decoder(Told)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be compared."""

    share: float = 1.0  # of the decisions, drawn by their ids
    queue: int = 256  # decisions that wait to be compared
    queued_bytes: int = 16 * 1024 * 1024  # of their documents, all together


class Shadow(Collector):
    """`offer` is for the live path; the figures are for Prometheus."""

    def __init__(
        self,
        plan: Plan,
        budget: Budget,
        audit: Audit,
        on_event: Callable[[PolicyEvent], None],
        program: str = comparing.__name__,
    ) -> None:
        """`program`: the module that compares."""
        self._program = program
        self._plan = plan
        self._budget = budget
        self._audit = audit
        self._on_event = on_event
        self._below: int = round(budget.share * 16**ID_DIGITS)
        self._tasks = Tasks()
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: list[tuple[bytes, Verdict, int]] = []
        self._offered = self._offered_bytes = 0  # to this process, those that still wait here included
        self._state = State()
        self._before = (Counter[str](), Counter[str](), 0)  # outcomes, kinds and untold of the processes before this one
        self._dropped = self._failed = self._unrecorded = 0
        self._period: Counter[str] = Counter()  # outcomes that the audit knows of
        self._period_unwritten = 0
        self._new = asyncio.Event()  # another candidate is compared

    # --- the live path ---

    def offer(self, document: bytes, live: Verdict, version: int = 1) -> None:
        """Have it compared when there is time: never waits, never raises. `version`: of the contract that `live` speaks."""
        if not self._drawn(document):
            return
        if self._process is None:
            self._failed += 1
            return
        budget, waiting_bytes = self._budget, self._offered_bytes - self._state.taken_bytes
        if self._offered - self._state.taken >= budget.queue or waiting_bytes + len(document) > budget.queued_bytes:
            self._dropped += 1
            return
        self._offered += 1
        self._offered_bytes += len(document)
        self._waiting.append((document, live, version))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

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

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return  # what was offered to a process that ended is counted there
        frames: list[bytes] = []
        for document, live, version in waiting:
            answer = msgspec.json.encode((live.revision, live.result, version))
            frames += (SIZES.pack(len(document), len(answer)), document, answer)
        process.stdin.write(b"".join(frames))

    # --- the life cycle ---

    def start(self) -> None:
        """Come up in the background: a candidate that cannot be loaded delays nobody's start."""
        self._running = self._tasks.spawn(self._keep_running(), "policy shadow")
        self._tasks.keep(self._tell_periods, "audit of the policy shadow")

    async def close(self) -> None:
        """What still waits is not compared."""
        self._closing = True
        await self._end()
        await self._tasks.close()
        await self._tell_period()

    @property
    def outcomes(self) -> Counter[str]:
        """How many decisions came to what, since the start."""
        counted = self._before[0] + Counter(self._state.outcomes)
        return counted + Counter({"dropped": self._dropped, "failed": self._failed})

    @property
    def kinds(self) -> Counter[str]:
        return self._before[1] + Counter(self._state.kinds)

    @property
    def state(self) -> State:
        """As the process told it last."""
        return self._state

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def check(self) -> Check:
        """A candidate that does not work is looked at, and no reason not to be ready."""
        state, counted = self._state, self.outcomes
        if self._running is not None and self._running.done():
            return Check("policy-shadow", True, "nothing is compared: an internal error, see the log", note=True)
        if state.findings is not None:
            return Check("policy-shadow", True, f"the newest candidate is not compared: {on_a_line(state.findings)}", note=True)
        if not state.ready:
            return Check("policy-shadow", True, state.problem or "its canaries are answered wrong", note=True)
        compared = f"{counted['same'] + counted['different']} compared, {counted['different']} different"
        left = f"{counted['dropped']} dropped, {counted['failed']} failed"
        return Check("policy-shadow", True, f"candidate {state.revision}: {compared}, {left}")

    def collect(self) -> Iterable[Metric]:
        decisions = CounterMetricFamily(
            "mcp_gateway_shadow_decisions",
            "Live decisions by what came of comparing them with the candidate policy set's",
            labels=["outcome"],
        )
        outcomes, kinds = self.outcomes, self.kinds
        for outcome in OUTCOMES:
            decisions.add_metric([outcome], outcomes[outcome])
        differing = CounterMetricFamily(
            "mcp_gateway_shadow_divergences", "Decisions that the candidate policy set would have made otherwise", labels=["kind"]
        )
        for kind in KINDS:
            differing.add_metric([kind], kinds[kind])
        up = GaugeMetricFamily("mcp_gateway_shadow_up", "1: the candidate policy set decides")
        up.add_metric([], float(self._state.ready))
        rejected = GaugeMetricFamily("mcp_gateway_shadow_rejected", "1: the newest candidate was refused when loaded")
        rejected.add_metric([], float(self._state.findings is not None))
        revision = GaugeMetricFamily(
            "mcp_gateway_shadow_policy_info", "1: this candidate revision is compared", labels=["revision"]
        )
        if self._state.revision is not None:
            revision.add_metric([self._state.revision], 1)
        return (decisions, differing, up, rejected, revision)

    # --- the process ---

    async def _keep_running(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._start()
                await self._hear()
            except OSError as error:
                log.error("the policy shadow cannot be started: %s", error)
            if self._closing:
                return
            compared = bool(self._state.taken)
            self._bury()
            pause_s = FIRST_PAUSE_S if compared else min(pause_s * 2, LONGEST_PAUSE_S)
            log.error("the policy shadow has ended; it is started again in %g s", pause_s)
            await asyncio.sleep(pause_s)

    async def _start(self) -> None:
        """Raises `OSError`."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**scrubbed(), "PYTHONPATH": os.fspath(PACKAGE)},
            limit=MAX_LINE_BYTES,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(self._plan) + b"\n")

    async def _hear(self) -> None:
        """Until the process ends, or says something that it would not say."""
        assert self._process is not None and self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                told = _told.decode(line)
                if told.state is not None:
                    await self._become(told.state)
                if told.event is not None:
                    self._on_event(told.event)
                if told.record is not None:
                    await self._write(told.record)
        except (ValueError, msgspec.DecodeError) as error:  # a line beyond the limit, or none of ours
            log.error("the policy shadow said what cannot be read: %s", error)
            self._process.kill()
        await self._process.wait()

    async def _become(self, state: State) -> None:
        """What one candidate was compared with is told under its own revision, before another's is counted."""
        before, now = self._state.revision, state.revision
        if before is not None and now != before:
            await self._tell_period()
        self._state = state
        if now != before:
            self._new.set()

    def _bury(self) -> None:
        """Keep the counts of a process that has ended; what it had not dealt with failed."""
        state = self._state
        outcomes, kinds, untold = self._before
        self._before = (outcomes + Counter(state.outcomes), kinds + Counter(state.kinds), untold + state.untold)
        self._failed += self._offered - state.taken
        self._offered = self._offered_bytes = 0
        self._process, self._state, self._waiting = None, State(problem="its process has ended and is started again"), []

    async def _end(self) -> None:
        """Let it say its last words, for a while."""
        process = self._process
        if process is None or process.returncode is not None or self._running is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        await asyncio.wait([self._running], timeout=STOP_S)
        if process.returncode is None:
            process.kill()
            await process.wait()

    # --- the audit ---

    async def _write(self, record: JsonObject) -> None:
        try:
            await self._audit.write(record)
        except Unrecorded:
            self._unrecorded += 1  # the log itself tells that it cannot be written; here nothing hangs on it

    async def _tell_periods(self) -> None:
        """Soon after a candidate has come, since somebody waits to see it at work; then less and less often."""
        pause_s = FIRST_PERIOD_S
        while True:
            self._new.clear()
            try:
                async with asyncio.timeout(pause_s):
                    await self._new.wait()
            except TimeoutError:
                await self._tell_period()
                pause_s = min(pause_s * 2, PERIOD_S)
            else:
                pause_s = FIRST_PERIOD_S

    async def _tell_period(self) -> None:
        """How much was compared since the last such line: without it a report could not say of how many these are."""
        outcomes = self.outcomes
        since = outcomes - self._period
        if not since:
            return
        unwritten = self._before[2] + self._state.untold + self._unrecorded
        counts = tuple((outcome, since[outcome]) for outcome in OUTCOMES)
        told = ShadowPeriod(self._state.revision, counts, unwritten - self._period_unwritten)
        self._period, self._period_unwritten = outcomes, unwritten  # before anything waits: no decision is told twice
        await self._write(told.record())


@dataclass(frozen=True, slots=True)
class Shadowed:
    """The live decider, each of whose answers is offered to the shadow as well. Implements `ports.Decider`."""

    live: Decider
    shadow: Shadow

    @property
    def revision(self) -> str | None:
        return self.live.revision

    @property
    def contract(self) -> Contract:
        return self.live.contract

    @property
    def extractions(self) -> Extractions:
        return self.live.extractions

    async def decide(self, document: bytes) -> Verdict:
        """Raises `Undecided`: then there is nothing to compare with."""
        version = self.live.contract.version
        verdict = await self.live.decide(document)
        self.shadow.offer(document, verdict, version)
        return verdict

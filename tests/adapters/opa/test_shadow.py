"""A candidate on a real OPA beside a live policy set: what it costs is bounded, and what it says is only told."""

import asyncio
import gc
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.comparing import Plan
from gateway.adapters.opa.decider import PolicySetDecider
from gateway.adapters.opa.shadow import Budget, Shadow, Shadowed
from gateway.adapters.opa.snapshot import Source
from gateway.adapters.opa.status import PolicyEvent
from gateway.errors import Unrecorded
from gateway.model import Json

PATIENCE_S = 90.0
SUBJECT = {"type": "user", "authentication": "jwt", "groups": [], "scopes": [], "issuer": "i", "id": "ada"}
FAILING = """
_odd(backend) if {
	backend == "crm7"
	to_number(backend) > 0
}
"""


@dataclass
class Book:
    """An audit that keeps what it gets, or refuses it."""

    records: list[Mapping[str, Json]] = field(default_factory=list)
    full: bool = False

    async def write(self, record: Mapping[str, Json]) -> None:
        if self.full:
            raise Unrecorded("no space left")
        self.records.append(record)


def document(backend: str, decision_id: str = "0" * 32) -> bytes:
    return msgspec.json.encode(
        {
            "input": {
                "subject": {**SUBJECT, "claims": {}},
                "action": {"name": "tools/list", "phase": "list"},
                "context": {"surface": "default"},
                "resources": [{"type": "tool", "backend": backend, "id": f"{backend}__act"}],
                "exchange": {"decision_id": decision_id, "request_id": "x1"},
            }
        }
    )


def within(seconds: float, test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await test

    try:
        asyncio.run(bounded())
    finally:
        gc.collect()  # now: what is told of an object that ends while pytest reads a failing test's source ends pytest itself


async def until(holds: Callable[[], bool]) -> None:
    """The candidate's processes have the lowest priority: where others are busy, it takes what they leave."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 — what is waited for happens in another process
            await asyncio.sleep(0.005)


def priorities(pid: int) -> set[tuple[str, str]]:
    """Niceness and scheduling policy of all threads of a process; none: it has ended."""
    try:
        tasks = [task.joinpath("stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return set()
    fields = [text.rpartition(")")[2].split() for text in tasks]
    return {(each[16], each[38]) for each in fields if each[0] != "Z"}  # proc(5): fields 19 and 41


def environment(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@dataclass
class Pair:
    """A live set that sees the CRM only, and in its shadow one that sees every backend but `other`."""

    decider: Shadowed
    shadow: Shadow
    book: Book
    folder: Path  # of the candidate
    events: list[PolicyEvent]

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(self.shadow.outcomes)

    def differences(self) -> list[Json]:
        return [each["differences"] for each in self.book.records if each["type"] == "shadow"]


@asynccontextmanager
async def shadowing(opa: str, policies: Path, budget: Budget | None = None, **planned: float) -> AsyncIterator[Pair]:
    folder = policies.with_name("candidate")
    shutil.copytree(policies, folder)
    rule = folder / "mcp/authz/decision.rego"
    rule.write_text(rule.read_text().replace('resource.backend == "crm"', 'resource.backend != "other"'))
    schemas = policies.with_name("schemas")
    live = PolicySetDecider(Source(policies, schemas), opa, Limits(), lambda event: None)
    plan = msgspec.structs.replace(Plan(opa, str(folder), str(schemas), None, deadline_s=2.0), **planned)
    book, events = Book(), list[PolicyEvent]()
    shadow = Shadow(plan, budget or Budget(), book, events.append)
    await live.start()
    shadow.start()
    try:
        await until(lambda: shadow.state.ready)
        yield Pair(Shadowed(live, shadow), shadow, book, folder, events)
    finally:
        await shadow.close()
        await live.close()


def test_what_the_candidate_would_have_done_otherwise_is_told_under_the_live_decisions_id(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies) as pair:
            candidate = pair.shadow.state.revision
            for backend in ("crm", "shop", "other"):
                verdict = await pair.decider.decide(document(backend, "a" * 32))
                assert isinstance(verdict.result, dict)
                assert verdict.result["visible"] == ([0] if backend == "crm" else [])  # the live answer, whatever the other is
            await until(lambda: sum(pair.outcomes.values()) == 3 and pair.book.records != [])
            assert pair.outcomes == {"same": 2, "different": 1}
            assert pair.book.records == [
                {
                    "type": "shadow",
                    "exchange_id": "x1",
                    "surface": "default",
                    "method": "tools/list",
                    "phase": "list",
                    "subject": SUBJECT,
                    "decision_id": "a" * 32,
                    "revision": pair.decider.revision,
                    "candidate": candidate,
                    "differences": [{"kind": "newly-shown", "rules": [], "items": ["shop__act"], "count": 1}],
                }
            ]
        assert pair.book.records[1:] == [
            {
                "type": "shadow_period",
                "candidate": candidate,
                "compared": {"same": 2, "different": 1, "failed": 0, "dropped": 0},
                "unwritten": 0,
            }
        ]

    within(PATIENCE_S, main())


def test_what_a_candidate_was_compared_with_is_told_under_its_revision_soon_and_before_the_next_ones(
    opa: str, policies: Path
) -> None:
    def told(pair: Pair) -> list[tuple[Json, Json]]:
        return [(each["candidate"], each["compared"]) for each in pair.book.records if each["type"] == "shadow_period"]

    def figures(**counts: int) -> Json:
        return {"same": 0, "different": 0, "failed": 0, "dropped": 0, **counts}

    async def main() -> None:
        async with shadowing(opa, policies) as pair:
            first = pair.shadow.state.revision
            await pair.decider.decide(document("shop"))
            await until(lambda: pair.outcomes == {"different": 1})
            rule = pair.folder / "mcp/authz/decision.rego"
            rule.write_text(rule.read_text().replace('!= "other"', '!= "other"; resource.backend != "shop"'))
            await until(lambda: pair.shadow.state.revision not in (None, first))
            assert told(pair) == [(first, figures(different=1))]
            await pair.decider.decide(document("shop"))
            await until(lambda: len(told(pair)) > 1)
            assert told(pair)[1:] == [(pair.shadow.state.revision, figures(same=1))]

    within(PATIENCE_S, main())


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies, Budget(queue=2)) as pair:
            assert pair.shadow.state.pid is not None
            with stopped(pair.shadow.state.pid):
                for _ in range(10):
                    await pair.decider.decide(document("shop"))
                assert pair.outcomes == {"dropped": 8}
            await until(lambda: pair.outcomes == {"dropped": 8, "different": 2})

    within(PATIENCE_S, main())


def test_the_documents_that_wait_are_bounded_together_by_their_size(opa: str, policies: Path) -> None:
    async def main() -> None:
        size = len(document("shop"))
        async with shadowing(opa, policies, Budget(queued_bytes=3 * size)) as pair:
            verdict = await pair.decider.live.decide(document("shop"))
            for _ in range(5):  # without a pause: the one who compares has no turn between them
                pair.shadow.offer(document("shop"), verdict)
            assert pair.outcomes == {"dropped": 2}
            await until(lambda: pair.outcomes.get("different") == 3)

    within(PATIENCE_S, main())


def test_a_candidate_that_does_not_answer_costs_a_live_decision_nothing(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies, deadline_s=0.3) as pair:
            assert pair.shadow.state.pid is not None
            loop = asyncio.get_running_loop()
            with stopped(pair.shadow.state.pid):
                began = loop.time()
                for _ in range(5):
                    await pair.decider.decide(document("shop"))
                assert loop.time() - began < 0.3
                await until(lambda: pair.outcomes.get("failed", 0) >= 1)
            assert pair.differences() == []  # no answer is no difference

    within(PATIENCE_S, main())


def test_the_share_is_drawn_by_the_decisions_ids(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies, Budget(share=0.25)) as pair:
            for first in "0123456789abcdef":
                await pair.decider.decide(document("crm", first * 32))
            await until(lambda: pair.outcomes.get("same") == 4)
            assert pair.outcomes == {"same": 4}

    within(PATIENCE_S, main())


def test_a_caller_cannot_choose_by_its_arguments_whether_it_is_compared(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies, Budget(share=0.5)) as pair:
            verdict = await pair.decider.live.decide(document("crm"))
            arguments = b'"arguments":{"exchange":{"decision_id":"' + b"0" * 32 + b'"}}'
            forged = document("crm", "f" * 32).replace(b'{"input":{', b'{"input":{' + arguments + b",")
            pair.shadow.offer(forged, verdict)
            pair.shadow.offer(document("crm", "0" * 32), verdict)
            await until(lambda: pair.outcomes == {"same": 1})  # the second one, and not the first

    within(PATIENCE_S, main())


def test_a_candidate_that_differs_everywhere_writes_no_more_than_its_allowance(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies, records_per_s=2.0) as pair:
            for _ in range(30):
                await pair.decider.decide(document("shop"))
            await until(lambda: pair.outcomes.get("different") == 30)
        written = len(pair.differences())
        assert 2 <= written < 15
        assert pair.book.records[-1]["unwritten"] == 30 - written

    within(PATIENCE_S, main())


def test_an_audit_that_cannot_be_written_stops_no_comparison(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies) as pair:
            pair.book.full = True
            await pair.decider.decide(document("shop"))
            await pair.decider.decide(document("crm"))
            await until(lambda: pair.outcomes == {"different": 1, "same": 1})

    within(PATIENCE_S, main())


def test_a_candidate_that_gives_no_decision_is_told_with_its_cause(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies) as pair:
            before = pair.shadow.state.revision
            rule = pair.folder / "mcp/authz/decision.rego"
            seen = 'resource.backend != "other"'
            rule.write_text(rule.read_text().replace(seen, f"{seen}; not _odd(resource.backend)") + FAILING)
            await until(lambda: pair.shadow.state.revision != before)
            await pair.decider.decide(document("crm7"))
            await until(lambda: pair.book.records != [])
            (record,) = pair.book.records
            assert (record["cause"], pair.differences()) == (
                "status",
                [[{"kind": "newly-undecided", "rules": [], "items": ["crm7__act"], "count": 1}]],
            )

    within(PATIENCE_S, main())


def test_a_broken_candidate_is_a_note_and_what_was_compared_goes_on(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies) as pair:
            before = pair.shadow.state.revision
            (pair.folder / "mcp/authz/decision.rego").write_text("package mcp.authz\n\nnonsense {\n")
            await until(lambda: pair.shadow.check().note)
            assert [each.kind for each in pair.events] == ["enforced", "rejected"]
            check = pair.shadow.check()
            assert check.ok and "mcp/authz/decision.rego:" in check.detail
            await pair.decider.decide(document("shop"))
            await until(lambda: pair.outcomes == {"different": 1})
            assert pair.shadow.state.revision == before
            figures = {sample.name: sample.value for metric in pair.shadow.collect() for sample in metric.samples}
            assert (figures["mcp_gateway_shadow_up"], figures["mcp_gateway_shadow_rejected"]) == (1, 1)

    within(PATIENCE_S, main())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_compares_and_the_candidates_opa_have_the_lowest_priority_and_opa_one_processor(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies) as pair:
            assert pair.shadow.pid is not None and pair.shadow.state.pid is not None
            lowest = {("19", str(os.SCHED_IDLE))}
            assert priorities(pair.shadow.pid) == priorities(pair.shadow.state.pid) == lowest
            assert "GOMAXPROCS=1" in environment(pair.shadow.state.pid)

    within(PATIENCE_S, main())


def test_a_process_that_dies_costs_what_it_had_and_comes_back(opa: str, policies: Path) -> None:
    async def main() -> None:
        async with shadowing(opa, policies) as pair:
            await pair.decider.decide(document("shop"))
            await until(lambda: pair.outcomes == {"different": 1})
            assert pair.shadow.pid is not None and pair.shadow.state.pid is not None
            candidate = pair.shadow.state.pid
            os.kill(pair.shadow.pid, signal.SIGKILL)
            await until(lambda: pair.shadow.pid is None)
            assert pair.shadow.check().note
            await pair.decider.decide(document("shop"))  # decided all the same
            assert pair.outcomes == {"different": 1, "failed": 1}
            await until(lambda: pair.shadow.state.ready)
            await pair.decider.decide(document("crm"))
            await until(lambda: pair.outcomes == {"different": 1, "failed": 1, "same": 1})
            await until(lambda: not priorities(candidate))  # its OPA went with it

    within(PATIENCE_S, main())

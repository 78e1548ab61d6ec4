"""`make soak`: 100,000 calls and lists of both eras through the gateway, and whether memory and descriptors stay flat.

In laps: between two of them every connection is closed and every session ended, so what is still held then is held for
good. The first fifth warms up. Fails when the resident memory of the gateway then grows by more than a tenth, or OPA's by more
than a quarter, when descriptors are left over, or when the time is up.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.client import Connection, Failed, Target, checked, legacy, modern, request
from bench.run import opened
from bench.stack import Stack, stack

CONCURRENCY = 16
LAPS = 20
WARM_LAPS = LAPS // 5
MAX_GROWTH = {  # of resident memory, from the first quarter of the laps after the warm-up to the last
    "gateway_rss_mb": 1.1,
    "opa_rss_mb": 1.25,  # Go's collector lets it go up and down by a fifth: 82 to 105 MB in 400,000 calls, without a trend
}
MAX_MORE_DESCRIPTORS = CONCURRENCY  # a pool of connections to a backend may still grow by one for each of us
REFRESH_S = 5.0  # many fetches of the catalog in the warm-up and after it: they make garbage by the thousand items
ANSWER_S = 30.0  # for one answer; later is a failure, not a slow machine
SETTLE_LOOK_S = 0.25  # for the gateway to notice that its clients have gone
SETTLE_LOOKS = 20
ECHO = {"name": "echo", "arguments": {"text": "hello"}}
BIG = {"name": "big", "arguments": {"text": "x"}}
NEW_USERS = itertools.count()

MIX = (
    *("modern_call",) * 6,
    *("legacy_call",) * 5,
    "new_user_call",  # a subject never seen before: what is kept for each subject must have a bound
    *("modern_list",) * 2,
    "legacy_list",
    "big",
    "redacted",
    "stream",
    "unknown",
    "opened_and_ended",  # a legacy session of its own
)


@dataclass(frozen=True)
class Sample:
    """What is held between two laps."""

    calls: int
    gateway_rss_mb: float
    opa_rss_mb: float
    descriptors: int


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=30.0, help="fail when it takes longer (default: %(default)g)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcp-gateway-soak-") as folder, stack(Path(folder), refresh_s=REFRESH_S) as running:
        try:
            async with asyncio.timeout(options.minutes * 60):
                samples = await laps(running, options.calls)
        except TimeoutError:
            print(f"FAILED: not done after {options.minutes:g} minutes")
            return 1
    problems = findings(samples)
    for problem in problems:
        print(f"FAILED: {problem}")
    if not problems:
        print(f"flat over {samples[-1].calls} calls: {json.dumps(vars(samples[WARM_LAPS]))} -> {json.dumps(vars(samples[-1]))}")
    return 1 if problems else 0


async def laps(running: Stack, calls: int) -> list[Sample]:
    """A sample before the first lap and after each."""
    per_worker = max(1, calls // LAPS // CONCURRENCY)
    samples = [sample_of(running, 0)]
    for lap in range(LAPS):
        started = time.perf_counter()
        async with asyncio.TaskGroup() as workers:
            for worker in range(CONCURRENCY):
                workers.create_task(worked(running, worker, per_worker))
        took_s = time.perf_counter() - started
        done = (lap + 1) * per_worker * CONCURRENCY
        sample = await settled(running, done)
        samples.append(sample)
        print(
            f"{done:>7} calls  {per_worker * CONCURRENCY / took_s:6.0f}/s  gateway {sample.gateway_rss_mb:6.1f} MB  "
            f"OPA {sample.opa_rss_mb:6.1f} MB  {sample.descriptors:4} descriptors{'  (warm-up)' if lap < WARM_LAPS else ''}",
            flush=True,
        )
    return samples


async def worked(running: Stack, worker: int, calls: int) -> None:
    """One client's lap: one connection, one legacy session, the mix begun at another place by each."""
    target = running.target("gateway", "b10")
    connection = await Connection.open(target)
    session = await opened(target)
    for kind in itertools.islice(mixed(worker), calls):
        async with asyncio.timeout(ANSWER_S):
            await one(kind, connection, running, session)
    await ended(connection, target, session)
    connection.close()


def mixed(worker: int) -> Iterator[str]:
    return itertools.islice(itertools.cycle(MIX), worker * 7 % len(MIX), None)


async def one(kind: str, connection: Connection, running: Stack, session: str) -> None:
    target = running.target("gateway", "b10")
    if kind == "opened_and_ended":
        await ended(connection, target, await opened(target))
        return
    head, body = await connection.ask(written(kind, running, session))
    if kind != "unknown":
        checked(head, body)
    elif b'"error":' not in body:
        raise Failed(f"an unknown tool was answered: {head[:200]!r} {body[:400]!r}")


def written(kind: str, running: Stack, session: str) -> bytes:
    """The request of one kind, whole."""
    target = running.target("gateway", "b10")
    match kind:
        case "modern_call":
            return modern(target, "tools/call", ECHO)
        case "legacy_call":
            return legacy(target, "tools/call", ECHO, session=session)
        case "new_user_call":
            return modern(target, "tools/call", ECHO, user=f"soak-{next(NEW_USERS)}")
        case "modern_list":
            return modern(running.target("gateway", "b200"), "tools/list", {})
        case "legacy_list":
            return legacy(target, "tools/list", {}, session=session)
        case "big":
            return modern(target, "tools/call", BIG)
        case "redacted":
            return modern(running.target("gateway", "b200"), "tools/call", BIG)
        case "stream":
            return modern(target, "tools/call", {"name": "stream", "arguments": {"text": "x"}})
        case _:
            return modern(target, "tools/call", {"name": "nothing", "arguments": {}})


async def ended(connection: Connection, target: Target, session: str) -> None:
    nothing: dict[str, Any] = {}
    post = request(target, nothing, [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", session)])
    head, _ = await connection.ask(post.replace(b"POST ", b"DELETE ", 1))
    if not head.startswith(b"HTTP/1.1 200"):
        raise Failed(f"a session could not be ended: {head[:200]!r}")


async def settled(running: Stack, calls: int) -> Sample:
    """Once as many descriptors are left as a moment before: what leaks does not go away by waiting."""
    before = descriptors(running.gateway_pid)
    for _ in range(SETTLE_LOOKS):
        await asyncio.sleep(SETTLE_LOOK_S)
        now = descriptors(running.gateway_pid)
        if now == before:
            break
        before = now
    return sample_of(running, calls)


def sample_of(running: Stack, calls: int) -> Sample:
    return Sample(calls, rss_mb(running.gateway_pid), rss_mb(running.opa_pids("gateway")[0]), descriptors(running.gateway_pid))


def findings(samples: list[Sample]) -> list[str]:
    """What is not flat; empty is good. The least of some laps counts: garbage comes and goes, a leak lifts the floor."""
    kept = samples[WARM_LAPS:]
    quarter = max(1, len(kept) // 4)
    first, last = kept[:quarter], kept[-quarter:]
    problems: list[str] = []
    for name, most in MAX_GROWTH.items():
        before, after = (min(getattr(each, name) for each in part) for part in (first, last))
        if after > before * most:
            problems.append(f"{name} grew from {before:.1f} to {after:.1f} after the warm-up")
    held, left = kept[0].descriptors, min(each.descriptors for each in last)
    if left > held + MAX_MORE_DESCRIPTORS:
        problems.append(f"descriptors grew from {held} to {left} after the warm-up")
    return problems


def rss_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

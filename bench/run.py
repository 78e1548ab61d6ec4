"""`make bench`: every case direct and through the gateway, in turns within one run, on one machine.

Writes bench/results.json and prints a table. Latency is measured at concurrency 1, throughput and CPU at 16; CPU is the
processes' own (user and system), per request; the peak is the gateway's.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import credentials
from bench.client import Connection, Target, checked, legacy, modern
from bench.stack import USERS, Stack, stack

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
RESULTS = Path(__file__).resolve().parent / "results.json"
CONCURRENCY = 16
QUIET_LOAD = 0.5
TURN = 50  # requests of one arm at concurrency 1, before it is the other's turn
BREATH_S = 0.2  # between two turns: what one arm left to be done in the background is no cost of the other


@dataclass(frozen=True)
class Case:
    """One kind of request. `surface`: which backend's; `requests`: per arm and round at concurrency 16."""

    name: str
    surface: str
    method: str
    params: dict[str, Any] = field(default_factory=dict)
    era: str = "modern"
    first: bool = False  # every request by a subject that was never seen
    requests: int = 400
    alone: int = 100  # at concurrency 1
    only_gateway: bool = False
    shadow: bool = False  # through a gateway with a shadow, in turns with the one that has none


ECHO = {"name": "echo", "arguments": {"text": "hello"}}
CASES = (
    Case("modern_call", "b10", "tools/call", ECHO, requests=1600, alone=300),
    Case("modern_call_shadow", "b10", "tools/call", ECHO, requests=1600, alone=600, shadow=True),
    Case("legacy_call", "b10", "tools/call", ECHO, era="legacy", requests=1600, alone=300),
    Case("list_10", "b10", "tools/list", requests=800, alone=200),
    Case("list_200", "b200", "tools/list", requests=400, alone=100),
    Case("list_1000", "b1000", "tools/list", requests=160, alone=60),
    Case("list_10_first", "b10", "tools/list", first=True, requests=400, alone=100, only_gateway=True),
    Case("list_200_first", "b200", "tools/list", first=True, requests=96, alone=30, only_gateway=True),
    Case("list_1000_first", "b1000", "tools/list", first=True, requests=32, alone=12, only_gateway=True),
    Case("result_50kb", "b10", "tools/call", {"name": "big", "arguments": {"text": "x"}}, requests=800, alone=200),
    Case("result_50kb_redacted", "b200", "tools/call", {"name": "big", "arguments": {"text": "x"}}, requests=400, alone=100),
    Case("stream_20_events", "b10", "tools/call", {"name": "stream", "arguments": {"text": "x"}}, requests=320, alone=80),
)


@dataclass
class Taken:
    """What one arm of one case took, over all rounds."""

    latencies_ms: list[float] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0
    gateway_cpu_s: float = 0.0
    opa_cpu_s: float = 0.0


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="cases whose name contains this")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.only or options.only in case.name]
    shadow = any(case.shadow for case in cases)
    rows: list[dict[str, Any]] = []
    load_before = os.getloadavg()[0]
    if load_before > QUIET_LOAD:
        print(f"the machine is not quiet (load {load_before:.1f}): take the figures for what they are", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="mcp-gateway-bench-") as folder, stack(Path(folder), shadow=shadow) as running:
        for case in cases:
            print(f"{case.name} …", file=sys.stderr, flush=True)
            rows += await measured(case, running, options.rounds)
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "load_before": round(load_before, 2),  # of the minute before the run: what else the machine did
        "rounds": options.rounds,
    }
    callers = [] if options.only else await credentials.measured()
    RESULTS.write_text(json.dumps({"machine": machine, "cases": rows, "credentials": callers}, indent=1) + "\n")
    Console(width=140).print(table(rows))
    for each in callers:
        print(credentials.line(each))
    print(f"written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")
    return 0


async def measured(case: Case, running: Stack, rounds: int) -> list[dict[str, Any]]:
    arms = ("gateway",) if case.only_gateway else ("direct", "gateway")
    if case.shadow:
        arms = ("gateway", "shadow")
    taken = {arm: Taken() for arm in arms}
    for round in range(rounds + 1):  # the first one warms up
        kept = taken if round else {arm: Taken() for arm in arms}
        await alone(case, running, kept)
        for arm in arms:
            await together(case, running, arm, kept[arm])
    return [row(case, arm, taken[arm], running) for arm in arms]


async def alone(case: Case, running: Stack, kept: dict[str, Taken]) -> None:
    """At concurrency 1 the arms take short turns, since a machine is faster now and slower then."""
    asking = []
    for arm, taken in kept.items():
        (make,) = await requests_of(case, running, arm, 1)
        asking.append((await Connection.open(running.target(arm, case.surface)), make, taken))
    for begun in range(0, case.alone, TURN):
        for connection, make, taken in asking:
            await asyncio.sleep(BREATH_S)
            for _ in range(min(TURN, case.alone - begun)):
                request = make()
                started = time.perf_counter()
                head, body = await connection.ask(request)
                taken.latencies_ms.append((time.perf_counter() - started) * 1e3)
                checked(head, body)
        asking.reverse()  # neither always goes first
    for connection, _, _ in asking:
        connection.close()


async def together(case: Case, running: Stack, arm: str, kept: Taken) -> None:
    requests = await requests_of(case, running, arm, CONCURRENCY)
    each = max(1, case.requests // CONCURRENCY)
    prepared = [[make() for _ in range(each)] for make in requests]
    connections = [await Connection.open(running.target(arm, case.surface)) for _ in prepared]
    gateway, opa = cpu_s(running.pid(arm)), opa_cpu_s(running, arm)
    started = time.perf_counter()
    await asyncio.gather(*(asked(connection, own) for connection, own in zip(connections, prepared, strict=True)))
    kept.seconds += time.perf_counter() - started
    kept.gateway_cpu_s += cpu_s(running.pid(arm)) - gateway
    kept.opa_cpu_s += opa_cpu_s(running, arm) - opa
    kept.requests += each * len(prepared)
    for connection in connections:
        connection.close()


async def asked(connection: Connection, requests: list[bytes]) -> None:
    for request in requests:
        checked(*await connection.ask(request))


async def requests_of(case: Case, running: Stack, arm: str, count: int) -> list[Callable[[], bytes]]:
    """One maker of requests for each connection."""
    target = running.target(arm, case.surface)
    if case.era == "legacy":
        sessions = [await opened(target) for _ in range(count)]
        return [lambda session=session: legacy(target, case.method, case.params, session=session) for session in sessions]  # type: ignore[misc]
    if case.first:
        return [lambda: modern(target, case.method, case.params, user=f"user-{next(USERS)}") for _ in range(count)]
    whole = modern(target, case.method, case.params)
    return [lambda: whole for _ in range(count)]


async def opened(target: Target) -> str:
    """A legacy session."""
    connection = await Connection.open(target)
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    head, _ = await connection.ask(legacy(target, "initialize", client, session=""))
    connection.close()
    line = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"mcp-session-id:"))
    return line.split(b":", 1)[1].strip().decode()


def row(case: Case, arm: str, taken: Taken, running: Stack) -> dict[str, Any]:
    cuts = statistics.quantiles(taken.latencies_ms, n=100)
    return {
        "name": case.name,
        "arm": arm,
        "concurrency": CONCURRENCY,
        "p50_ms": round(statistics.median(taken.latencies_ms), 3),
        "p99_ms": round(cuts[98], 3),
        "rps": round(taken.requests / taken.seconds, 1),
        "gateway_cpu_ms_per_request": round(taken.gateway_cpu_s * 1e3 / taken.requests, 3) if arm != "direct" else 0.0,
        "opa_cpu_ms_per_request": round(taken.opa_cpu_s * 1e3 / taken.requests, 3) if arm != "direct" else 0.0,
        "peak_rss_mb": round(peak_rss_mb(running.pid(arm)), 1) if arm != "direct" else 0.0,
    }


def cpu_s(pid: int) -> float:
    """User and system time of one process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def opa_cpu_s(running: Stack, arm: str) -> float:
    """Of the OPA of the gateway that an arm goes through, and of all that its shadow takes."""
    return sum(cpu_s(pid) for pid in running.opa_pids(arm))


def peak_rss_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def table(rows: list[dict[str, Any]]) -> Table:
    shown = Table(title="latency at concurrency 1; rps and CPU at 16")
    for column in ("case", "arm", "p50 ms", "p99 ms", "added p50", "rps", "gateway CPU ms", "OPA CPU ms", "peak MB"):
        shown.add_column(column, justify="left" if column in {"case", "arm"} else "right")
    without = {each["name"]: each["p50_ms"] for each in reversed(rows) if each["arm"] in {"direct", "gateway"}}
    for each in rows:
        base = without.get(each["name"], each["p50_ms"])
        added = f"{each['p50_ms'] - base:.2f}" if each["p50_ms"] != base else ""
        cells = (each["p50_ms"], each["p99_ms"], added, each["rps"], each["gateway_cpu_ms_per_request"])
        rest = (each["opa_cpu_ms_per_request"], each["peak_rss_mb"])
        shown.add_row(each["name"], each["arm"], *(str(cell) for cell in (*cells, *rest)))
    return shown


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""Five hundred listeners and a change of policy: told over the window, only those whose view changed, and no call stalls."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from gateway.exchange.listen import MAX_SPREAD_S, SPREAD_S_PER_LISTENER
from tests.faults.stage import ACT, backend
from tests.flows.running import META, MODERN, TESTERS, Http, Running, gateway, granting, said

LISTENERS = 500
CALLERS = 20  # few, so that a look costs next to nothing: what spreads them is the window and not the work
WINDOW_S = min(MAX_SPREAD_S, SPREAD_S_PER_LISTENER * LISTENERS)
PATIENCE_S = 30.0
OPENED_AT_ONCE = 20
LOOKS = 'mcp_gateway_decision_seconds_count{phase="list"}'
CHANGED = "notifications/tools/list_changed"

HIDING = """\
# METADATA
# title: what acts is not for these
package mcp.servers.desk.acting

hide contains position if {{
	some position, resource in input.resources
	resource.name == "act"
	{condition}
}}
"""


@dataclass
class Stream:
    """One listener, on a connection of its own."""

    writer: asyncio.StreamWriter
    heard: list[tuple[str, float]] = field(default_factory=list)  # method, when

    async def read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(b"data:"):
                self.heard.append((json.loads(line[5:])["method"], time.monotonic()))

    def changes(self) -> list[float]:
        return [at for method, at in self.heard if method == CHANGED]


async def opened(running: Running, who: str, stack: AsyncExitStack, tasks: asyncio.TaskGroup) -> Stream:
    place = urlsplit(running.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    stack.callback(writer.close)
    listen = {"notifications": {"toolsListChanged": True}, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": listen})
    lines = [
        f"POST {place.path} HTTP/1.1",
        f"Host: {place.netloc}",
        f"Authorization: Bearer {running.tokens[who]}",
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        f"MCP-Protocol-Version: {MODERN}",
        "Mcp-Method: subscriptions/listen",
        f"Content-Length: {len(body)}",
    ]
    writer.write("\r\n".join([*lines, "", body]).encode())
    stream = Stream(writer)
    reading = tasks.create_task(stream.read(reader))
    stack.callback(reading.cancel)
    await until(lambda: bool(stream.heard))
    assert stream.heard[0][0] == "notifications/subscriptions/acknowledged"
    return stream


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  # what is waited for happens in another process
            await asyncio.sleep(0.01)


async def until_quiet(running: Running) -> None:
    """Until every listener's view was looked at once: no list is decided any more."""
    counts: list[str] = []
    async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient() as client:
        while len(counts) < 10 or len(set(counts[-10:])) > 1:
            figures = (await client.get(f"{running.operations_url}/metrics")).text
            counts += [line for line in figures.splitlines() if line.startswith(LOOKS)]
            await asyncio.sleep(0.1)


def ruled(policies: Path, condition: str) -> float:
    """When the rule was put there, whole."""
    half = policies.parent / "half"
    half.write_text(HIDING.format(condition=condition))
    half.rename(policies / "mcp/servers/desk/acting.rego")
    return time.monotonic()


async def called(http: Http, took_s: list[float]) -> None:
    """One call after the other, until it is cancelled."""
    while True:
        began = time.monotonic()
        answer = await asyncio.to_thread(http.modern, "tools/call", {"name": "desk__other", "arguments": {}})
        assert said(answer)["result"]["content"], answer.text
        took_s.append(time.monotonic() - began)


def test_five_hundred_listeners_are_told_over_the_window_and_only_those_whose_view_changed(tmp_path: Path) -> None:
    callers = [f"{kind}{number}" for number in range(CALLERS // 2) for kind in ("seeing", "other")]
    policies = granting(tmp_path, "desk")
    known = {name: {"groups": TESTERS} for name in (*callers, "caller")}
    limits = {"streams_per_caller": LISTENERS}
    with backend("desk") as desk:
        desk.tools = [ACT, {**ACT, "name": "other"}]
        place = gateway(tmp_path, {"desk": desk.url}, known, policies=policies, limits=limits)
        with place as running, Http(running, "caller") as http:

            async def main() -> None:
                async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
                    turn = asyncio.Semaphore(OPENED_AT_ONCE)

                    async def one(name: str) -> Stream:
                        async with turn:
                            return await opened(running, name, stack, tasks)

                    names = callers * (LISTENERS // CALLERS)
                    streams = await asyncio.gather(*map(one, names))
                    seeing = [stream for name, stream in zip(names, streams, strict=True) if name.startswith("seeing")]
                    others = [stream for name, stream in zip(names, streams, strict=True) if name.startswith("other")]

                    await until_quiet(running)
                    took_s: list[float] = []
                    calls = tasks.create_task(called(http, took_s))
                    stack.callback(calls.cancel)
                    await until(lambda: len(took_s) >= 50)
                    quiet_s = sorted(took_s)
                    began = len(took_s)

                    ruled(policies, 'startswith(input.subject.id, "seeing")')
                    await until(lambda: all(stream.changes() for stream in seeing))
                    busy_s = sorted(took_s[began:])
                    first = sorted(stream.changes()[0] for stream in seeing)
                    in_a_tenth = max(sum(at <= each < at + WINDOW_S / 10 for each in first) for at in first)
                    print(f"told over {first[-1] - first[0]:.2f} s, at most {in_a_tenth} in a tenth of the window")
                    print(f"calls p50 {statistics.median(quiet_s):.4f} s before, {statistics.median(busy_s):.4f} s while")
                    print(f"longest {quiet_s[-1]:.3f} s before, {busy_s[-1]:.3f} s while; {len(busy_s)} calls")
                    assert first[-1] - first[0] > WINDOW_S / 2
                    assert in_a_tenth < len(seeing) / 2
                    assert busy_s[-1] < 2.0

                    second = ruled(policies, "input.subject.id != input.subject.type")
                    await until(lambda: all(stream.changes() for stream in others))
                    assert all(len(stream.changes()) == 1 for stream in streams)
                    assert min(stream.changes()[0] for stream in others) > second  # the first change told them nothing

            asyncio.run(main())

"""A client that goes away: a modern one ends its call at the backend, a legacy one has it carried out; both are recorded."""

import asyncio
import json
from typing import Any

import pytest

from tests.flows.running import (
    ACCEPT,
    META,
    MODERN,
    PATIENCE_S,
    Http,
    Running,
    counts,
    eventually,
    run,
)

ERAS = {"new": "modern", "old": "legacy"}
BACKENDS = pytest.mark.parametrize("backend", ERAS)
LONG = {"steps": 1, "pause_s": 30.0}


@pytest.fixture
def running(open_gateway: Running) -> Running:
    return open_gateway


class Caller:
    """One connection, of which the test decides when it ends."""

    def __init__(self, running: Running, session: dict[str, str] | None = None) -> None:
        self._running = running
        self._session = session
        self._writer: asyncio.StreamWriter | None = None
        self.reader: asyncio.StreamReader

    async def call(self, tool: str, arguments: dict[str, Any], *, id: int = 1) -> None:
        """Send a call that wants progress, and wait for no answer."""
        modern = self._session is None
        meta = {**META, "progressToken": "p"} if modern else {"progressToken": "p"}
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        body = json.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).encode()
        named = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        headers = {**ACCEPT, **self._running.headers("tester"), **(named if modern else self._session or {})}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = ["POST /mcp HTTP/1.1", f"Host: 127.0.0.1:{self._running.port}", f"Content-Length: {len(body)}", *lines]
        self.reader, self._writer = await asyncio.open_connection("127.0.0.1", self._running.port)
        self._writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await self._writer.drain()

    async def until(self, ending: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(ending)

    async def go(self) -> None:
        assert self._writer is not None
        self._writer.close()
        await self._writer.wait_closed()


def settled(running: Running, before: int) -> list[tuple[str, str]]:
    """Records of calls since `before`: their types and outcomes."""
    return [(line["type"], line.get("outcome", "")) for line in running.audit()[before:] if line.get("method") == "tools/call"]


@BACKENDS
def test_a_modern_client_that_goes_away_ends_its_call_at_the_backend(
    running: Running, places: dict[str, str], backend: str
) -> None:
    async def main() -> None:
        before, cancelled = len(running.audit()), counts(places[backend]).get("cancelled", 0)
        caller = Caller(running)
        await caller.call(f"{backend}__slow", LONG)
        await caller.until(b"step 1")  # it is at work
        await caller.go()
        await eventually(lambda: counts(places[backend]).get("cancelled", 0) > cancelled)
        await eventually(lambda: settled(running, before) == [("intent", ""), ("outcome", "cancelled")])

    run(main())


@BACKENDS
def test_a_modern_client_that_goes_away_in_silence_is_noticed(running: Running, places: dict[str, str], backend: str) -> None:
    async def main() -> None:
        before, seen = len(running.audit()), counts(places[backend])
        caller = Caller(running)
        await caller.call(f"{backend}__log", {"text": "first"})
        await caller.until(b"logged")
        await caller.go()
        quiet = Caller(running)
        await quiet.call(f"{backend}__slow", {"steps": 1, "pause_s": 30.0})
        await eventually(lambda: counts(places[backend])["tools/call"] >= seen.get("tools/call", 0) + 2)
        await quiet.go()
        await eventually(lambda: counts(places[backend]).get("cancelled", 0) > seen.get("cancelled", 0))
        await eventually(
            lambda: settled(running, before) == [("intent", ""), ("outcome", "ok"), ("intent", ""), ("outcome", "cancelled")]
        )

    run(main())


@BACKENDS
def test_a_legacy_client_that_goes_away_has_its_call_carried_out_and_recorded(
    running: Running, places: dict[str, str], backend: str
) -> None:
    async def main() -> None:
        with Http(running, "tester") as http:
            http.begin()
            before, cancelled = len(running.audit()), counts(places[backend]).get("cancelled", 0)
            caller = Caller(running, http.session)
            await caller.call(f"{backend}__slow", {"steps": 3, "pause_s": 0.3})
            await caller.until(b"step 1")
            await caller.go()
            await eventually(lambda: len(settled(running, before)) == 2)
            assert settled(running, before) == [("intent", ""), ("outcome", "ok")]
            assert counts(places[backend]).get("cancelled", 0) == cancelled

    run(main())


@BACKENDS
def test_a_legacy_client_cancels_by_a_notification(running: Running, places: dict[str, str], backend: str) -> None:
    async def main() -> None:
        with Http(running, "tester") as http, Http(running, "tester") as stranger:
            http.begin()
            stranger.begin()
            before, cancelled = len(running.audit()), counts(places[backend]).get("cancelled", 0)
            caller = Caller(running, http.session)
            await caller.call(f"{backend}__slow", LONG, id=7)
            await caller.until(b"step 1")
            for told in (stranger, http):  # another session's word ends nothing, nor does another type of the id
                assert told.legacy("notifications/cancelled", {"requestId": "7"}, id=None).status_code == 202
            assert stranger.legacy("notifications/cancelled", {"requestId": 7}, id=None).status_code == 202
            assert settled(running, before) == [("intent", "")]
            assert http.legacy("notifications/cancelled", {"requestId": 7}, id=None).status_code == 202
            rest = await caller.until(b"0\r\n\r\n")
            assert b'"result"' not in rest
            assert b'"error"' not in rest
            await caller.go()
            await eventually(lambda: counts(places[backend]).get("cancelled", 0) > cancelled)
            assert settled(running, before) == [("intent", ""), ("outcome", "cancelled")]
            assert http.legacy("ping").status_code == 200

    run(main())


def test_a_modern_notification_cancels_nothing(running: Running, places: dict[str, str]) -> None:
    async def main() -> None:
        before = len(running.audit())
        caller = Caller(running)
        await caller.call("new__slow", {"steps": 2, "pause_s": 0.2}, id=7)
        await caller.until(b"step 1")
        with Http(running, "tester") as http:
            body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
            assert http.client.post(http.url, json=body, headers={"MCP-Protocol-Version": MODERN}).status_code == 202
        await caller.until(b"2 steps done")
        await caller.go()
        await eventually(lambda: settled(running, before) == [("intent", ""), ("outcome", "ok")])

    run(main())


def test_nothing_is_left_of_those_who_went_away(running: Running, places: dict[str, str]) -> None:
    """Many at once: every one is cancelled at the backend, closed in the log, and frees its place."""

    async def main() -> None:
        before = len(running.audit())
        callers = [Caller(running) for _ in range(20)]
        await asyncio.gather(*(each.call("new__slow", LONG) for each in callers))
        await asyncio.gather(*(each.until(b"step 1") for each in callers))
        await asyncio.gather(*(each.go() for each in callers))
        await eventually(lambda: settled(running, before).count(("outcome", "cancelled")) == len(callers))
        with Http(running, "tester") as http:
            assert http.modern("tools/call", {"name": "new__echo", "arguments": {"text": "still here"}}).status_code == 200

    run(main())

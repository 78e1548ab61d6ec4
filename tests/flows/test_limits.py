"""Limits against one greedy caller: what is over them is told so and recorded, and nobody else notices."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from tests.flows.running import TESTERS, Http, Running, connected, counts, eventually, gateway, granting, run, said

LIMITS = {"exchanges_per_caller": 2, "streams_per_caller": 1, "sessions_per_caller": 2, "subscriptions_per_stream": 2}
SLOW = {"name": "new__slow", "arguments": {"steps": 1, "pause_s": 30.0}}
ECHO = {"name": "new__echo", "arguments": {"text": "hello"}}


@pytest.fixture(scope="module")
def running(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("limits")
    callers = {"greedy": {"groups": TESTERS}, "modest": {"groups": TESTERS}}
    with gateway(folder, places, callers, policies=granting(folder, *places), limits=LIMITS) as running:
        yield running
        assert "Traceback" not in running.log


def echoed(running: Running, who: str) -> dict[str, Any]:
    with Http(running, who) as http:
        return said(http.modern("tools/call", ECHO))


def test_more_calls_at_once_than_allowed_are_told_so(running: Running, places: dict[str, str]) -> None:
    async def main() -> None:
        asked = counts(places["new"]).get("tools/call", 0)
        async with connected(running.url, running.headers("greedy"), "modern") as client:
            calls = [asyncio.ensure_future(client.call_tool(SLOW["name"], SLOW["arguments"])) for _ in range(2)]  # type: ignore[arg-type]
            await eventually(lambda: counts(places["new"]).get("tools/call", 0) == asked + 2)
            error = echoed(running, "greedy")["error"]
            assert (error["code"], "2 requests under way" in error["message"]) == (1429, True)
            assert running.audit()[-1]["type"] == "refusal"
            assert running.audit()[-1]["kind"] == "busy"
            assert counts(places["new"])["tools/call"] == asked + 2
            assert "result" in echoed(running, "modest")
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        await eventually(lambda: "result" in echoed(running, "greedy"))

    run(main())


def test_more_streams_at_once_than_allowed_are_told_so(running: Running) -> None:
    async def main() -> None:
        async with AsyncExitStack() as open_streams:
            clients = [
                await open_streams.enter_async_context(connected(running.url, running.headers(who), "modern"))
                for who in ("greedy", "modest")
            ]
            for client in clients:
                await open_streams.enter_async_context(client.listen(tools_list_changed=True))
            with pytest.raises(MCPError) as refused:
                async with clients[0].listen(tools_list_changed=True):
                    pass
            assert refused.value.error.code == 1429

    run(main())


def test_more_sessions_than_allowed_are_told_so_until_one_ends(running: Running) -> None:
    with Http(running, "greedy") as first, Http(running, "greedy") as second, Http(running, "modest") as other:
        first.begin()
        second.begin()
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        with Http(running, "greedy") as third:
            answer = third.legacy("initialize", params)
            assert (answer.status_code, said(answer)["error"]["code"]) == (200, 1429)
            assert "mcp-session-id" not in answer.headers
            line = running.audit()[-1]
            assert (line["method"], line["outcome"], line["cause"]) == ("initialize", "limited", "too_many_sessions")
            other.begin()
            first.client.delete(first.url, headers=first.session)
            third.begin()
            assert said(third.legacy("ping"))["result"] == {}


def test_a_stream_watches_no_more_resources_than_allowed(running: Running) -> None:
    uris = [f"gw-new+doc://pages/{number}" for number in range(3)]
    with Http(running, "modest") as http:
        answer = http.modern("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
        assert (answer.status_code, said(answer)["error"]["code"]) == (400, -32602)
    with Http(running, "modest") as http:
        http.begin()
        for uri in uris[:2]:
            assert said(http.legacy("resources/subscribe", {"uri": uri}))["result"] == {}
        assert said(http.legacy("resources/subscribe", {"uri": uris[2]}))["error"]["code"] == 1429

"""A legacy session is opened once for each owner, never for a call, never shared, and ended."""

import asyncio
import json
import urllib.request

import pytest

from gateway.adapters.backends import HttpSpec
from gateway.model import Fault
from tests.adapters.backends.scripted import (
    DONE,
    Received,
    backends,
    eventually,
    failure,
    http,
    legacy,
    messages,
    run,
    scripted,
    text,
    tool_call,
)
from tests.peers.sdk_server import started_server


def counts(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url.removesuffix("/mcp") + "/counts", timeout=5) as answer:
        found: dict[str, int] = json.load(answer)
    return found


async def session_name(received: Received) -> None:
    """A tool that tells which session it was called in."""
    content = [{"type": "text", "text": received.headers.get("mcp-session-id", "none")}]
    received.result({"content": content})


def test_fifty_calls_open_one_session_at_the_official_server() -> None:
    async def main(url: str) -> None:
        async with backends(HttpSpec("crm", url)) as behind:
            calls = [text(behind, tool_call("echo", {"text": str(n)})) for n in range(50)]
            assert await asyncio.gather(*calls) == [str(n) for n in range(50)]
            assert counts(url)["initialize"] == 1
        assert counts(url)["DELETE"] == 1

    with started_server("--era", "legacy") as server:
        run(main(server.url))


def test_two_owners_never_share_a_session_unless_the_backend_is_stateless() -> None:
    async def main(stateless: bool) -> set[str]:
        async with scripted(legacy(session_name)) as server, backends(http(server, stateless=stateless)) as behind:
            owners = ["ada", "ben", "ada", "", "ben"]
            return set(await asyncio.gather(*(text(behind, tool_call(owner=owner)) for owner in owners)))

    assert run(main(False)) == {"s1", "s2", "s3"}
    assert run(main(True)) == {"s1"}


@pytest.mark.parametrize("plain", [True, False])
def test_an_unknown_session_is_opened_anew_once_and_the_refused_call_is_sent_again(plain: bool) -> None:
    async def main() -> None:
        forgotten: set[str] = set()

        async def forgetful(received: Received) -> None:
            if received.headers["mcp-session-id"] not in forgotten:
                await session_name(received)
            elif plain:
                received.head(404, Content_Length="0")
            else:
                received.error(-32600, "Bad Request: No valid session ID provided", 400)

        async with scripted(legacy(forgetful)) as server, backends(http(server)) as behind:
            assert await text(behind, tool_call()) == "s1"
            forgotten.add("s1")
            assert await text(behind, tool_call()) == "s2"
            forgotten.update(f"s{number}" for number in range(10))
            if plain:
                assert await failure(behind, tool_call()) == ("status", False)
            else:
                error = Fault(-32600, "Bad Request: No valid session ID provided", None, "legacy")
                assert await messages(behind, tool_call()) == [error]
            assert len(server.of("initialize")) == 3

    run(main())


def test_a_method_that_a_legacy_server_does_not_know_does_not_cost_the_session() -> None:
    async def main() -> None:
        async def strange(received: Received) -> None:
            if received.rpc == "tools/call":
                await session_name(received)
            else:
                received.error(-32601, "Method not found", 404)

        async with scripted(legacy(strange)) as server, backends(http(server)) as behind:
            assert (await behind.page("crm", "prompt", None, None)).definitions == ()
            assert await text(behind, tool_call(owner="")) == "s1"

    run(main())


def test_at_the_cap_the_least_used_session_ends_and_a_used_one_never_does() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def answers(received: Received) -> None:
            if received.body["params"]["name"] == "wait":
                await go_on.wait()
            await session_name(received)

        async with scripted(legacy(answers)) as server, backends(http(server, max_sessions=2)) as behind:
            assert await text(behind, tool_call(owner="ada")) == "s1"
            waiting = asyncio.ensure_future(text(behind, tool_call("wait", owner="ben")))
            await eventually(lambda: len(server.of("tools/call")) == 2)
            assert await text(behind, tool_call(owner="cyd")) == "s3"
            await eventually(
                lambda: [each.headers["mcp-session-id"] for each in server.received if each.method == "DELETE"] == ["s1"]
            )
            also = asyncio.ensure_future(text(behind, tool_call("wait", owner="cyd")))
            await eventually(lambda: len(server.of("tools/call")) == 4)
            assert await failure(behind, tool_call(owner="ada")) == ("busy", False)
            go_on.set()
            assert [*await asyncio.gather(waiting, also)] == ["s2", "s3"]

    run(main())


def test_an_idle_session_ends_and_the_next_call_opens_another() -> None:
    async def main() -> None:
        async with scripted(legacy(session_name)) as server, backends(http(server, idle_s=0.05), started=True) as behind:
            first = await text(behind, tool_call())
            await eventually(
                lambda: any(each.method == "DELETE" and each.headers["mcp-session-id"] == first for each in server.received)
            )
            assert await text(behind, tool_call()) != first

    run(main())


def test_the_log_level_of_a_session_is_set_once_and_lowered_when_one_wants_more() -> None:
    async def main() -> None:
        async def answers(received: Received) -> None:
            received.result({} if received.rpc == "logging/setLevel" else DONE)

        async with scripted(legacy(answers, {"logging": {}})) as server, backends(http(server)) as behind:
            for level in ("info", "info", "error", "debug", "info"):
                await text(behind, tool_call(log_level=level))
            assert [each.body["params"]["level"] for each in server.of("logging/setLevel")] == ["info", "debug"]

    run(main())


def test_a_session_id_that_could_break_a_header_is_refused() -> None:
    async def main() -> None:
        async def bad(received: Received) -> None:
            if received.rpc == "initialize":
                received.result({"protocolVersion": "2025-11-25"}, Mcp_Session_Id="a b")
            else:
                await legacy(session_name)(received)

        async with scripted(bad) as server, backends(http(server)) as behind:
            assert await failure(behind, tool_call()) == ("not_mcp", False)

    run(main())

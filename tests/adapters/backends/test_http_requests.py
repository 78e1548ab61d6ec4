"""What goes to an HTTP backend, byte by byte, and what of its answer reaches the caller."""

import asyncio

from gateway.adapters.backends import HttpSpec
from gateway.adapters.credentials.secret import Fixed
from gateway.adapters.credentials.static import StaticCredential
from gateway.model import Answer, Fault, JsonObject, Listing, Log, Outgoing, Progress
from tests.adapters.backends.scripted import (
    DONE,
    Received,
    backends,
    done,
    eventually,
    http,
    legacy,
    messages,
    modern,
    run,
    scripted,
    text,
    tool_call,
)
from tests.peers.sdk_server import started_server

CALL = {"name": "act", "arguments": {"n": 2**70}}


def test_a_modern_request_carries_its_metadata_and_the_headers_that_mirror_it() -> None:
    async def main() -> None:
        async with scripted(modern(done)) as server:
            spec = http(server, credential=StaticCredential(Fixed("ours")))
            async with backends(spec) as behind:
                request = Outgoing(
                    "crm",
                    "tools/call",
                    {"name": "über", "arguments": {"n": 2**70}},
                    "ada",
                    meta={"traceparent": "00-1"},
                    progress=True,
                    log_level="warning",
                    param_headers={"Mcp-Param-Region": "eu"},
                )
                await messages(behind, request)
            call = server.of("tools/call")[0]
            names = (
                "authorization",
                "accept",
                "content-type",
                "mcp-protocol-version",
                "mcp-method",
                "mcp-name",
                "mcp-param-region",
            )
            assert {name: call.headers.get(name) for name in names} == {
                "authorization": "Bearer ours",
                "accept": "application/json, text/event-stream",
                "content-type": "application/json",
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": "tools/call",
                "mcp-name": "=?base64?w7xiZXI=?=",
                "mcp-param-region": "eu",
            }
            assert set(call.headers) == {*names, "host", "content-length", "accept-encoding"}
            assert call.body == {
                "jsonrpc": "2.0",
                "id": call.id,
                "method": "tools/call",
                "params": {
                    "name": "über",
                    "arguments": {"n": 2**70},
                    "_meta": {
                        "traceparent": "00-1",
                        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                        "io.modelcontextprotocol/clientCapabilities": {},
                        "io.modelcontextprotocol/clientInfo": {"name": "gateway", "version": "1"},
                        "io.modelcontextprotocol/logLevel": "warning",
                        "progressToken": call.id,
                    },
                },
            }

    run(main())


def test_a_legacy_request_carries_its_session_and_nothing_of_the_modern_era() -> None:
    async def main() -> None:
        async with scripted(legacy(done)) as server:
            async with backends(http(server)) as behind:
                await messages(behind, tool_call())
            initialize, call = server.of("initialize")[0], server.of("tools/call")[0]
            assert "mcp-protocol-version" not in initialize.headers
            assert initialize.body["params"] == {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "gateway", "version": "1"},
            }
            assert (call.headers["mcp-session-id"], call.headers["mcp-protocol-version"]) == ("s1", "2025-11-25")
            assert not [name for name in call.headers if name in ("mcp-method", "mcp-name")]
            assert call.body["params"] == {"name": "act", "arguments": {}}

    run(main())


def test_only_the_callers_own_messages_pass_and_each_as_it_comes() -> None:
    async def main() -> None:
        async def chatter(received: Received) -> None:
            token = received.id
            received.stream()
            received.notify("notifications/progress", progressToken=str(token), progress=1)
            received.notify("notifications/progress", progressToken=token + 1, progress=1)
            received.notify("notifications/progress", progressToken=token, progress="1")
            received.notify("notifications/progress", progressToken=token, progress=1, total=2, message="half", extra=1)
            received.notify("notifications/progress", progressToken=token, progress=0.5)
            received.notify("notifications/message", level="debug", data="no")
            received.notify("notifications/message", level="loud", data="no")
            received.notify("notifications/message", level="error", data={"a": 1}, logger="l", extra=1)
            received.notify("notifications/unknown")
            received.event({"jsonrpc": "2.0", "id": token, "result": DONE})
            received.close()

        wanted = tool_call(progress=True, log_level="info")
        final = Answer(DONE, "modern", 117)
        async with scripted(modern(chatter)) as server, backends(http(server)) as behind:
            *before, answer = await messages(behind, wanted)
            assert before == [
                Progress({"progress": 1, "total": 2, "message": "half"}),
                Log({"level": "error", "data": {"a": 1}, "logger": "l"}),
            ]
            assert isinstance(answer, Answer)
            assert (answer.result, answer.era) == (final.result, final.era)
            assert [type(each) for each in await messages(behind, tool_call())] == [Answer]

    run(main())


def test_an_error_of_the_backend_is_its_answer_whatever_the_status() -> None:
    async def main() -> None:
        async def fails(received: Received) -> None:
            received.error(-32602, "no such tool", 400, {"a": 1})

        async with scripted(modern(fails)) as server, backends(http(server)) as behind:
            assert await messages(behind, tool_call()) == [Fault(-32602, "no such tool", {"a": 1}, "modern")]

    run(main())


def test_leaving_early_closes_the_stream_at_a_modern_backend() -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def long(received: Received) -> None:
            received.stream()
            received.notify("notifications/progress", progressToken=received.id, progress=1)
            await received.writer.drain()
            await received.reader.read()
            gone.set()

        async with scripted(modern(long)) as server, backends(http(server)) as behind:
            under_way = behind.forward(tool_call(progress=True))
            assert await anext(under_way) == Progress({"progress": 1})
            await under_way.aclose()
            async with asyncio.timeout(5):
                await gone.wait()
            assert not server.of("notifications/cancelled")

    run(main())


def test_leaving_early_sends_the_mapped_cancellation_to_a_legacy_backend() -> None:
    async def main() -> None:
        async def long(received: Received) -> None:
            received.stream()
            received.notify("notifications/progress", progressToken=received.id, progress=1)
            await received.writer.drain()
            await asyncio.Event().wait()

        async with scripted(legacy(long)) as server, backends(http(server)) as behind:
            under_way = behind.forward(tool_call(progress=True))
            assert await anext(under_way) == Progress({"progress": 1})
            await under_way.aclose()
            await eventually(lambda: bool(server.of("notifications/cancelled")))
            cancelled = server.of("notifications/cancelled")[0]
            assert cancelled.body["params"]["requestId"] == server.of("tools/call")[0].id
            assert cancelled.headers["mcp-session-id"] == "s1"

    run(main())


def test_connections_are_kept_between_calls() -> None:
    async def main() -> None:
        async with scripted(modern(done)) as server, backends(http(server)) as behind:
            for _ in range(20):
                await text(behind, tool_call())
            assert len({id(each.writer) for each in server.received}) == 1

    run(main())


def test_a_page_is_a_listing_and_an_unknown_list_is_an_empty_one() -> None:
    async def main() -> None:
        async def lists(received: Received) -> None:
            if received.rpc == "tools/list":
                cursor = received.body["params"].get("cursor")
                more = {} if cursor == "2" else {"nextCursor": "2"}
                received.result({"resultType": "complete", "tools": [{"name": f"t{cursor}"}, 7], "ttlMs": 5, **more})
            else:
                received.error(-32601, "Method not found", 404)

        async with scripted(modern(lists)) as server, backends(http(server)) as behind:
            first = await behind.page("crm", "tool", None, None)
            assert first == Listing("crm", "tool", ({"name": "tNone"},), "modern", 5, "2")
            assert await behind.page("crm", "tool", "2", None) == Listing("crm", "tool", ({"name": "t2"},), "modern", 5)
            assert await behind.page("crm", "prompt", None, None) == Listing("crm", "prompt", (), "modern")

    run(main())


def test_the_official_server_answers_everything_in_either_era() -> None:
    async def main(modern_url: str, legacy_url: str, json_url: str, sessionless_url: str) -> None:
        specs = [
            HttpSpec("modern", modern_url, era="modern"),
            HttpSpec("legacy", legacy_url, era="legacy"),
            HttpSpec("json", json_url, era="legacy"),
            HttpSpec("sessionless", sessionless_url, era="legacy"),
        ]
        async with backends(*specs) as behind:
            for backend in ("modern", "legacy", "json", "sessionless"):
                assert await text(behind, tool_call("echo", {"text": "hé"}, backend=backend)) == "hé"
                names = [each["name"] for each in (await behind.page(backend, "tool", None, None)).definitions]
                assert {"echo", "add", "slow", "big"} <= set(names)
                assert [
                    each["uriTemplate"] for each in (await behind.page(backend, "resource_template", None, None)).definitions
                ] == ["doc://pages/{number}"]
                (read,) = await messages(behind, Outgoing(backend, "resources/read", {"uri": "doc://pages/4"}, "ada"))
                assert isinstance(read, Answer)
                assert read.result["contents"] == [{"mimeType": "text/plain", "text": "Page 4.", "uri": "doc://pages/4"}]
                (prompt,) = await messages(
                    behind, Outgoing(backend, "prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}, "ada")
                )
                assert isinstance(prompt, Answer)
                ref: JsonObject = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "name", "value": "b"}}
                (completion,) = await messages(behind, Outgoing(backend, "completion/complete", ref, "ada"))
                assert isinstance(completion, Answer)
                assert completion.result["completion"] == {"values": ["ben", "bea"]}
            for backend in ("modern", "legacy"):
                got = await messages(behind, tool_call("slow", {"steps": 2, "pause_s": 0}, backend=backend, progress=True))
                assert got[:-1] == [
                    Progress({"progress": 1, "total": 2, "message": "step 1"}),
                    Progress({"progress": 2, "total": 2, "message": "step 2"}),
                ]
                got = await messages(behind, tool_call("log", {"text": "hi"}, backend=backend, log_level="info"))
                assert got[:-1] == [Log({"level": level, "data": "hi", "logger": "peer"}) for level in ("info", "error")]
            header = tool_call("forecast", {"city": "Oslo"}, backend="modern", param_headers={"Mcp-Param-City": "Oslo"})
            (weather,) = await messages(behind, header)
            assert isinstance(weather, Answer)
            assert weather.result["structuredContent"] == {"city": "Oslo", "celsius": 21.5}

    with (
        started_server("--era", "modern") as new,
        started_server("--era", "legacy") as old,
        started_server("--era", "legacy", "--json") as plain,
        started_server("--era", "legacy", "--stateless") as sessionless,
    ):
        run(main(new.url, old.url, plain.url, sessionless.url))

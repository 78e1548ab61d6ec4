"""What a backend may do wrong over HTTP, and what its caller then learns. Nothing hangs, nothing is cut, nothing is guessed."""

import asyncio

import pytest

from gateway.adapters.backends import HttpSpec
from tests.adapters.backends.scripted import (
    DONE,
    SHORT,
    Received,
    Script,
    Scripted,
    backends,
    done,
    eventually,
    failure,
    http,
    legacy,
    messages,
    modern,
    run,
    scripted,
    text,
    tool_call,
)

LIMIT_BYTES = 20_000


async def html(received: Received) -> None:
    received.raw(b"<html>hello</html>", kind="text/html")


async def not_json(received: Received) -> None:
    received.raw(b"{nope")


async def array(received: Received) -> None:
    received.json([{"jsonrpc": "2.0", "id": received.id, "result": DONE}])


async def other_id(received: Received) -> None:
    received.json({"jsonrpc": "2.0", "id": received.id + 1, "result": DONE})


async def id_as_text(received: Received) -> None:
    received.json({"jsonrpc": "2.0", "id": str(received.id), "result": DONE})


async def id_as_float(received: Received) -> None:
    received.json({"jsonrpc": "2.0", "id": float(received.id), "result": DONE})


async def no_version(received: Received) -> None:
    received.json({"id": received.id, "result": DONE})


async def result_is_a_list(received: Received) -> None:
    received.result([])


async def result_and_error(received: Received) -> None:
    received.json({"jsonrpc": "2.0", "id": received.id, "result": DONE, "error": {"code": 1, "message": "x"}})


async def error_without_code(received: Received) -> None:
    received.json({"jsonrpc": "2.0", "id": received.id, "error": {"message": "x"}})


async def unknown_result_type(received: Received) -> None:
    received.result({**DONE, "resultType": "banana"})


async def input_required(received: Received) -> None:
    received.result({"resultType": "input_required", "requestState": "s"})


async def accepted(received: Received) -> None:
    received.head(202, Content_Length="0")


async def deep(received: Received) -> None:
    received.raw(b'{"jsonrpc":"2.0","id":%d,"result":' % received.id + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}")


async def very_deep(received: Received) -> None:
    received.raw(b"[" * (LIMIT_BYTES - 1))


async def announced_huge(received: Received) -> None:
    received.head(Content_Type="application/json", Content_Length=str(LIMIT_BYTES + 1))


async def huge(received: Received) -> None:
    received.head(Content_Type="application/json", Connection="close")
    received.writer.write(b" " * (LIMIT_BYTES + 1))


async def huge_event(received: Received) -> None:
    received.stream()
    received.writer.write(b"data: " + b"x" * (LIMIT_BYTES + 1))


async def compressed(received: Received) -> None:
    received.raw(b"\x1f\x8b", Content_Encoding="gzip")


async def cut_short(received: Received) -> None:
    received.head(Content_Type="application/json", Content_Length="500")
    received.writer.write(b'{"jsonrpc":')
    received.close()


async def stream_without_answer(received: Received) -> None:
    received.stream()
    received.notify("notifications/progress", progressToken=received.id, progress=1)
    received.close()


async def event_cut_short(received: Received) -> None:
    received.stream()
    received.writer.write(b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n')
    received.close()


async def hangs_up(received: Received) -> None:
    received.close()


async def not_http(received: Received) -> None:
    received.writer.write(b"SSH-2.0-x\r\n\r\n")


async def unauthorized(received: Received) -> None:
    received.json({"error": "x"}, 401, WWW_Authenticate='Bearer resource_metadata="https://evil.test"')


async def forbidden(received: Received) -> None:
    received.error(1403, "no", 403)


async def redirect(received: Received) -> None:
    received.head(307, Location="/elsewhere", Content_Length="0")


async def broken(received: Received) -> None:
    received.raw(b"oops", 500, "text/plain")


async def bad_gateway(received: Received) -> None:
    received.raw(b"{}", 502)


async def asks_its_client(received: Received) -> None:
    received.stream()
    received.event({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}})


async def never(received: Received) -> None:
    await asyncio.Event().wait()


async def stops_after_the_head(received: Received) -> None:
    received.stream()
    await received.writer.drain()
    await asyncio.Event().wait()


async def drips_for_ever(received: Received) -> None:
    received.stream()
    while True:
        received.writer.write(b":\n\n")
        await received.writer.drain()
        await asyncio.sleep(0.02)


async def floods(received: Received) -> None:
    received.stream()
    while True:
        received.notify("notifications/x")
        await received.writer.drain()


@pytest.mark.parametrize(
    ("script", "cause", "sent"),
    [
        (html, "not_mcp", True),
        (not_json, "not_mcp", True),
        (array, "not_mcp", True),
        (other_id, "not_mcp", True),
        (id_as_text, "not_mcp", True),
        (id_as_float, "not_mcp", True),
        (no_version, "not_mcp", True),
        (result_is_a_list, "not_mcp", True),
        (result_and_error, "not_mcp", True),
        (error_without_code, "not_mcp", True),
        (unknown_result_type, "not_mcp", True),
        (accepted, "not_mcp", True),
        (deep, "not_mcp", True),
        (very_deep, "not_mcp", True),
        (compressed, "not_mcp", True),
        (not_http, "not_mcp", True),
        (input_required, "server_request", True),
        (asks_its_client, "server_request", True),
        (announced_huge, "too_large", True),
        (huge, "too_large", True),
        (huge_event, "too_large", True),
        (floods, "too_large", True),
        (cut_short, "closed", True),
        (stream_without_answer, "closed", True),
        (event_cut_short, "closed", True),
        (hangs_up, "closed", True),
        (unauthorized, "unauthorized", False),
        (forbidden, "unauthorized", False),
        (redirect, "status", False),
        (broken, "status", True),
        (bad_gateway, "status", True),
        (never, "late", True),
        (stops_after_the_head, "late", True),
        (drips_for_ever, "late", True),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_hostile_answer_fails_with_its_cause_and_is_asked_for_once(script: Script, cause: str, sent: bool) -> None:
    async def main() -> None:
        async with scripted(modern(script)) as server:
            spec = http(server, max_result_bytes=LIMIT_BYTES, timeouts=SHORT)
            if script is floods:
                spec = http(server)
            async with backends(spec) as behind:
                assert await failure(behind, tool_call(progress=True)) == (cause, sent)
                assert len(server.of("tools/call")) == 1  # never sent twice, redirects never followed

    run(main())


def test_what_went_wrong_is_told_until_the_backend_does_well_again() -> None:
    scripts = iter((html, done))

    async def first_badly(received: Received) -> None:
        await next(scripts)(received)

    async def main() -> None:
        async with scripted(modern(first_badly)) as server, backends(http(server)) as behind:
            assert await failure(behind, tool_call()) == ("not_mcp", True)
            assert behind.status()[0].last_error != ""
            assert len(await messages(behind, tool_call())) == 1
            assert (behind.status()[0].state, behind.status()[0].last_error) == ("up", "")

    run(main())


def test_no_connection_is_unreachable_and_nothing_was_sent() -> None:
    async def main() -> None:
        async with scripted(done) as server:
            pass
        async with backends(HttpSpec("crm", server.url)) as behind:
            assert await failure(behind, tool_call()) == ("unreachable", False)

    run(main())


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    async def main() -> None:
        async with backends(HttpSpec("crm", "http://no-such-host.invalid/mcp", era="modern")) as behind:
            assert await failure(behind, tool_call()) == ("unreachable", False)

    run(main())


def test_requests_over_the_cap_are_busy_and_the_others_are_answered() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def waits(received: Received) -> None:
            await go_on.wait()
            received.result(DONE)

        async with scripted(modern(waits)) as server, backends(http(server, max_concurrent=2)) as behind:
            first = [asyncio.ensure_future(text(behind, tool_call())) for _ in range(2)]
            await eventually(lambda: len(server.of("tools/call")) == 2)
            assert await failure(behind, tool_call()) == ("busy", False)
            go_on.set()
            assert await asyncio.gather(*first) == ["done", "done"]
            assert await text(behind, tool_call()) == "done"

    run(main())


def refusals(server: Scripted) -> list[object]:
    return [each.body for each in server.received if isinstance(each.body, dict) and "error" in each.body]


def test_a_legacy_request_to_the_client_is_refused_to_the_server_and_ends_the_call() -> None:
    async def main() -> None:
        async def asks(received: Received) -> None:
            if received.rpc != "tools/call":
                received.head(202, Content_Length="0")
                return
            received.stream()
            received.event({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {"message": "?"}})
            await received.writer.drain()
            await asyncio.Event().wait()

        async with scripted(legacy(asks)) as server, backends(http(server)) as behind:
            assert await failure(behind, tool_call()) == ("server_request", True)
            await eventually(lambda: len(server.of("notifications/cancelled")) == 1 and bool(refusals(server)))
            refusal = {"jsonrpc": "2.0", "id": "q1", "error": {"code": -32601, "message": "not supported by this client"}}
            assert refusals(server) == [refusal]
            call = server.of("tools/call")[0]
            assert server.of("notifications/cancelled")[0].body["params"]["requestId"] == call.id

    run(main())


def test_a_ping_of_a_legacy_server_is_answered_and_the_call_goes_on() -> None:
    async def main() -> None:
        ponged = asyncio.Event()

        async def pings(received: Received) -> None:
            if received.rpc != "tools/call":
                ponged.set()
                received.head(202, Content_Length="0")
                return
            received.stream()
            received.event({"jsonrpc": "2.0", "id": 7, "method": "ping"})
            await received.writer.drain()
            await ponged.wait()
            received.event({"jsonrpc": "2.0", "id": received.id, "result": {"content": [{"type": "text", "text": "done"}]}})
            received.close()

        async def answer(received: Received) -> None:
            if isinstance(received.body, dict) and "result" in received.body:
                ponged.set()
            await legacy_script(received)

        legacy_script = legacy(pings)
        async with scripted(answer) as server, backends(http(server)) as behind:
            assert await text(behind, tool_call()) == "done"
            pongs = [each.body for each in server.received if isinstance(each.body, dict) and "result" in each.body]
            assert pongs == [{"jsonrpc": "2.0", "id": 7, "result": {}}]

    run(main())


def test_of_many_pings_in_one_call_eight_are_answered_at_once_and_the_rest_never() -> None:
    async def main() -> None:
        asked, read = iter((range(400), range(1000, 1001))), asyncio.Event()
        pongs: list[int] = []

        async def pings(received: Received) -> None:
            received.stream()
            for number in next(asked):
                received.event({"jsonrpc": "2.0", "id": number, "method": "ping"})
            received.event({"jsonrpc": "2.0", "id": received.id, "result": DONE})
            received.close()

        async def answer(received: Received) -> None:
            if isinstance(received.body, dict) and "result" in received.body:
                pongs.append(received.id)
                await read.wait()
            await legacy_script(received)

        legacy_script = legacy(pings)
        async with scripted(answer) as server, backends(http(server)) as behind:
            assert await text(behind, tool_call()) == "done"
            await eventually(lambda: len(pongs) >= 8)
            read.set()
            assert await text(behind, tool_call()) == "done"
            await eventually(lambda: 1000 in pongs)
            assert sorted(pongs) == [*range(8), 1000]

    run(main())


def test_one_dead_backend_does_not_touch_another() -> None:
    async def main() -> None:
        async with scripted(modern(done)) as server, scripted(modern(never)) as hung:
            slow = http(hung, name="slow", timeouts=SHORT)
            async with backends(http(server), slow, HttpSpec("dead", "http://127.0.0.1:1/mcp")) as behind:
                late, unreachable, answered = await asyncio.gather(
                    failure(behind, tool_call(backend="slow")),
                    failure(behind, tool_call(backend="dead")),
                    messages(behind, tool_call()),
                )
                assert (late, unreachable) == (("late", True), ("unreachable", False))
                assert len(answered) == 1

    run(main())

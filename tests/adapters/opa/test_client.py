"""The client against servers that answer as no OPA should: each fault has its cause, and none is mistaken for a decision."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.adapters.opa.client import QUESTION, Client, Limits, Target
from gateway.errors import Undecided
from gateway.ports import Verdict

DOCUMENT = b'{"input": {}}'
GOOD = b'{"provenance": {"bundles": {"b": {"revision": "r1"}}}, "result": {"version": 1}}'
VERDICT = Verdict({"version": 1}, "r1")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Request line and body of the next request. Raises `IncompleteReadError` at the end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
    return head.split("\r\n")[0], await reader.readexactly(length)


def response(body: bytes, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


@asynccontextmanager
async def answering(serve: Serve, limits: Limits = Limits(deadline_s=0.5)) -> AsyncIterator[Client]:  # noqa: B008  # frozen
    """A client of a server on a TCP port that runs `serve` on each connection."""
    open_writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.append(writer)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    client = Client(Target(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), limits)
    try:
        yield client
    finally:
        await client.close()
        server.close()
        for writer in open_writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in open_writers), return_exceptions=True)


def always(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()

    return serve


def once(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return serve


async def outcome(client: Client, document: bytes = DOCUMENT) -> Verdict | tuple[str, str]:
    try:
        async with asyncio.timeout(5):
            return await client.ask(document)
    except Undecided as error:
        return error.cause, error.detail


FAULTS: dict[str, tuple[Serve, str, str]] = {
    "a rule that fails": (
        always(
            response(
                b'{"code": "internal_error", "message": "error(s) occurred", "errors": [{"code": "eval_conflict_error",'
                b' "message": "conflict", "location": {"file": "mcp/org/a.rego", "row": 7, "col": 1}}]}',
                "500 Internal Server Error",
            )
        ),
        "status",
        "HTTP 500 mcp/org/a.rego:7: eval_conflict_error: conflict",
    ),
    "an error that is not JSON": (always(response(b"oops", "502 Bad Gateway")), "status", "HTTP 502"),
    "not authorised": (
        always(response(b'{"code": "unauthorized"}', "401 X")),
        "status",
        "HTTP 401 unauthorized",
    ),
    "a redirect": (always(response(b"", "302 Found", "Location: http://127.0.0.1/\r\n")), "status", "HTTP 302"),
    "undefined": (always(response(b"{}")), "undefined", "knows no such decision"),
    "not JSON": (always(response(b"allow")), "garbage", "not JSON"),
    "JSON of another shape": (always(response(b"[]")), "garbage", "not JSON of its Data API"),
    "a number beyond JSON": (always(response(b'{"result": NaN}')), "garbage", "not JSON"),
    "bytes that are not UTF-8": (always(response(b'{"result": "\xff"}')), "garbage", "not JSON"),
    "endlessly deep": (always(response(b'{"result": ' + b"[" * 30_000 + b"]" * 30_000 + b"}")), "garbage", "not JSON"),
    "not HTTP": (always(b"SSH-2.0-OpenSSH\r\n"), "garbage", "not an HTTP answer"),
    "two answers at once": (always(response(GOOD) * 2), "garbage", "not an HTTP answer"),
    "an interim answer": (always(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "garbage", "interim"),
    "cut short": (once(response(GOOD)[:-5]), "garbage", "in the middle"),
    "closed without a word": (once(b""), "unreachable", "before the answer began"),
    "too large by its length": (always(response(b" " * 300_000 + GOOD)), "too_large", "larger than 100000 bytes"),
    "an endless header": (always(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000), "too_large", "larger than 100000 bytes"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_undecided_with_its_cause_and_the_connection_is_not_used_again(case: str) -> None:
    serve, cause, detail = FAULTS[case]

    async def main() -> None:
        async with answering(serve, Limits(deadline_s=0.5, max_answer_bytes=100_000)) as client:
            for _ in range(2):
                said = await outcome(client)
                assert isinstance(said, tuple)
                assert (said[0], detail in said[1]) == (cause, True), said
            if cause not in {"status", "undefined"} and "JSON" not in detail:
                assert client._idle == []

    asyncio.run(main())


def test_silence_is_late_and_the_connection_is_closed_so_that_the_evaluation_ends() -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            closed.set()

        async with answering(serve, Limits(deadline_s=0.05)) as client:
            assert await outcome(client) == ("late", "no answer within the deadline")
            async with asyncio.timeout(2):
                await closed.wait()

    asyncio.run(main())


def test_an_answer_that_trickles_is_late_too() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            for byte in response(GOOD):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.01)

        async with answering(serve, Limits(deadline_s=0.1)) as client:
            assert await outcome(client) == ("late", "no answer within the deadline")

    asyncio.run(main())


def test_a_caller_that_goes_away_closes_the_connection() -> None:
    async def main() -> None:
        asked, closed = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            asked.set()
            with suppress(ConnectionError):
                await reader.read()
            closed.set()

        async with answering(serve, Limits(deadline_s=5)) as client:
            asking = asyncio.ensure_future(client.ask(DOCUMENT))
            async with asyncio.timeout(2):
                await asked.wait()
                asking.cancel()
                await closed.wait()

    asyncio.run(main())


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    async def main() -> None:
        client = Client(Target(socket_path=str(tmp_path / "none")), Limits())
        said = await outcome(client)
        assert isinstance(said, tuple)
        assert said[0] == "unreachable"
        await client.close()

    asyncio.run(main())


def test_a_document_over_the_limit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        client = Client(Target(socket_path=str(tmp_path / "none")), Limits(max_document_bytes=10))
        assert await outcome(client) == ("too_large", "the document has 13 bytes, more than 10")

    asyncio.run(main())


def test_connections_are_kept_and_the_question_is_always_the_same() -> None:
    async def main() -> None:
        connections = 0
        lines: set[str] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while True:
                line, body = await read_request(reader)
                assert body == DOCUMENT
                lines.add(line)
                writer.write(response(GOOD))

        async with answering(serve) as client:
            assert [await outcome(client) for _ in range(5)] == [VERDICT] * 5
            assert (connections, lines) == (1, {f"POST {QUESTION} HTTP/1.1"})

    asyncio.run(main())


def test_a_chunked_answer_in_small_pieces_is_whole() -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await read_request(reader)
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(GOOD[at : at + 7]), GOOD[at : at + 7]) for at in range(0, len(GOOD), 7))
                whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
                for at in range(0, len(whole), 11):
                    writer.write(whole[at : at + 11])
                    await asyncio.sleep(0)

        async with answering(serve) as client:
            assert [await outcome(client) for _ in range(3)] == [VERDICT] * 3

    asyncio.run(main())


def test_a_pooled_connection_that_opa_had_closed_is_replaced_without_a_word() -> None:
    async def main() -> None:
        served = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal served
            await read_request(reader)
            served += 1
            writer.write(response(GOOD))
            await read_request(reader)  # the next question finds the connection closed
            writer.close()

        async with answering(serve) as client:
            assert [await outcome(client) for _ in range(3)] == [VERDICT] * 3
            assert served == 3

    asyncio.run(main())


def test_more_questions_than_connections_wait_their_turn_and_all_are_answered() -> None:
    async def main() -> None:
        busy = most = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal busy, most
            while True:
                await read_request(reader)
                busy += 1
                most = max(most, busy)
                await asyncio.sleep(0.002)
                busy -= 1
                writer.write(response(GOOD))

        async with answering(serve, Limits(deadline_s=4, connections=3)) as client:
            assert await asyncio.gather(*(outcome(client) for _ in range(50))) == [VERDICT] * 50
            assert most == 3

    asyncio.run(main())


def test_waiting_for_a_connection_counts_against_the_deadline_and_loses_no_connection() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await read_request(reader)
                await go.wait()
                writer.write(response(GOOD))

        async with answering(serve, Limits(deadline_s=0.1, connections=2)) as client:
            causes = {said[0] for said in await asyncio.gather(*(outcome(client) for _ in range(10))) if isinstance(said, tuple)}
            assert causes == {"late"}
            go.set()
            assert await asyncio.gather(*(outcome(client) for _ in range(10))) == [VERDICT] * 10

    asyncio.run(main())


def test_large_integers_arrive_as_they_are() -> None:
    async def main() -> None:
        body = b'{"provenance": {"bundles": {"b": {"revision": "r1"}}}, "result": {"n": 123456789012345678901234567890}}'
        async with answering(always(response(body))) as client:
            assert await outcome(client) == Verdict({"n": 123456789012345678901234567890}, "r1")

    asyncio.run(main())


def test_several_bundles_make_one_revision_and_one_without_makes_none() -> None:
    async def main() -> None:
        two = b'{"provenance": {"bundles": {"rules": {"revision": "r2"}, "facts": {"revision": "f1"}}}, "result": 1}'
        async with answering(always(response(two))) as client:
            assert await outcome(client) == Verdict(1, "facts@f1,rules@r2")
        lacking = b'{"provenance": {"bundles": {"rules": {"revision": "r2"}, "facts": {}}}, "result": 1}'
        async with answering(always(response(lacking))) as client:
            assert await outcome(client) == Verdict(1, "")

    asyncio.run(main())


def test_one_who_is_cancelled_while_he_connects_hands_his_room_to_the_next() -> None:
    async def main() -> None:
        connecting: asyncio.Queue[None] = asyncio.Queue()

        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connecting.put_nowait(None)
            await reader.read()  # the client's hello, which nobody answers
            writer.close()

        server = await asyncio.start_server(never, "127.0.0.1", 0)
        tls = ssl.create_default_context()
        target = Target(host="127.0.0.1", port=server.sockets[0].getsockname()[1], tls=tls)
        client = Client(target, Limits(deadline_s=20, connections=1))
        async with asyncio.timeout(5):
            first = asyncio.ensure_future(client.ask(DOCUMENT))
            await connecting.get()
            second = asyncio.ensure_future(client.ask(DOCUMENT))
            await asyncio.sleep(0)
            first.cancel()
            await connecting.get()
            assert not second.done()
            second.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
            assert (client._opening, client._open, [*client._waiting]) == (0, set(), [])
        await client.close()
        server.close()

    asyncio.run(main())


def test_a_connection_handed_to_one_who_is_cancelled_at_that_moment_is_not_lost() -> None:
    async def main() -> None:
        async with answering(always(response(GOOD)), Limits(deadline_s=0.5, connections=1)) as client:

            async def first() -> None:
                await outcome(client)
                second.cancel()  # the connection was handed over in this very step

            running = asyncio.ensure_future(first())
            second = asyncio.ensure_future(client.ask(DOCUMENT))
            await running
            (ended,) = await asyncio.gather(second, return_exceptions=True)
            assert ended != VERDICT
            assert await outcome(client) == VERDICT

    asyncio.run(main())

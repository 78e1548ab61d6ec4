"""An answer is one JSON body where there is nothing but a reply, and a stream once there is more."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from gateway.errors import Kind, Refusal
from gateway.front.responding import STREAM_HEADERS, Answering, Send
from gateway.model import Era, Notice, Reply
from gateway.wire.sse import KEEP_ALIVE

PATIENCE_S = 5.0
NEVER_S = 3600.0

Sent = list[MutableMapping[str, Any]]
STREAM: MutableMapping[str, Any] = {"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS}
NOTICE = Notice("notifications/progress", {"progress": 1})
NOTICE_PIECE = b'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}\r\n\r\n'
REPLY = b'{"jsonrpc":"2.0","id":7,"result":{"ok":true}}'


def recording(sent: Sent) -> Send:
    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    return send


def whole(status: int, body: bytes, *lines: tuple[bytes, bytes]) -> Sent:
    length = (b"content-length", str(len(body)).encode())
    kind = [(b"content-type", b"application/json")] if body else []
    return [
        {"type": "http.response.start", "status": status, "headers": [*lines, length, *kind]},
        {"type": "http.response.body", "body": body},
    ]


def piece(body: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def last(body: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": b"event: message\r\ndata: " + body + b"\r\n\r\n"}


async def events(*each: Notice | Reply | Refusal) -> AsyncIterator[Notice | Reply]:
    for event in each:
        if isinstance(event, Refusal):
            raise event
        yield event


def answered(*each: Notice | Reply | Refusal, era: Era = "modern", headers: dict[str, str] | None = None) -> Sent:
    sent: Sent = []

    async def main() -> None:
        answering = Answering(recording(sent), era=era, request_id=7, keep_alive_s=NEVER_S)
        await asyncio.wait_for(answering.answer(events(*each), headers), PATIENCE_S)
        assert answering.bytes_out == sum(len(each.get("body", b"")) for each in sent)

    asyncio.run(main())
    return sent


@pytest.mark.parametrize("result", [{"ok": True}, b'{"ok":true}'])
def test_a_reply_alone_is_one_json_body(result: Any) -> None:
    assert answered(Reply(result)) == whole(200, REPLY)


def test_headers_that_the_exchange_chose_go_with_the_reply() -> None:
    assert answered(Reply({"ok": True}), headers={"Mcp-Session-Id": "s"}) == whole(200, REPLY, (b"mcp-session-id", b"s"))


def test_a_notice_begins_a_stream_that_the_reply_ends() -> None:
    assert answered(NOTICE, NOTICE, Reply({"ok": True})) == [STREAM, piece(NOTICE_PIECE), piece(NOTICE_PIECE), last(REPLY)]


@pytest.mark.parametrize(("era", "status"), [("modern", 404), ("legacy", 200)])
def test_a_refusal_before_anything_was_sent_has_the_status_of_its_era(era: Era, status: int) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}'
    assert answered(Refusal(Kind.UNKNOWN_METHOD, "no"), era=era) == whole(status, body)


def test_a_refusal_brings_its_headers_and_its_data() -> None:
    refusal = Refusal(Kind.UNAUTHENTICATED, "who?", data={"a": 1}, headers={"WWW-Authenticate": "Bearer"})
    body = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"who?","data":{"a":1}}}'
    assert answered(refusal) == whole(401, body, (b"www-authenticate", b"Bearer"))


def test_a_refusal_after_a_notice_is_an_error_in_the_stream() -> None:
    body = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"late"}}'
    assert answered(NOTICE, Refusal(Kind.UNDECIDED, "late")) == [STREAM, piece(NOTICE_PIECE), last(body)]


def test_a_silence_begins_a_stream_of_comments_and_the_reply_still_ends_it() -> None:
    sent: Sent = []

    async def main() -> None:
        heard = asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)
            if sent.count(piece(KEEP_ALIVE)) == 2:
                heard.set()

        async def slow() -> AsyncIterator[Notice | Reply]:
            await heard.wait()
            yield Reply({"ok": True})

        answering = Answering(send, era="modern", request_id=7, keep_alive_s=0.01)
        await asyncio.wait_for(answering.answer(slow()), PATIENCE_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a beat outlived its answer"

    asyncio.run(main())
    assert sent == [STREAM, piece(KEEP_ALIVE), piece(KEEP_ALIVE), last(REPLY)]


def test_a_reply_that_comes_while_the_first_keep_alive_is_blocked_is_still_a_whole_response() -> None:
    """The server waits with the head of the stream until an earlier response on the connection has left."""
    sent: Sent = []

    async def main() -> None:
        blocked, never = asyncio.Event(), asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            if not blocked.is_set():
                blocked.set()
                await never.wait()
            sent.append(message)

        async def slow() -> AsyncIterator[Notice | Reply]:
            await blocked.wait()
            yield Reply({"ok": True})

        answering = Answering(send, era="modern", request_id=7, keep_alive_s=0.01)
        await asyncio.wait_for(answering.answer(slow()), PATIENCE_S)

    asyncio.run(main())
    assert sent == whole(200, REPLY)


def test_a_notice_that_comes_with_the_first_keep_alive_begins_the_stream_once() -> None:
    sent: Sent = []

    async def main() -> None:
        beginning, go_on = asyncio.Event(), asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                beginning.set()
                await go_on.wait()
            sent.append(message)

        async def slow() -> AsyncIterator[Notice | Reply]:
            await beginning.wait()
            asyncio.get_running_loop().call_later(0.01, go_on.set)
            yield NOTICE
            yield Reply({"ok": True})

        answering = Answering(send, era="modern", request_id=7, keep_alive_s=0.01)
        await asyncio.wait_for(answering.answer(slow()), PATIENCE_S)

    asyncio.run(main())
    assert sent.count(STREAM) == 1
    assert sent[0] == STREAM
    assert sent[-1] == last(REPLY)


def test_a_cancelled_request_ends_as_an_empty_stream() -> None:
    sent: Sent = []
    answering = Answering(recording(sent), era="legacy", request_id=7, keep_alive_s=NEVER_S)
    asyncio.run(answering.end())
    assert sent == [STREAM, {"type": "http.response.body", "body": b""}]


def test_an_exchange_that_is_cancelled_leaves_no_beat_behind() -> None:
    sent: Sent = []

    async def main() -> None:
        heard = asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)
            heard.set()

        async def silent() -> AsyncIterator[Notice | Reply]:
            await asyncio.get_running_loop().create_future()
            yield Reply({})

        answering = Answering(send, era="modern", request_id=7, keep_alive_s=0.01)
        task = asyncio.ensure_future(answering.answer(silent()))
        await asyncio.wait_for(heard.wait(), PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE_S)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*left, return_exceptions=True), PATIENCE_S)

    asyncio.run(main())
    assert sent[0] == STREAM

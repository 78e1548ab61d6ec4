"""The bounds of one connection, over real sockets: what ends there is answered in JSON-RPC, and the connection closed."""

import asyncio
import json
import re
import threading
import time

import pytest
from starlette.types import Receive, Scope, Send

from tests.front.peers import HASTY, LINGERING, PATIENCE_S, Connect

HEAD = b"POST /mcp HTTP/1.1\r\nhost: gateway\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the names of the headers and the size of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    names = b",".join(name for name, _ in scope["headers"])
    await answer(send, names + b" %d" % size)


async def early(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without a look at the body."""
    await answer(send, b"early")


async def answer(send: Send, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def refused(received: bytes) -> tuple[int, object]:
    """Status and JSON body of the one response in `received`, which must announce the end of the connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"content-type: application/json" in head
    return int(head.split(b" ")[1]), json.loads(body)


def error(message: str) -> object:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": message}}


TOO_LARGE = (431, error("the head of the request is too large"))
TOO_SLOW = (408, error("the head of the request did not arrive in time"))
NOT_HTTP = (400, error("this is not an HTTP/1.1 request"))


def test_a_header_of_a_mebibyte_is_answered_431_and_the_connection_closed(connect: Connect) -> None:
    peer = connect(echo)()
    peer.send(HEAD + b"x-large: " + b"a" * 1024 * 1024)
    assert refused(peer.rest()) == TOO_LARGE


def test_many_short_header_lines_are_bounded_like_one_long_one(connect: Connect) -> None:
    peer = connect(echo)()
    peer.send(HEAD + b"x-a: b\r\n" * 200_000)
    assert refused(peer.rest()) == TOO_LARGE


def test_a_url_without_end_is_answered_431(connect: Connect) -> None:
    peer = connect(echo)()
    peer.send(b"GET /" + b"a" * 1024 * 1024)
    assert refused(peer.rest()) == TOO_LARGE


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"5\r\nhello\r\n0\r\nx-trailer: " + b"a" * 1024 * 1024, id="trailer"),
        pytest.param(b"5;" + b"a" * 1024 * 1024, id="chunk_extension"),
    ],
)
def test_what_surrounds_a_chunked_body_is_bounded_as_a_head_is(connect: Connect, endless: bytes) -> None:
    peer = connect(early)()
    peer.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    assert peer.read(b"early")
    peer.send(endless)
    assert refused(peer.rest()) == TOO_LARGE


def test_a_large_body_is_not_taken_for_a_large_head(connect: Connect) -> None:
    peer = connect(echo)()
    peer.send(HEAD + b"content-length: 1048576\r\n\r\n" + b"a" * 1024 * 1024)
    assert peer.read(b" 1048576")


@pytest.mark.parametrize("begun", [b"P", HEAD, HEAD + b"x-a: b", b"\r\n"])
def test_a_head_that_stops_half_way_is_answered_408(connect: Connect, begun: bytes) -> None:
    peer = connect(echo, HASTY)()
    peer.send(begun)
    assert refused(peer.rest()) == TOO_SLOW


def test_a_head_that_trickles_is_answered_408_though_bytes_keep_coming(connect: Connect) -> None:
    peer = connect(echo, HASTY)()
    done = threading.Event()

    def trickle() -> None:
        for byte in (HEAD + b"x-slow: " + b"a" * 1000)[:1000]:
            if done.wait(0.02):
                return
            peer.send(bytes([byte]))

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        assert refused(peer.rest()) == TOO_SLOW
    finally:
        done.set()
        sender.join(PATIENCE_S)


def test_a_connection_that_says_nothing_is_closed_without_an_answer(connect: Connect) -> None:
    """An answer to nothing could be read as the answer to a request that is just on its way."""
    assert connect(echo, HASTY)().rest() == b""


def test_a_second_head_on_a_kept_connection_has_a_deadline_too(connect: Connect) -> None:
    peer = connect(echo, HASTY)()
    peer.send(HEAD + b"content-length: 0\r\n\r\n")
    assert peer.read(b" 0").endswith(b"host,content-length 0")
    peer.send(b"\r\n")  # llhttp skips it before a message begins
    assert refused(peer.rest()) == TOO_SLOW


def test_a_stray_line_end_while_the_answer_is_made_does_not_end_the_exchange(connect: Connect) -> None:
    begun = threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.sleep(2 * HASTY.head_timeout_s)
        await answer(send, b"done")

    peer = connect(slow, HASTY)()
    peer.send(HEAD + b"content-length: 0\r\n\r\n")
    assert begun.wait(PATIENCE_S)
    peer.send(b"\r\n")
    assert peer.read(b"done")


@pytest.mark.parametrize(
    "bytes_sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="tls"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http2_preface"),
        pytest.param(HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", id="two_lengths"),
        pytest.param(HEAD + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", id="length_and_chunked"),
        pytest.param(HEAD + b"content-length: many\r\n\r\n", id="length_in_letters"),
        pytest.param(HEAD + b"x-a : b\r\n\r\n", id="blank_before_colon"),
        pytest.param(b"POST /mcp\xff HTTP/1.1\r\n\r\n", id="path_not_ascii"),
    ],
)
def test_what_is_not_http_is_answered_400_with_a_json_rpc_body(connect: Connect, bytes_sent: bytes) -> None:
    peer = connect(echo)()
    peer.send(bytes_sent)
    assert refused(peer.rest()) == NOT_HTTP


@pytest.mark.parametrize(
    ("bytes_sent", "answer_seen"),
    [
        pytest.param(b"transfer-encoding: identity\r\n\r\n{}", NOT_HTTP, id="unknown_encoding"),
        pytest.param(b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n", NOT_HTTP, id="chunk_size_in_letters"),
        pytest.param(b"transfer-encoding: chunked\r\n\r\n2\r\n{}garbage", NOT_HTTP, id="chunk_longer_than_said"),
        pytest.param(
            b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-a: " + b"a" * 1024 * 1024, TOO_LARGE, id="endless_trailer"
        ),
    ],
)
def test_a_request_that_breaks_in_its_body_is_answered_and_the_application_told_that_its_client_is_gone(
    connect: Connect, bytes_sent: bytes, answer_seen: tuple[int, object]
) -> None:
    peer = connect(echo)()  # returns without an answer when its client is gone
    peer.send(HEAD)
    peer.send(bytes_sent)
    assert refused(peer.rest()) == answer_seen


def test_nothing_follows_the_answer_to_a_request_that_broke_in_its_body(connect: Connect) -> None:
    begun = threading.Event()

    async def answers_all_the_same(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        begun.set()
        await receive()
        await answer(send, b"late")

    peer = connect(answers_all_the_same)()
    peer.send(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")
    assert begun.wait(PATIENCE_S)
    peer.send(b"zz\r\n")
    assert refused(peer.rest()) == NOT_HTTP


def test_an_answer_that_has_begun_is_cut_and_not_continued_with_another(connect: Connect) -> None:
    begun = threading.Event()

    async def begins(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    peer = connect(begins)()
    peer.send(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")
    assert begun.wait(PATIENCE_S)
    peer.send(b"zz\r\n")
    assert peer.rest().endswith(b"5\r\nfirst\r\n")


def test_garbage_behind_a_request_is_never_the_answer_to_that_request(connect: Connect) -> None:
    """It is being carried out, and a 400 in its place would say that it was not."""
    begun = threading.Event()

    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    peer = connect(works)()
    peer.send(HEAD + b"content-length: 0\r\n\r\n")
    assert begun.wait(PATIENCE_S)
    peer.send(b"\x00garbage\r\n\r\n")
    assert peer.rest() == b""


def test_an_upgrade_is_answered_and_nothing_follows_on_that_connection(connect: Connect) -> None:
    """The parser gives up at an upgrade: the body is lost, and what follows could be read as anything."""
    peer = connect(early)()
    peer.send(HEAD + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n{}" + HEAD + b"\r\n")
    received = peer.rest()
    assert received.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in received


def test_pipelined_requests_are_answered_in_their_order(connect: Connect) -> None:
    peer = connect(echo)()
    for size in (1, 2, 3):
        peer.send(HEAD + b"content-length: %d\r\n\r\n" % size + b"a" * size)
    received = peer.read(b" 3")
    assert re.findall(rb"host,content-length ([0-9])", received) == [b"1", b"2", b"3"]


def test_a_trailer_is_never_read_as_a_header(connect: Connect) -> None:
    peer = connect(echo)()
    peer.send(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nmcp-name: smuggled\r\n\r\n")
    assert peer.read(b" 2").endswith(b"\r\n\r\nhost,transfer-encoding 2")


def test_a_body_that_never_ends_after_an_early_answer_closes_the_connection(connect: Connect) -> None:
    peer = connect(early)()
    peer.send(HEAD + b"content-length: 1000\r\n\r\na")
    assert peer.read(b"early")
    assert peer.rest() == b""


def test_a_body_that_ends_soon_after_an_early_answer_keeps_the_connection(connect: Connect) -> None:
    peer = connect(early, LINGERING)()
    peer.send(HEAD + b"content-length: 4\r\n\r\na")
    assert peer.read(b"early")
    peer.send(b"bcd" + HEAD + b"\r\n")
    assert peer.read(b"early")


def test_an_idle_connection_is_closed_also_when_its_body_ended_after_the_answer(connect: Connect) -> None:
    peer = connect(early, LINGERING)()
    peer.send(HEAD + b"content-length: 4\r\n\r\na")
    assert peer.read(b"early")
    peer.send(b"bcd")
    started = time.monotonic()
    assert peer.rest() == b""
    assert time.monotonic() - started < PATIENCE_S / 2


def test_a_client_that_leaves_ends_the_request_that_is_answered_and_not_only_the_last_one(connect: Connect) -> None:
    begun, gone = threading.Event(), threading.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    peer = connect(waits)()
    peer.send((HEAD + b"content-length: 0\r\n\r\n") * 2)
    assert begun.wait(PATIENCE_S)
    peer.close()
    assert gone.wait(PATIENCE_S)


def test_garbage_behind_a_request_that_is_being_answered_writes_nothing_into_its_answer(connect: Connect) -> None:
    begun = threading.Event()

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    peer = connect(streams)()
    peer.send(HEAD + b"content-length: 0\r\n\r\n")
    assert begun.wait(PATIENCE_S)
    peer.send(b"\x00garbage\r\n\r\n")
    assert peer.rest().endswith(b"5\r\nfirst\r\n")

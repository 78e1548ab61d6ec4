"""A body is bounded by what the head declares, by what is counted, and in time."""

import asyncio
from collections.abc import Awaitable, MutableMapping
from typing import Any

import pytest
from starlette.types import Receive as AsgiReceive
from starlette.types import Scope, Send

from gateway.errors import Kind, Refusal
from gateway.front.reading import ClientGone, Receive, body
from gateway.wire.head import Head
from tests.front.peers import PATIENCE_S, Connect

MAX_BYTES = 10
GONE: MutableMapping[str, Any] = {"type": "http.disconnect"}


def piece(data: bytes, *, more: bool) -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


def arriving(*messages: MutableMapping[str, Any]) -> Receive:
    """What an ASGI server gives: these messages, and then nothing for ever."""
    left = iter(messages)

    async def receive() -> MutableMapping[str, Any]:
        for message in left:
            return message
        nothing: asyncio.Future[MutableMapping[str, Any]] = asyncio.get_running_loop().create_future()
        return await nothing

    return receive


def read(receive: Receive, *, declared: str | None = None, timeout_s: float = PATIENCE_S) -> bytes:
    headers = () if declared is None else (("content-length", declared),)
    return bounded(body(Head("POST", "/mcp", headers), receive, max_bytes=MAX_BYTES, timeout_s=timeout_s))


def bounded(reading: Awaitable[bytes]) -> bytes:
    return asyncio.run(asyncio.wait_for(reading, PATIENCE_S))


@pytest.mark.parametrize(
    "messages",
    [
        [piece(b"0123456789", more=False)],
        [piece(b"01234", more=True), piece(b"", more=True), piece(b"56789", more=False)],
        [piece(b"0123456789", more=True), piece(b"", more=False)],
    ],
)
def test_a_body_of_exactly_the_limit_is_read_however_it_is_cut(messages: list[MutableMapping[str, Any]]) -> None:
    assert read(arriving(*messages)) == b"0123456789"


def test_a_body_that_is_declared_too_large_is_refused_before_a_byte_of_it_is_asked_for() -> None:
    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("asked for the body")

    with pytest.raises(Refusal) as refused:
        read(receive, declared="11")
    assert (refused.value.kind, refused.value.message) == (
        Kind.TOO_LARGE,
        "the body is over the limit of 10 bytes (limits.max_body_bytes)",
    )


@pytest.mark.parametrize("declared", [None, "1", "0", "²", "-1", "9" * 5000, "0x1"])
def test_a_body_is_counted_whatever_the_head_declares(declared: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        read(arriving(piece(b"012345", more=True), piece(b"67890", more=True)), declared=declared)
    assert refused.value.kind is Kind.TOO_LARGE


@pytest.mark.parametrize("messages", [[], [piece(b"0", more=True)], [piece(b"0", more=True), piece(b"1", more=True)]])
def test_a_body_that_stops_half_way_is_refused_when_its_time_is_over(messages: list[MutableMapping[str, Any]]) -> None:
    with pytest.raises(Refusal) as refused:
        read(arriving(*messages), timeout_s=0.05)
    assert (refused.value.kind, refused.value.message) == (Kind.SLOW_REQUEST, "the body did not arrive within 0.05 s")


def test_one_deadline_holds_for_the_whole_body_and_not_for_each_piece() -> None:
    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(0.04)
        return piece(b"", more=True)

    with pytest.raises(Refusal) as refused:
        read(receive, timeout_s=0.1)
    assert refused.value.kind is Kind.SLOW_REQUEST


@pytest.mark.parametrize("messages", [[GONE], [piece(b"{", more=True), GONE]])
def test_a_client_that_leaves_is_not_answered(messages: list[MutableMapping[str, Any]]) -> None:
    with pytest.raises(ClientGone):
        read(arriving(*messages))


async def answers(scope: Scope, receive: AsgiReceive, send: Send) -> None:
    """Reads as the endpoint does, and answers with the refusal's status or with the size."""
    lines = tuple((name.decode(), value.decode()) for name, value in scope["headers"])
    try:
        whole = await body(Head("POST", "/mcp", lines), receive, max_bytes=MAX_BYTES, timeout_s=0.2)
        status, said = 200, str(len(whole))
    except Refusal as refusal:
        status, said = refusal.status("modern"), refusal.message
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": said.encode()})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"content-length: 10\r\n\r\n0123456789", 200, id="whole"),
        pytest.param(b"content-length: 4294967296\r\n\r\n", 413, id="declared"),
        pytest.param(b"transfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n", 413, id="counted"),
        pytest.param(b"content-length: 10\r\n\r\n0", 408, id="slow"),
        pytest.param(b"content-length: 10\r\nexpect: 100-continue\r\n\r\n", 100, id="continue"),
        pytest.param(b"content-length: 11\r\nexpect: 100-continue\r\n\r\n", 413, id="no_continue"),
    ],
)
def test_over_a_real_connection_the_status_is_the_one_of_the_table(connect: Connect, sent: bytes, status: int) -> None:
    peer = connect(answers)()
    peer.send(b"POST /mcp HTTP/1.1\r\nhost: gateway\r\n" + sent)
    assert peer.status() == status

"""Reads a request's body: bounded in size and time, and nothing before the head was found good."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.errors import Kind, Refusal
from gateway.wire.head import Head

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The client went away before its message was whole."""


async def body(head: Head, receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. Raises `Refusal` (413, 408) or `ClientGone`."""
    declared = head.one("content-length")
    if declared is not None and declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    first = await _piece(receive, timeout_s)
    if not first.get("more_body", False):
        return _within(first.get("body", b""), max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _rest(first.get("body", b""), receive, max_bytes)
    except TimeoutError as error:
        raise Refusal(Kind.SLOW_REQUEST, f"the body did not arrive within {timeout_s:g} s") from error


async def _piece(receive: Receive, timeout_s: float) -> MutableMapping[str, Any]:
    try:
        message = await asyncio.wait_for(receive(), timeout_s)
    except TimeoutError as error:
        raise Refusal(Kind.SLOW_REQUEST, f"the body did not arrive within {timeout_s:g} s") from error
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


async def _rest(first: bytes, receive: Receive, max_bytes: int) -> bytes:
    pieces, size = [first], len(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _within(whole: bytes, max_bytes: int) -> bytes:
    if len(whole) > max_bytes:
        raise _too_large(max_bytes)
    return whole


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(Kind.TOO_LARGE, f"the body is over the limit of {max_bytes} bytes (limits.max_body_bytes)")

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
    if _declared_bytes(head) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _whole(receive, max_bytes)
    except TimeoutError as error:
        raise Refusal(Kind.SLOW_REQUEST, f"the body did not arrive within {timeout_s:g} s") from error


def _declared_bytes(head: Head) -> int:
    """What the head says; 0 where it does not, since the body is counted anyway."""
    declared = head.one("content-length") or ""
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) <= 20 else 0


async def _whole(receive: Receive, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join(pieces) if len(pieces) > 1 else pieces[0]


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(Kind.TOO_LARGE, f"the body is over the limit of {max_bytes} bytes (limits.max_body_bytes)")

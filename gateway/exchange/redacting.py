"""Redaction never holds up the event loop: what is small and soon done is done there, all else in a thread, a few at a time.

Whose result costs much waits for others whose results cost much, and nobody else does.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec

from gateway.model import JsonObject
from gateway.policy.redact import MAX_STEPS, Fits, Redacted, Redactor

LOOP_BYTES = 65_536  # of JSON: to walk through 32,000 numbers with a match costs 36 ms
LOOP_STEPS = 10_000  # of looking at texts, on the event loop; what needs more is done anew in a thread


async def arguments(turns: asyncio.Semaphore, redactor: Redactor, value: JsonObject) -> Redacted:
    return await _done(turns, partial(redactor.arguments, value), len(msgspec.json.encode(value)))


async def result(turns: asyncio.Semaphore, redactor: Redactor, value: JsonObject, fits: Fits | None, size_bytes: int) -> Redacted:
    if not redactor.owes("result"):
        return Redacted(value)
    return await _done(turns, partial(redactor.result, value, fits), size_bytes)


async def error(turns: asyncio.Semaphore, redactor: Redactor, value: JsonObject) -> Redacted:
    if not redactor.owes("result"):
        return Redacted(value)
    return await _done(turns, partial(redactor.error, value), len(msgspec.json.encode(value)))


async def notice(turns: asyncio.Semaphore, redactor: Redactor, params: JsonObject, kind: Literal["progress", "log"]) -> Redacted:
    if not redactor.owes("result"):
        return Redacted(params)
    return await _done(turns, partial(redactor.notice, params, kind), len(msgspec.json.encode(params)))


async def _done(turns: asyncio.Semaphore, redact: "Callable[..., Redacted]", size_bytes: int) -> Redacted:
    if size_bytes <= LOOP_BYTES:
        outcome = redact(steps=LOOP_STEPS)
        if not outcome.spent:
            return outcome
    async with turns:
        return await asyncio.to_thread(redact, steps=MAX_STEPS)

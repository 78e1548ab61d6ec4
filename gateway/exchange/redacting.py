"""Redaction never holds up the event loop: what is small and soon done is done there, all else in a thread, a few at a time.

Whose result costs much waits for others whose results cost much, and nobody else does.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal, Protocol

import msgspec

from gateway.model import Item, Json, JsonObject
from gateway.policy.redact import MAX_STEPS, Redacted, Redactor
from gateway.policy.schema_check import TakesLong

LOOP_BYTES = 65_536  # of JSON: to walk through 32,000 numbers with a match costs 36 ms
LOOP_STEPS = 10_000  # of looking at texts, on the event loop; what needs more is done anew in a thread
LIST_STEPS = 5 * MAX_STEPS  # for all definitions of a list together


class Fitting(Protocol):
    """Whether structured content satisfies the tool's output schema."""

    def valid(self, value: Json, /) -> bool: ...

    def prompt(self, value: Json, /) -> bool:
        """On the event loop. Raises `TakesLong`."""


async def arguments(turns: asyncio.Semaphore, redactor: Redactor, value: JsonObject) -> Redacted:
    return await _done(turns, partial(redactor.arguments, value), len(msgspec.json.encode(value)))


async def result(
    turns: asyncio.Semaphore, redactor: Redactor, value: JsonObject, fits: Fitting | None, size_bytes: int
) -> Redacted:
    if not redactor.owes("result"):
        return Redacted(value)
    if fits is None:
        return await _done(turns, partial(redactor.result, value), size_bytes)
    here, there = partial(redactor.result, value, fits.prompt), partial(redactor.result, value, fits.valid)
    return await _done(turns, here, size_bytes, there)


async def error(turns: asyncio.Semaphore, redactor: Redactor, value: JsonObject) -> Redacted:
    if not redactor.owes("result"):
        return Redacted(value)
    return await _done(turns, partial(redactor.error, value), len(msgspec.json.encode(value)))


async def notice(turns: asyncio.Semaphore, redactor: Redactor, params: JsonObject, kind: Literal["progress", "log"]) -> Redacted:
    if not redactor.owes("result"):
        return Redacted(params)
    return await _done(turns, partial(redactor.notice, params, kind), len(msgspec.json.encode(params)))


async def items(turns: asyncio.Semaphore, owed: Sequence[tuple[Redactor, Item]]) -> list[Redacted]:
    """The definitions of a list, each by its own redactor. Where the steps end, the rest is withheld unseen."""
    if sum(len(item.modern) for _, item in owed) <= LOOP_BYTES:
        outcomes = _in_turn(owed, LOOP_STEPS)
        if not any(outcome.spent for outcome in outcomes):
            return outcomes
    async with turns:
        return await asyncio.to_thread(_in_turn, owed, LIST_STEPS)


def _in_turn(owed: Sequence[tuple[Redactor, Item]], steps: int) -> list[Redacted]:
    outcomes: list[Redacted] = []
    for redactor, item in owed:
        outcome = redactor.item(dict(item.definition), steps=min(steps, MAX_STEPS))
        steps -= outcome.steps
        outcomes.append(outcome)
    return outcomes


async def _done(
    turns: asyncio.Semaphore, here: Callable[..., Redacted], size_bytes: int, there: Callable[..., Redacted] | None = None
) -> Redacted:
    """`here` is tried on the event loop; `there`, if it is another, is for the thread."""
    if size_bytes <= LOOP_BYTES:
        with suppress(TakesLong):
            outcome = here(steps=LOOP_STEPS)
            if not outcome.spent:
                return outcome
    async with turns:
        return await asyncio.to_thread(there or here, steps=MAX_STEPS)

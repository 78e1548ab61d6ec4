"""THE pipeline: one client message in, its answer out, every way it can end recorded.

    resolve → build the document → decide → plan duties → redact arguments (and decide once more) → limits
    → record intent → forward → each message of the answer under its duties → decide the result → record outcome → answer

Authentication and parsing come before it (the front); nothing after it can change what it yields.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import replace
from typing import Literal, TypeVar

from gateway.errors import Kind, Refusal, Unrecorded
from gateway.exchange import recording
from gateway.exchange.deciding import Permit, permitted, withheld
from gateway.exchange.draft import Draft
from gateway.exchange.listen import Listeners, honoured, listened
from gateway.exchange.listing import listing
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.relaying import Final, relayed
from gateway.exchange.reviewing import admitted
from gateway.exchange.subscribing import check_room, subscribed, unsubscribed
from gateway.exchange.target import resolve
from gateway.model import JsonObject, Notice, Reply
from gateway.ports import Charge
from gateway.wire import json

T = TypeVar("T")

AS_TOOL_RESULT = frozenset({Kind.DENIED, Kind.LIMITED, Kind.RESULT_WITHHELD, Kind.REVOKED})
"""Refusals of a tools/call that the model should read and adapt to (2025-06-18 on, server/tools: error handling)."""


async def run(ports: Ports, listeners: Listeners, x: Exchange) -> AsyncGenerator[Notice | Reply, None]:
    """Notices and, last, the reply. Raises `Refusal` where there is none. Recorded either way, before the caller learns it."""
    draft = Draft()
    try:
        full = await ports.catalogs.full_view(x.view.surface, x.caller)
        if full is not x.view:
            x = replace(x, view=full)
        async with aclosing(_steps(ports, listeners, x, draft)) as events:
            async for event in events:
                yield event
    except Refusal as refusal:
        shown = await _recorded_refusal(ports, x, draft, refusal)
        if x.method.name == "tools/call" and shown.kind in AS_TOOL_RESULT:
            yield Reply(tool_refusal(ports, x, shown))
        else:
            raise shown from refusal
    finally:
        if not draft.closed:  # cancelled, or a defect: what was begun is recorded as broken off
            defect = isinstance(sys.exception(), Exception)
            await asyncio.shield(_broken_off(ports, x, draft, "internal" if defect else "cancelled"))


def tool_refusal(ports: Ports, x: Exchange, refusal: Refusal) -> JsonObject:
    """A refusal as a tool result: the model reads why, and sees what it could do instead."""
    result: JsonObject = {"content": [{"type": "text", "text": refusal.message}], "isError": True}
    if x.message.era == "modern":
        result["resultType"] = "complete"
        result["_meta"] = {"io.modelcontextprotocol/serverInfo": dict(ports.server_info)}
    return result


def _steps(ports: Ports, listeners: Listeners, x: Exchange, draft: Draft) -> AsyncGenerator[Notice | Reply, None]:
    """The exchange of each kind of method; what is not a list, a subscription or a stream is about one item."""
    match x.method.kind:
        case "list":
            return _list_steps(ports, x, draft)
        case "subscribe":
            return _subscribe_steps(ports, listeners, x, draft)
        case "listen":
            return _listen_steps(ports, listeners, x, draft)
        case _:
            return _item_steps(ports, x, draft)


async def _list_steps(ports: Ports, x: Exchange, draft: Draft) -> AsyncGenerator[Reply, None]:
    reply = await _written(listing(ports, x, draft))  # which is recorded before a backend is asked as its caller
    await _written(recording.listing(ports, x, draft))
    yield reply


async def _subscribe_steps(ports: Ports, listeners: Listeners, x: Exchange, draft: Draft) -> AsyncGenerator[Reply, None]:
    target = draft.target = resolve(x.view, x.method, x.message)
    if x.method.name == "resources/unsubscribe":
        await _written(recording.answered(ports, x, draft))
        await unsubscribed(ports, listeners, x, target)
    else:
        permit = await permitted(ports, x, draft, target)
        draft.backend = target.backend or ""
        check_room(ports, listeners, x)
        await _charged(ports, permit)
        await _written(recording.intent(ports, x, draft))
        await subscribed(ports, listeners, x, draft, target)
        await _outcome(ports, x, draft)
    yield Reply({})


async def _listen_steps(ports: Ports, listeners: Listeners, x: Exchange, draft: Draft) -> AsyncGenerator[Notice | Reply, None]:
    revision = ports.decider.revision
    await admitted(ports, x, draft)
    listener = await honoured(ports, x, draft)
    listener.revision = revision
    await _written(recording.answered(ports, x, draft))
    async with aclosing(listened(ports, listeners, x, listener)) as events:
        async for event in events:
            yield event


async def _item_steps(ports: Ports, x: Exchange, draft: Draft) -> AsyncGenerator[Notice | Reply, None]:
    target = resolve(x.view, x.method, x.message)
    draft.target = target
    draft.backend = target.backend or ""
    permit = await permitted(ports, x, draft, target)
    await _charged(ports, permit)
    await _written(recording.intent(ports, x, draft))
    async with aclosing(relayed(ports, x, draft, permit)) as events:
        async for event in events:
            if isinstance(event, Final):
                whole = json.encode(event.result)
                draft.result, draft.bytes_out = event.result, len(whole)
                await _outcome(ports, x, draft)
                for notice in event.held:
                    yield notice
                yield Reply(whole)
            else:
                yield event


async def _charged(ports: Ports, permit: Permit) -> None:
    if not permit.duties.charges:
        return
    charges = [Charge(each.key, each.limit, each.period_s, each.weight) for each in permit.duties.charges]
    try:
        wait_s = await ports.limiter.charge(charges)
    except OSError as error:
        raise Refusal(Kind.LIMITED, "The rate limit cannot be checked, so nothing was done.", cause="limiter") from error
    if wait_s > 0:
        whole_s = max(1, round(wait_s + 0.5))
        raise Refusal(
            Kind.LIMITED,
            f"Over the rate limit; nothing was done. Try again in {whole_s} s.",
            data={"retryAfterSeconds": whole_s},
        )


async def _written(record: Awaitable[T]) -> T:
    """One record, before what it records; where it cannot be written, nothing is done."""
    try:
        return await record
    except Unrecorded as error:
        raise Refusal(Kind.UNRECORDED, "The audit log cannot be written, so nothing was done.") from error


async def _outcome(ports: Ports, x: Exchange, draft: Draft) -> None:
    try:
        await recording.outcome(ports, x, draft)
    except Unrecorded as error:
        draft.closed = True
        raise withheld("it could not be recorded in the audit log", "unrecorded") from error


async def _recorded_refusal(ports: Ports, x: Exchange, draft: Draft, refusal: Refusal) -> Refusal:
    """The refusal once it stands in the log; where the log cannot take it, that is what the caller learns."""
    if draft.closed:
        return refusal
    try:
        await recording.refusal(ports, x, draft, refusal)
    except Unrecorded:
        draft.closed = True
        if draft.carried_out:
            return withheld("it could not be recorded in the audit log", "unrecorded")
        return Refusal(Kind.UNRECORDED, "The audit log cannot be written, so nothing was done.")
    return refusal


async def _broken_off(ports: Ports, x: Exchange, draft: Draft, ended: Literal["cancelled", "internal"]) -> None:
    try:
        await recording.broken_off(ports, x, draft, ended)
    except Unrecorded:
        draft.closed = True

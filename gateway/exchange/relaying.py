"""Forwards a permitted request and passes on what comes back, each message under its duties.

Nothing is passed on before the permit. While a result waits to be inspected, only bare progress numbers pass.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from gateway.errors import BackendFailed, Kind, Refusal
from gateway.exchange import redacting
from gateway.exchange.deciding import Permit, as_owed_now, ended_early, inspected, still_permitted, withheld
from gateway.exchange.draft import Draft
from gateway.exchange.links import judged
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.standing import Ended, Leash, Standing
from gateway.model import Answer, Fault, JsonObject, Log, Notice, Outgoing, Progress
from gateway.policy.redact import Redactor
from gateway.wire.params import param_headers
from gateway.wire.results import check_result, fault_for_client, for_client

BARE = ("progress", "total")


@dataclass(frozen=True, slots=True)
class Final:
    """The client's result, and the messages that were held back until it was judged."""

    result: JsonObject
    held: tuple[Notice, ...]


async def relayed(ports: Ports, x: Exchange, draft: Draft, permit: Permit) -> AsyncGenerator[Notice | Final, None]:
    """The client's notices, then its result. Raises `Refusal`; closing it early cancels the request at the backend."""
    held: list[Notice] = []
    async with aclosing(_messages(ports, x, draft, permit)) as messages:
        async for message in messages:
            permit = as_owed_now(ports, draft, permit)
            match message:
                case Progress() | Log():
                    notice = await _notice(ports, x, draft, permit, message)
                    if notice is None:
                        continue
                    if permit.duties.inspect_result and isinstance(message, Log):
                        if len(held) < ports.bounds.held_notices:
                            held.append(notice)
                        continue
                    draft.notices += 1
                    yield notice
                case Answer():
                    result = await _result(ports, x, draft, permit, message)
                    yield Final(result, tuple(held))
                case Fault():
                    raise await _fault(ports, x, draft, permit, message)


async def _messages(
    ports: Ports, x: Exchange, draft: Draft, permit: Permit
) -> AsyncGenerator[Progress | Log | Answer | Fault, None]:
    """The backend's messages, with the time spent waiting for them; failures become refusals that say what is known."""
    assert permit.target.backend is not None
    outgoing = _outgoing(x, draft, permit)
    cause = "cancelled"
    leash = Leash()
    standing = _standing(ports, x, draft, permit, leash)
    ports.standings.open(standing)
    messages = ports.backends.forward(outgoing)
    try:
        while True:
            started = time.perf_counter()
            try:
                message = await leash.next_of(messages)
            except StopAsyncIteration:
                raise BackendFailed("closed", "no answer", sent=True) from None
            finally:
                draft.backend_s += time.perf_counter() - started
            if isinstance(message, Answer | Fault):
                draft.carried_out = True  # or may have been, when it answers with an error
                draft.era_backend = message.era
                if isinstance(message, Answer):
                    check_result(message.result, method=x.method.name, backend_era=message.era)
                cause = "ok"
                yield message
                return
            yield message
    except BackendFailed as failed:
        cause = failed.cause
        draft.carried_out = failed.sent
        raise backend_failed(permit.target.backend, failed) from failed
    except Ended as ended:
        draft.carried_out = True  # or may have been
        raise ended_early(ended.cause) from ended
    finally:
        ports.standings.close(standing)
        await _close(messages)
        ports.meter.backend(backend=permit.target.backend, duration_s=draft.backend_s, cause=cause)


def _standing(ports: Ports, x: Exchange, draft: Draft, permit: Permit, leash: Leash) -> Standing:
    """The request while the backend works on it: what was allowed when it began may be forbidden before it ends."""
    return Standing(
        x.caller,
        x.view.surface,
        draft.decisions[-1][1].revision,
        partial(still_permitted, ports, x, draft, permit),
        leash.end,
        ports.bounds.call_grace_s,
    )


async def _close(messages: object) -> None:
    if isinstance(messages, AsyncGenerator):
        await messages.aclose()


def _outgoing(x: Exchange, draft: Draft, permit: Permit) -> Outgoing:
    target = permit.target
    assert target.backend is not None
    headers = param_headers(target.item.header_map, permit.arguments) if target.item and target.item.header_map else {}
    return Outgoing(
        backend=target.backend,
        method=x.method.name,
        params=target.params(x.method.name, permit.arguments),
        owner=x.caller.key,
        meta={"traceparent": trace} if isinstance(trace := x.message.meta.get("traceparent"), str) else {},
        progress=x.progress_token is not None,
        log_level=log_level(x),
        param_headers=headers,
        headers=x.headers,
        caller=x.caller,
        item_id=target.resource.id or target.resource.uri or "",
        decision_id=draft.decisions[-1][1].decision_id,
    )


def log_level(x: Exchange) -> str | None:
    """Modern clients ask for log messages with each request; legacy ones for a session, and get `info` until they do."""
    if x.message.era == "legacy":
        return (x.session.log_level if x.session else None) or "info"
    level = x.message.meta.get("io.modelcontextprotocol/logLevel")
    return level if isinstance(level, str) else None


async def _notice(ports: Ports, x: Exchange, draft: Draft, permit: Permit, message: Progress | Log) -> Notice | None:
    """What may pass of a message that came before the result; None: nothing."""
    token = x.progress_token
    if isinstance(message, Progress) and token is None:
        return None
    outcome = await redacting.notice(
        ports.redacting_turns, permit.redactor, message.params, "log" if isinstance(message, Log) else "progress"
    )
    draft.hits.extend(outcome.hits)
    draft.parts_withheld += outcome.withheld
    params = outcome.value
    if isinstance(message, Log):
        return Notice("notifications/message", params)
    if permit.duties.inspect_result:  # a text could tell what the verdict will withhold, and cannot be sent later:
        params = {name: params[name] for name in BARE if name in params}  # progress must increase with every message
    return Notice("notifications/progress", {**params, "progressToken": token})


async def _result(ports: Ports, x: Exchange, draft: Draft, permit: Permit, answer: Answer) -> JsonObject:
    redactor = permit.redactor
    if permit.duties.inspect_result:
        redactor = await inspected(ports, x, draft, permit, answer.result)
    result = await _redacted(ports, draft, permit, redactor, answer)
    result = await judged(ports, x, draft, permit.target, result)
    return for_client(
        result,
        method=x.method.name,
        backend_era=answer.era,
        client_era=x.message.era,
        client_version=x.message.version,
        server_info=dict(ports.server_info),
    )


async def _redacted(ports: Ports, draft: Draft, permit: Permit, redactor: Redactor, answer: Answer) -> JsonObject:
    item = permit.target.item
    fits = ports.validators.of_results(item) if item is not None and "outputSchema" in item.definition else None
    outcome = await redacting.result(ports.redacting_turns, redactor, answer.result, fits, answer.size_bytes)
    draft.hits.extend(outcome.hits)
    draft.parts_withheld += outcome.withheld
    if not outcome.fits:
        raise withheld("what the policy leaves of it does not satisfy the tool's own output schema", "output_schema")
    return outcome.value


async def _fault(ports: Ports, x: Exchange, draft: Draft, permit: Permit, fault: Fault) -> Refusal:
    """A backend's own error, inspected and redacted like a result, in the client's terms."""
    redactor = permit.redactor
    if permit.duties.inspect_result:
        redactor = await inspected(ports, x, draft, permit, _as_result(fault))
    told: JsonObject = {"code": fault.code, "message": fault.message, "data": fault.data}
    outcome = await redacting.error(ports.redacting_turns, redactor, told)
    draft.hits.extend(outcome.hits)
    draft.parts_withheld += outcome.withheld
    error = outcome.value
    code = error["code"]
    assert isinstance(code, int)  # one that a rule takes is replaced by another
    shown = Fault(code, str(error.get("message", "")), error.get("data"), fault.era)
    declared = frozenset(x.message.capabilities)
    refusal = fault_for_client(shown, method=x.method.name, client_era=x.message.era, declared=declared)
    if refusal.kind is Kind.UNKNOWN_RESOURCE:
        name = permit.target.resource.public_name
        return Refusal(Kind.UNKNOWN_RESOURCE, f"Resource not found: {name}", data={"uri": name}, cause="backend_not_found")
    return refusal


def _as_result(fault: Fault) -> JsonObject:
    """An error as the policy sees it in phase result: in the form that tools have for errors, whatever the method."""
    result: JsonObject = {"content": [{"type": "text", "text": fault.message}], "isError": True}
    return result if fault.data is None else {**result, "structuredContent": fault.data}


def backend_failed(backend: str, failed: BackendFailed) -> Refusal:
    """What a caller is told of a backend that failed: what kind of thing, and whether the action may have been carried out."""
    reason = {
        "unreachable": "cannot be reached",
        "late": "did not answer in time",
        "closed": "ended its answer early",
        "not_mcp": "answered with something that is not MCP",
        "status": "answered with an HTTP error",
        "unauthorized": "did not accept the gateway's own credential",
        "credential": "needs a credential that the gateway could not get for this request",
        "too_large": "sent a result over the size limit",
        "server_request": "asked its client for input (sampling, elicitation or roots), which this gateway does not relay yet",
        "busy": "has no capacity left at this gateway",
    }[failed.cause]
    after = "The action may have been carried out." if failed.sent else "Nothing was carried out."
    return Refusal(Kind.BACKEND_FAILED, f"The backend {backend} {reason}. {after}", cause=failed.cause)

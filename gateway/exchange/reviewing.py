"""Whether a stream of changes may be open: not for a caller whom the facts block, and for nobody whom the policy cannot judge.

A block of the caller hides whatever is asked about, so a few items that it does not hide tell. Otherwise a name that no backend
has tells, since only a block of the caller hides that: also where the surface shows nothing, or a backend's rule fails.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.errors import Kind, Refusal, Undecided
from gateway.exchange.asking import Seen, ask_list, question
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.target import linked, listed
from gateway.model import Resource

BLOCKS = "facts/blocks"  # the rule under which `mcp.authz.exceptions` hides what the facts block
SAMPLE = 8
NOTHING = (Resource(type="tool", public_name="(nothing)"),)  # as a call of an unknown name asks


async def as_of_now(ports: Ports, x: Exchange) -> Exchange:
    """The same exchange, with what its surface shows its caller now and the time that it is now."""
    return replace(x, view=await ports.catalogs.full_view(x.view.surface, x.caller), started_ns=ports.now_ns())


async def as_known_now(ports: Ports, x: Exchange) -> Exchange:
    """The same without waiting for a backend, unless this caller's lists of one are not known at all.

    Few reviews go at a time: were each to wait for a backend that hangs, a blocked caller's call would go on behind them.
    """
    view = ports.catalogs.view(x.view.surface, x.caller)
    if any(ports.backends.scope(backend, x.caller.key) for backend in view.missing):  # what is missing would seem hidden
        return await as_of_now(ports, x)
    return replace(x, view=view, started_ns=ports.now_ns())


async def admitted(ports: Ports, x: Exchange, draft: Draft) -> None:
    """Raises `Refusal`: the caller is blocked, or the policy cannot tell."""
    try:
        if not await blocked(ports, x, draft):
            return
    except Undecided as undecided:
        message = "The policy gave no decision on this stream. Try again in a moment."
        raise Refusal(Kind.UNDECIDED, message, cause=undecided.cause) from undecided
    raise Refusal(Kind.FORBIDDEN_SURFACE, "Nothing on this surface is open to this caller.", cause="blocked")


async def blocked(ports: Ports, x: Exchange, draft: Draft) -> bool:
    """Whether blocks in the facts hide everything that there is, or would hide whatever there were. Raises `Undecided`."""
    items = [listed(item) for items in x.view.items.values() for item in items]
    few = items[:: max(1, len(items) // SAMPLE)][:SAMPLE]
    seen = await _seen(ports, x, draft, few)
    if few and not seen.lost and not _all_blocked(seen, few):
        return False
    if _all_blocked(await _seen(ports, x, draft, NOTHING), NOTHING):
        return True
    return bool(few) and not seen.lost and _all_blocked(await _seen(ports, x, draft, items), items)


async def unseen(ports: Ports, x: Exchange, draft: Draft, public_uris: Sequence[str]) -> tuple[str, ...]:
    """Those of `public_uris` that the caller may not see. Raises `Undecided`."""
    resources = [linked(x.view, uri) for uri in public_uris]
    asked = question(x, resources, phase="list", action="resources/list", now_ns=x.started_ns)
    seen = await ask_list(ports, draft, asked)
    return tuple(uri for position, uri in enumerate(public_uris) if position not in seen.visible)


async def _seen(ports: Ports, x: Exchange, draft: Draft, resources: Sequence[Resource]) -> Seen:
    asked = question(x, resources, phase="list", action="subscriptions/listen", now_ns=x.started_ns)
    return await ask_list(ports, draft, asked)


def _all_blocked(seen: Seen, resources: Sequence[Resource]) -> bool:
    hidden = {part[position] for part, decision in seen.decisions for position in decision.hidden_by.get(BLOCKS, ())}
    return len(hidden) == len(resources)

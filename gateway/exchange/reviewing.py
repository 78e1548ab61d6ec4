"""Whether a stream of changes may be open: not for a caller whom the facts block, and for nobody whom the policy cannot judge.

A block of the caller hides whatever is asked about, so a few items tell; only when all of those are hidden by it are all asked.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.errors import Kind, Refusal, Undecided
from gateway.exchange.asking import ask_list, question
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.target import linked, listed
from gateway.model import Item

BLOCKS = "facts/blocks"  # the rule under which `mcp.authz.exceptions` hides what the facts block
SAMPLE = 8


async def as_of_now(ports: Ports, x: Exchange) -> Exchange:
    """The same exchange, with what its surface shows its caller now and the time that it is now."""
    return replace(x, view=await ports.catalogs.full_view(x.view.surface, x.caller), started_ns=ports.now_ns())


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
    """Whether blocks in the facts hide everything that there is. Raises `Undecided`."""
    items = [item for items in x.view.items.values() for item in items]
    few = items[:: max(1, len(items) // SAMPLE)][:SAMPLE]
    return bool(few) and await _all_blocked(ports, x, draft, few) and await _all_blocked(ports, x, draft, items)


async def unseen(ports: Ports, x: Exchange, draft: Draft, public_uris: Sequence[str]) -> tuple[str, ...]:
    """Those of `public_uris` that the caller may not see. Raises `Undecided`."""
    resources = [linked(x.view, uri) for uri in public_uris]
    asked = question(x, resources, phase="list", action="resources/list", now_ns=x.started_ns)
    seen = await ask_list(ports, draft, asked)
    return tuple(uri for position, uri in enumerate(public_uris) if position not in seen.visible)


async def _all_blocked(ports: Ports, x: Exchange, draft: Draft, items: Sequence[Item]) -> bool:
    asked = question(x, [listed(item) for item in items], phase="list", action="subscriptions/listen", now_ns=x.started_ns)
    seen = await ask_list(ports, draft, asked)
    hidden = {part[position] for part, decision in seen.decisions for position in decision.hidden_by.get(BLOCKS, ())}
    return len(hidden) == len(items)

"""URIs inside results are judged like reads: what the subject may not see is taken out, the rest is made public.

What one result may cost is bounded: links beyond `MOST_LINKS` are taken out like hidden ones, and recorded as undecided.
"""

import asyncio
from typing import Final

from gateway.catalog.links import linked_uris, publish, without
from gateway.catalog.surface import View
from gateway.errors import Undecided
from gateway.exchange.asking import ask_list, question
from gateway.exchange.deciding import withheld
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.target import Target, linked
from gateway.model import JsonObject, Resource

MOST_LINKS: Final = 1000  # of one result, each URI counted once: two questions; 8 MiB could hold 100,000
TRIES: Final = 10_000  # of templates at a stretch: 20 ms of the event loop


async def judged(ports: Ports, x: Exchange, draft: Draft, target: Target, result: JsonObject) -> JsonObject:
    """The result with public URIs, without links and contents that the subject may not see."""
    assert target.backend is not None
    uris = linked_uris(result, method=x.method.name)
    foreign = tuple(uri for uri in uris if uri != target.resource.uri)
    if foreign:
        hidden = await _hidden(ports, x, draft, target.backend, foreign)
        if hidden:
            result = without(result, method=x.method.name, uris=hidden)
            if x.method.name == "resources/read" and not result.get("contents"):
                raise withheld("none of its contents may be seen by this caller", "links")
    return publish(result, method=x.method.name, backend=target.backend, view=x.view) if uris else result


async def _hidden(ports: Ports, x: Exchange, draft: Draft, backend: str, uris: tuple[str, ...]) -> frozenset[str]:
    """Those that are not visible; all of them when the policy cannot tell, and those beyond the bound."""
    resources = await _resources(x.view, backend, uris[:MOST_LINKS])
    shown = [uri for uri in resources if resources[uri].backend is not None]  # another does not exist here, whatever the answer
    asked = question(x, [resources[uri] for uri in shown], phase="list", action="resources/list", now_ns=x.started_ns)
    try:
        visible = {shown[position] for position in (await ask_list(ports, draft, asked)).visible}
    except Undecided:
        visible = set()
    if len(uris) > MOST_LINKS:
        ports.meter.undecided(cause="too_large")
        draft.undecided(asked.decision_id, asked.phase, "too_large")
    return frozenset(uris) - visible


async def _resources(view: View, backend: str, uris: tuple[str, ...]) -> dict[str, Resource]:
    """By URI, each as a decision sees it. Every one may be tried against every template, so others get their turn between."""
    at_a_stretch = max(1, TRIES // (1 + len(view.templates.get(backend, ()))))
    resources: dict[str, Resource] = {}
    for start in range(0, len(uris), at_a_stretch):
        if start:
            await asyncio.sleep(0)
        stretch = uris[start : start + at_a_stretch]
        resources.update((uri, linked(view, view.publish_uri(backend, uri))) for uri in stretch)
    return resources

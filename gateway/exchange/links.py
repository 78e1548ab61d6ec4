"""URIs inside results are judged like reads: what the subject may not see is taken out, the rest is made public."""

from gateway.catalog.links import linked_uris, publish, without
from gateway.errors import Undecided
from gateway.exchange.asking import ask_list, question
from gateway.exchange.deciding import withheld
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.target import Target, linked
from gateway.model import JsonObject


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
    """Those that are not visible; all of them when the policy cannot tell."""
    resources = {uri: linked(x.view, x.view.publish_uri(backend, uri)) for uri in uris}
    shown = [uri for uri in uris if resources[uri].backend is not None]  # another does not exist here, whatever the answer
    asked = question(x, [resources[uri] for uri in shown], phase="list", action="resources/list", now_ns=x.started_ns)
    try:
        seen = await ask_list(ports, draft, asked)
    except Undecided:
        return frozenset(uris)
    return frozenset(uris) - {shown[position] for position in seen.visible}

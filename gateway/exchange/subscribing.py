"""`resources/subscribe` and `resources/unsubscribe` of a legacy session: decided like a read, kept per session."""

from gateway.errors import BackendFailed, Kind, Refusal
from gateway.exchange.deciding import permitted
from gateway.exchange.draft import Draft
from gateway.exchange.listen import Listeners
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.relaying import backend_failed
from gateway.exchange.target import resolve
from gateway.model import Reply


async def subscribed(ports: Ports, listeners: Listeners, x: Exchange, draft: Draft) -> Reply:
    """The empty result. Raises `Refusal`."""
    assert x.session is not None
    target = draft.target = resolve(x.view, x.method, x.message)
    public_uri = target.resource.public_name
    if x.method.name == "resources/unsubscribe":
        place = listeners.unsubscribe(x.session.id, public_uri)
        if place is not None:
            await ports.backends.unwatch(*place)
        return Reply({})
    await permitted(ports, x, draft, target)
    assert target.backend is not None and target.resource.uri is not None
    draft.backend = target.backend
    limit = ports.bounds.subscriptions_per_stream
    if listeners.subscriptions(x.session.id) >= limit:
        raise Refusal(Kind.BUSY, f"This session has {limit} subscriptions, the most it may have; unsubscribe from one first.")
    place = (target.backend, target.resource.uri)
    if listeners.subscribe(x.session.id, public_uri, place):
        try:
            await ports.backends.watch(*place)
        except BackendFailed as failed:
            listeners.unsubscribe(x.session.id, public_uri)
            raise backend_failed(target.backend, failed) from failed
    return Reply({})

"""`resources/subscribe` and `resources/unsubscribe` of a legacy session: decided and recorded like a read, kept per session."""

from gateway.errors import BackendFailed, Kind, Refusal
from gateway.exchange.draft import Draft
from gateway.exchange.listen import Listeners
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.relaying import backend_failed
from gateway.exchange.target import Target


def check_room(ports: Ports, listeners: Listeners, x: Exchange) -> None:
    """Raises `Refusal` when the session has all the subscriptions that it may have."""
    assert x.session is not None
    limit = ports.bounds.subscriptions_per_stream
    if listeners.subscriptions(x.session.id) >= limit:
        raise Refusal(Kind.BUSY, f"This session has {limit} subscriptions, the most it may have; unsubscribe from one first.")


async def subscribed(ports: Ports, listeners: Listeners, x: Exchange, draft: Draft, target: Target) -> None:
    """Watches a permitted resource for the session. Raises `Refusal`."""
    assert x.session is not None
    assert target.backend is not None and target.resource.uri is not None
    check_room(ports, listeners, x)  # once more: others may have come while this one was decided and recorded
    place = (target.backend, target.resource.uri)
    if listeners.subscribe(x.session.id, target.resource.public_name, place):
        try:
            await ports.backends.watch(*place)
        except BackendFailed as failed:
            await unsubscribed(ports, listeners, x, target)
            draft.carried_out = failed.sent
            raise backend_failed(target.backend, failed) from failed
        except BaseException:  # its client cancelled it: what is recorded as broken off must not stand
            await unsubscribed(ports, listeners, x, target)
            raise
    draft.carried_out = True


async def unsubscribed(ports: Ports, listeners: Listeners, x: Exchange, target: Target) -> None:
    """Lets go of what the session watches; nothing where it does not."""
    assert x.session is not None
    place = listeners.unsubscribe(x.session.id, target.resource.public_name)
    if place is not None:
        await ports.backends.unwatch(*place)

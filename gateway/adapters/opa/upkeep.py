"""What is asked of a sidecar beside decisions, through opa-python-client: is it well. Never on the path of an exchange.

That client knows neither unix sockets nor a CA of our own: where one of them is needed there is nothing to ask with, and
the canaries, which prove more, are all there is.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from opa_client.opa_async import AsyncOpaClient

from gateway.adapters.opa.sidecar import Trust, target

Health: TypeAlias = Callable[[], Awaitable[bool]]
TIMEOUT_S = 1.0


def health(url: str, trust: Trust) -> Health | None:
    """Asks OPA's own health check, bundles and plugins included; None: it cannot be asked. Raises `UnsafeUrl`."""
    to = target(url, trust)
    if to.socket_path is not None or trust.ca is not None:
        return None
    certificate = (str(trust.certificate), str(trust.key)) if trust.certificate and trust.key else None

    async def check() -> bool:
        host = f"[{to.host}]" if ":" in to.host else to.host
        client = AsyncOpaClient(
            host=host, port=to.port, ssl=to.tls is not None, cert=certificate, token=trust.token, retries=0, timeout=TIMEOUT_S
        )
        async with client:
            return bool(await client.check_health({"bundles": True, "plugins": True}))

    return check

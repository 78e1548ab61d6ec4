"""Proxies in front: a forwarded address counts only from one that is named, and where one is named nobody comes past it in clear.

`X-Forwarded-Proto` and `-Host` are never believed; a forwarded host is one more name that must be ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Kind, Refusal
from gateway.front.responding import write_refusal
from gateway.wire import forwarded
from gateway.wire.forwarded import Address, Header, Network
from gateway.wire.head import check_forwarded_host

REMEMBERED_PEERS = 1024


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Who may speak for others, and how."""

    networks: tuple[Network, ...]
    header: Header = "x-forwarded-for"
    direct: bool = False  # others may connect themselves: we serve TLS


class Proxies:
    """Puts the true client into the scope, or refuses."""

    def __init__(
        self, app: ASGIApp, trusted: TrustedProxies, hosts: frozenset[str], refused: Callable[[Refusal, str], None]
    ) -> None:
        self._app = app
        self._trusted = trusted
        self._hosts = hosts
        self._refused = refused
        self._peer = lru_cache(REMEMBERED_PEERS)(self._known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        peer, named = self._peer(client[0] if client else "")
        try:
            if peer is None or not (named or self._trusted.direct or peer.is_loopback):
                told = "connect through the proxy in front of this gateway (listen.trusted_proxies), or by TLS"
                raise Refusal(Kind.FORBIDDEN_ORIGIN, told, cause="proxy")
            if named:
                scope = {**scope, "client": (str(self._caller(scope, peer)), 0)}
        except Refusal as refusal:
            self._refused(refusal, client[0] if client else "")
            await write_refusal(send, refusal)
            return
        await self._app(scope, receive, send)

    def _caller(self, scope: Mapping[str, object], peer: Address) -> Address:
        raw = scope["headers"]
        assert isinstance(raw, list)
        lines = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw if b"orwarded" in name.lower()]
        check_forwarded_host([value for name, value in lines if name == "x-forwarded-host"], self._hosts)
        return forwarded.caller(peer, lines, self._trusted.networks, header=self._trusted.header)

    def _known(self, host: str) -> tuple[Address | None, bool]:
        """A peer's address, and whether it is a named proxy's."""
        peer = forwarded.address(host)
        return peer, peer is not None and forwarded.within(peer, self._trusted.networks)

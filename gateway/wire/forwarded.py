"""Who is behind a proxy: read from the right, since only what the nearest proxies wrote is not the caller's own word.

An element is believed as long as the address that wrote it is a proxy we were told to trust; the first address that is none
is the caller. What cannot be read ends the walk, and then the caller is the proxy that reported it.
"""

import ipaddress
from collections.abc import Sequence
from typing import Literal, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Header: TypeAlias = Literal["x-forwarded-for", "forwarded"]


def address(text: str) -> Address | None:
    """The address in `text`, which may have a port or brackets; None: it is none. An IPv4 address mapped to IPv6 is itself."""
    host, _, port = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    elif port.isascii() and port.isdigit() and ((host.startswith("[") and host.endswith("]")) or "." in host):
        text = host.strip("[]")
    if not text.isascii() or "%" in text:  # a zone belongs to one machine's links and names nobody elsewhere
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def within(found: Address, networks: Sequence[Network]) -> bool:
    return any(found in network for network in networks)


def caller(peer: Address, headers: Sequence[tuple[str, str]], trusted: Sequence[Network], *, header: Header) -> Address:
    """The address that asks: `peer`'s own, or what it and the proxies before it say. `headers`: names in lower case."""
    if not within(peer, trusted):
        return peer
    written = [part for name, value in headers if name == header for part in value.split(",")]
    nearest = peer
    for part in reversed(written):
        hop = address(_node(part) if header == "forwarded" else part.strip(" \t"))
        if hop is None:
            return nearest
        nearest = hop
        if not within(hop, trusted):
            return hop
    return nearest


def _node(element: str) -> str:
    """The `for` of one element of `Forwarded` (RFC 7239 4). Commas in quotes are not looked for: an address has none, and
    a quotation mark that the caller left open must not swallow what the proxy wrote behind it."""
    for pair in element.split(";"):
        name, _, value = pair.strip(" \t").partition("=")
        if name.lower() == "for":
            return value.strip('"')
    return ""

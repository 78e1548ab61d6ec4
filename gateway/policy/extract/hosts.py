"""Which machine a host names, without asking anybody: names as DNS sees them (UTS 46, punycode), addresses in every spelling.

An address that two readers would read differently counts as the least public of what they read.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import idna

from gateway.policy.extract.unreadable import Unreadable

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = Literal["public", "private", "loopback", "link_local", "reserved", "name"]

MAX_CHARS = 253  # RFC 1035: a name of 255 octets on the wire
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
NUMBER = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")
LOCAL_NAMES = ("local", "internal", "intranet", "lan", "home", "corp", "private", "localdomain", "home.arpa")
LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
SHARED = ipaddress.IPv4Network("100.64.0.0/10")  # RFC 6598: not public, and `is_private` says otherwise
RANK: tuple[Network, ...] = ("public", "reserved", "private", "link_local", "loopback")  # the last of several counts


@dataclass(frozen=True, slots=True)
class Host:
    """`name` is an ASCII name, or an address as it is written normally."""

    name: str
    kind: Literal["name", "ipv4", "ipv6"]
    network: Network  # `name`: only a look-up would tell


def host(text: str) -> Host:
    """The host of a URL, its brackets included. Raises `Unreadable`."""
    if text.startswith("[") or text.endswith("]"):
        return _ipv6(text)
    name = _ascii(text)
    last = name.rsplit(".", 1)[-1]
    if last.isdigit() or NUMBER.fullmatch(last):  # WHATWG URL: "ends in a number", so it is an IPv4 address or nothing
        return _ipv4(name)
    _check_labels(name)
    return Host(name, "name", _named_network(name))


def domain_name(text: str) -> str:
    """The domain of an address, as DNS sees it: at least two labels, and not a number. Raises `Unreadable`."""
    found = host(text)
    if found.kind != "name" or "." not in found.name:
        raise Unreadable("its domain is no domain name")
    return found.name


def _ascii(text: str) -> str:
    if not text or "%" in text:
        raise Unreadable("its host is empty or percent-encoded")
    try:
        name = idna.uts46_remap(text, std3_rules=False, transitional=False)
        labels = [_label(label) for label in name.removesuffix(".").split(".")]
    except (idna.IDNAError, UnicodeError, IndexError) as error:
        raise Unreadable("its host is no valid international name") from error
    joined = ".".join(labels)
    if not joined or len(joined) > MAX_CHARS:
        raise Unreadable("its host is empty or too long")
    return joined


def _label(label: str) -> str:
    if label.startswith("xn--"):
        idna.ulabel(label)  # punycode that does not decode, or decodes to what may not be, is no name
        return label
    return label if label.isascii() else idna.alabel(label).decode()


def _check_labels(name: str) -> None:
    if not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise Unreadable("its host has a character that no name has")


def _named_network(name: str) -> Network:
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return "loopback"
    if "." not in name or any(name.endswith("." + local) for local in LOCAL_NAMES):
        return "private"
    return "name"


def _ipv4(name: str) -> Host:
    """As inet_aton and WHATWG read it: one to four parts, decimal, octal or hexadecimal; the last fills what is left."""
    parts = name.split(".")
    if len(parts) > 4 or not all(NUMBER.fullmatch(part) for part in parts):
        raise Unreadable("its host ends in a number and is no address")
    address = _whole([_part(part) for part in parts])
    if address is None:
        raise Unreadable("its host is a number beyond every address")
    readings = [address]
    if any(len(part) > 1 and part.startswith("0") and part.isdigit() for part in parts):
        other = _whole([int(part) for part in parts]) if all(part.isdigit() for part in parts) else None
        readings += [other] if other is not None else []
    return Host(str(address), "ipv4", _least_public(readings))


def _part(part: str) -> int:
    try:
        if part[:2] in {"0x", "0X"}:
            return int(part[2:] or "0", 16)
        return int(part, 8) if len(part) > 1 and part.startswith("0") else int(part)
    except ValueError as error:  # 08 and 09 are no octal numbers
        raise Unreadable("its host is a number that readers understand differently") from error


def _whole(parts: list[int]) -> ipaddress.IPv4Address | None:
    *leading, last = parts
    if any(part > 255 for part in leading) or last >= 256 ** (4 - len(leading)):
        return None
    return ipaddress.IPv4Address(sum(part << (24 - 8 * index) for index, part in enumerate(leading)) + last)


def _ipv6(text: str) -> Host:
    if not (text.startswith("[") and text.endswith("]")):
        raise Unreadable("its host has brackets that do not match")
    if "%" in text:
        raise Unreadable("its host has a zone, which only the machine itself understands")
    try:
        address = ipaddress.IPv6Address(text[1:-1])
    except ValueError as error:
        raise Unreadable("its host is no IPv6 address") from error
    return Host(str(address), "ipv6", _least_public((address, *_embedded(address))))


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """IPv4 addresses that the packet may reach in the end."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in NAT64) or (int(address) >> 32 == 0 and int(address) > 1):
        found.append(last)
    return [each for each in found if each is not None]


def _least_public(addresses: Sequence[Address]) -> Network:
    return max((_network(address) for address in addresses), key=RANK.index)


def _network(address: Address) -> Network:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return _network(address.ipv4_mapped)
    if address.is_loopback or address.is_unspecified:  # 0.0.0.0 is this machine to most systems
        return "loopback"
    if address.is_link_local:  # where clouds keep their metadata
        return "link_local"
    if address.is_multicast or (address.is_reserved and not address.is_private):
        return "reserved"
    if address.is_private or (isinstance(address, ipaddress.IPv4Address) and address in SHARED):
        return "private"
    return "public" if address.is_global else "reserved"

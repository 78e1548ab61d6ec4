"""Failed logins by source address: after so many within a minute the address is not worth a verification for a while.

What needs none still passes: an API key, which is compared in microseconds, and a token that was verified a moment ago.
Bounded whatever strangers do: when too many addresses fail at once, those that failed longest ago are forgotten.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

PERIOD_S = 60.0
MAX_SOURCES = 10_000
UNCOUNTED = frozenset(
    {
        "no_credential",  # nothing was tried: every client's first request
        "expired",  # verified, and then found too old: a client that will come back with a fresh one
        "end_user",  # verified, and then one header too many
        "keys_unavailable",  # not the caller's fault
        "issuer_unavailable",
        "issuer_busy",
        "proofs_full",
    }
)


class FailedLogins:
    """Counts failures in periods of a minute that begin with an address's first one."""

    def __init__(
        self,
        per_minute: int,
        *,
        told: Callable[[str], None] = lambda cause: None,
        max_sources: int = MAX_SOURCES,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`per_minute`: 0 limits nobody. `told` hears the cause of every failure that counts."""
        self._per_minute = per_minute
        self._told = told
        self._max_sources = max_sources
        self._clock_s = clock_s
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()  # source -> begin of its period, failures in it

    def wait_s(self, source_ip: str) -> float:
        """How long nothing from this address is verified; 0.0: it is."""
        if not self._failures:
            return 0.0
        began_s, failures = self._failures.get(source(source_ip), (0.0, 0))
        return max(0.0, began_s + PERIOD_S - self._clock_s()) if failures >= self._per_minute else 0.0

    def failed(self, source_ip: str, cause: str) -> None:
        if cause in UNCOUNTED:
            return
        self._told(cause)
        if not self._per_minute:
            return
        now_s = self._clock_s()
        self._forget(now_s)
        key = source(source_ip)
        began_s, failures = self._failures.get(key, (now_s, 0))
        self._failures[key] = began_s, failures + 1
        if len(self._failures) > self._max_sources:
            self._failures.popitem(last=False)

    def limited(self) -> int:
        """How many addresses are being refused right now."""
        self._forget(self._clock_s())
        return sum(failures >= self._per_minute for _, failures in self._failures.values())

    def _forget(self, now_s: float) -> None:
        """The periods that are over; they stand in the order of their beginning."""
        while self._failures:
            key, (began_s, _) = next(iter(self._failures.items()))
            if now_s < began_s + PERIOD_S:
                return
            del self._failures[key]


@lru_cache(maxsize=4096)
def source(source_ip: str) -> str:
    """What one stranger holds: an address of IPv4, a /64 of IPv6 (RFC 6177)."""
    try:
        address = ipaddress.ip_address(source_ip)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
        address = address.ipv4_mapped
    return str(address)

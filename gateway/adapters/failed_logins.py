"""Failed logins by source address: after so many within a minute the address is not worth a verification for a while.

What is no guess still passes: an API key, which is compared in microseconds, and a token that was good before. Of others that
name a known key of their issuer a few are verified each second, or one stranger would lock out all who share its address.
Bounded whatever strangers do: when too many addresses fail at once, those that failed longest ago are forgotten.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

PERIOD_S = 60.0
MAX_SOURCES = 10_000
SPARED_PER_S = 2  # verifications for each limited address: 0.1 ms of signatures a second
UNCOUNTED = frozenset(
    {
        "no_credential",  # nothing was tried: every client's first request
        "expired",  # verified, and then found too old: a client that will come back with a fresh one
        "end_user",  # verified, and then one header too many
        "keys_unavailable",  # not the caller's fault
        "issuer_unavailable",
        "issuer_busy",
        "proofs_full",
        "proof_unremembered",  # every client that was busy when the gateway was restarted
    }
)


@dataclass(slots=True)
class _Failing:
    """One address in its period."""

    began_s: float
    failures: int = 0
    spared_s: float = float("-inf")  # when the last one was verified although the address waits


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
        self._failures: OrderedDict[str, _Failing] = OrderedDict()  # by source

    def wait_s(self, source_ip: str) -> float:
        """How long nothing from this address is verified; 0.0: it is."""
        if not self._failures:
            return 0.0
        failing = self._failures.get(source(source_ip))
        if failing is None or failing.failures < self._per_minute:
            return 0.0
        return max(0.0, failing.began_s + PERIOD_S - self._clock_s())

    def spare(self, source_ip: str) -> bool:
        """Whether one more may be verified for an address that waits; charges it."""
        failing = self._failures.get(source(source_ip))
        if failing is None:
            return True
        now_s = self._clock_s()
        if now_s < failing.spared_s + 1 / SPARED_PER_S:
            return False
        failing.spared_s = now_s
        return True

    def failed(self, source_ip: str, cause: str) -> None:
        if cause in UNCOUNTED:
            return
        self._told(cause)
        if not self._per_minute:
            return
        now_s = self._clock_s()
        self._forget(now_s)
        key = source(source_ip)
        self._failures.setdefault(key, _Failing(now_s)).failures += 1
        if len(self._failures) > self._max_sources:
            self._failures.popitem(last=False)

    def limited(self) -> int:
        """How many addresses are being refused right now."""
        self._forget(self._clock_s())
        return sum(failing.failures >= self._per_minute for failing in self._failures.values())

    def _forget(self, now_s: float) -> None:
        """The periods that are over; they stand in the order of their beginning."""
        while self._failures:
            key, failing = next(iter(self._failures.items()))
            if now_s < failing.began_s + PERIOD_S:
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

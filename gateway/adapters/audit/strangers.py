"""Counts refusals of callers without identity: the first few of a period as they are, the others by source and cause.

Bounded whatever strangers do: in lines per period, in sources told apart, in bytes of each line.
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping

from gateway.audit_record import Strangers
from gateway.model import Json

MAX_PAIRS = 256  # (source prefix, cause) told apart in one period; the rest are counted together


class Tally:
    """The refusals of the current period."""

    def __init__(self, *, singles: int, max_pairs: int = MAX_PAIRS) -> None:
        self._singles = singles
        self._max_pairs = max_pairs
        self._written = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._uncounted = 0

    def single(self, record: Mapping[str, Json]) -> bool:
        """Whether this refusal is to be written by itself; otherwise it is counted."""
        if self._written < self._singles:
            self._written += 1
            return True
        pair = (prefix(str(record.get("source_ip", ""))), str(record.get("cause", ""))[:64])
        if pair in self._counts or len(self._counts) < self._max_pairs:
            self._counts[pair] += 1
        else:
            self._uncounted += 1
        return False

    def summary(self, period_s: float) -> Strangers | None:
        """What was only counted since the last summary, None if nothing was; a new period begins."""
        counts = tuple((source, cause, count) for (source, cause), count in self._counts.most_common())
        summary = Strangers(period_s, counts, self._uncounted) if counts else None
        self._written, self._uncounted = 0, 0
        self._counts.clear()
        return summary


def prefix(source_ip: str) -> str:
    """The network a single stranger can easily move within: /24 of IPv4, /48 of IPv6."""
    try:
        address = ipaddress.ip_address(source_ip)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))

"""How long what a backend listed counts, and how often it is asked again: numbers only."""

from dataclasses import dataclass

from gateway.catalog.merge import Part

FIRST_RETRY_S = 0.5
FAILING_PAUSE_S = 2.0  # of a backend that fails and tells of changes; that it is up again is such a change
MIN_TTL_S = 5.0
COALESCE_S = 0.05  # a burst of list_changed is one refresh
BURST = 10  # changes of a backend that are heard at once; one more each second


@dataclass(frozen=True, slots=True)
class Freshness:
    refresh_s: float = 60.0
    stale_s: float = 300.0
    max_items: int = 5000  # of one type at one backend
    walk_s: float = 120.0  # for all lists of one backend, however many pages it answers in time
    scopes_kept: int = 500  # credential scopes of one backend whose lists are kept, the least used forgotten first
    scope_wait_s: float = 5.0  # how long an exchange waits for what only its own caller's credential can list

    def lasts_s(self, part: Part) -> float:
        """Until the shortest freshness that the backend granted ends; our own where it granted none."""
        granted = [ttl_ms / 1000 for ttl_ms in part.ttl_ms.values() if ttl_ms > 0]
        return max(min(MIN_TTL_S, self.refresh_s), min([self.refresh_s, *granted]))


class Patience:
    """How long a change that a backend tells of waits to be heard: a burst is heard at once, a flood once a second."""

    def __init__(self, now_s: float) -> None:
        self._credit = float(BURST)
        self._at_s = now_s

    def pause_s(self, now_s: float) -> float:
        self._credit = min(BURST, self._credit + now_s - self._at_s)
        self._at_s = now_s
        if self._credit < 1:
            return 1.0
        self._credit -= 1
        return COALESCE_S

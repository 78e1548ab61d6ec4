"""The port `Limiter`, in memory: a moving window per key, so that a limit holds for every stretch of its period.

Nothing here awaits between checking and charging, so that on one event loop the charges of an exchange are atomic.
The windows are `limits`' strategy on a storage of our own: the library's keeps every key for ever and starts a thread
for each burst of charges.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from limits import RateLimitItemPerSecond
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from gateway.ports import Charge

SWEEP_EVERY = 1024  # charges; each sweep forgets the keys whose period has passed
SWEEP_PAUSE_S = 1.0  # at least, between two sweeps: one of 200,000 windows takes 50 ms, and when full each new key wants one
MAX_KEYS = 200_000  # live windows; beyond, a new key is refused rather than let through uncounted


class MemoryLimiter:
    """Counts in this process only; more than one needs a shared storage behind the same port."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS) -> None:
        self._windows = Windows(clock_s=clock_s, max_keys=max_keys)
        self._strategy = MovingWindowRateLimiter(self._windows)
        self._clock_s = clock_s

    async def charge(self, charges: Sequence[Charge]) -> float:
        """See the port. A charge that is heavier than its limit never passes: the wait is then its whole period."""
        totals: dict[tuple[str, int, int], int] = {}
        for charge in charges:  # two charges on one window count together, or each would pass alone
            window = (charge.key, charge.limit, charge.period_s)
            totals[window] = totals.get(window, 0) + charge.weight
        wait_s = max((self._wait_s(*key, weight) for key, weight in totals.items()), default=0.0)
        if wait_s > 0:
            return wait_s
        self._windows.make_room([_item(limit, period_s).key_for(key) for key, limit, period_s in totals])
        for (key, limit, period_s), weight in totals.items():
            charged = self._strategy.hit(_item(limit, period_s), key, cost=weight)
            assert charged, "checked above, and nothing ran in between"
        return 0.0

    def _wait_s(self, key: str, limit: int, period_s: int, weight: int) -> float:
        item = _item(limit, period_s)
        if self._strategy.test(item, key, cost=weight):
            return 0.0
        if weight > limit:
            return float(period_s)
        return max(self._windows.free_at_s(item.key_for(key), limit, weight) - self._clock_s(), 0.001)


@dataclass(slots=True)
class _Window:
    period_s: int
    charged: deque[tuple[float, int]] = field(default_factory=deque)  # (when, weight), oldest first
    used: int = 0

    def forget(self, until_s: float) -> None:
        while self.charged and self.charged[0][0] <= until_s:
            self.used -= self.charged.popleft()[1]


class Windows(Storage, MovingWindowSupport):
    """What was charged when, by key. Memory is bounded by `max_keys` and by each limit."""

    STORAGE_SCHEME = None  # not to be had by URI

    def __init__(self, *, clock_s: Callable[[], float], max_keys: int) -> None:
        super().__init__()
        self._clock_s = clock_s
        self._max_keys = max_keys
        self._windows: dict[str, _Window] = {}
        self._until_sweep = SWEEP_EVERY
        self._swept_s = -math.inf

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        _, used = self.get_moving_window(key, limit, expiry)
        if used + amount > limit:
            return False
        window = self._windows.setdefault(key, _Window(expiry))
        window.charged.append((self._clock_s(), amount))
        window.used += amount
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now_s = self._clock_s()
        window = self._windows.get(key)
        if window is None:
            return now_s, 0
        window.forget(now_s - expiry)
        return (window.charged[0][0] if window.charged else now_s), window.used

    def free_at_s(self, key: str, limit: int, weight: int) -> float:
        """When so much has left the window that `weight` fits."""
        window = self._windows[key]
        over = window.used + weight - limit
        for when_s, one in window.charged:
            over -= one
            if over <= 0:
                return when_s + window.period_s
        raise ValueError("heavier than its limit")

    def make_room(self, keys: Sequence[str]) -> None:
        """Forget what has passed, now and then. Raises `OSError` when there is no room for those of `keys` that are new."""
        self._until_sweep -= 1
        now_s = self._clock_s()
        if (self._until_sweep <= 0 or self._lacks_room(keys)) and now_s - self._swept_s >= SWEEP_PAUSE_S:
            self._sweep(now_s)
        if self._lacks_room(keys):
            raise OSError("too many rate limits are being counted")

    def _lacks_room(self, keys: Sequence[str]) -> bool:
        free = self._max_keys - len(self._windows)
        return len(keys) > free and sum(key not in self._windows for key in keys) > max(free, 0)

    def _sweep(self, now_s: float) -> None:
        self._until_sweep, self._swept_s = SWEEP_EVERY, now_s
        for key, window in tuple(self._windows.items()):
            window.forget(now_s - window.period_s)
            if not window.charged:
                del self._windows[key]

    def __len__(self) -> int:
        return len(self._windows)

    # What the library's base class asks for besides; only the moving window is used here.

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        window = self._windows.get(key)
        return 0 if window is None else window.used

    def get_expiry(self, key: str) -> float:
        window = self._windows.get(key)
        return window.charged[-1][0] + window.period_s if window and window.charged else self._clock_s()

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        keys = len(self._windows)
        self._windows.clear()
        return keys

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)


def _item(limit: int, period_s: int) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(limit, period_s)

"""Tokens that were issued to us: kept under the name of whom they are for, renewed ahead of their end, one request at a time.

A token is never handed out under another key than the one it was obtained for. The least used is forgotten first.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.adapters.credentials.credential import unavailable
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed
from gateway.identity.outbound import Issued

MAX_KEPT = 10_000
AHEAD_S = 60.0  # before its end a token is renewed, or a quarter of its life before that if it lives shortly
MARGIN_S = 5.0  # of its end a token is not used any more: it has to arrive, too
RETRY_S = 1.0  # after a failure, during which callers fail at once
DROP_EVERY_S = 10.0  # a backend that refuses every token does not make us ask for one with each call


@dataclass(slots=True)
class _Kept:
    """What is known under one key."""

    issued: Issued | None = None
    usable_until_s: float = 0.0
    renew_at_s: float = 0.0
    failure: BackendFailed | None = None
    retry_at_s: float = 0.0
    dropped_at_s: float = float("-inf")
    renewing: "asyncio.Task[None] | None" = None


class IssuedTokens:
    """The tokens of one backend."""

    def __init__(self, name: str, *, clock_s: Callable[[], float] = time.time, most: int = MAX_KEPT) -> None:
        self._name = name
        self._clock_s = clock_s
        self._most = most
        self._tasks = Tasks()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def token(self, key: str, obtain: Callable[[], Awaitable[Issued]]) -> str:
        """The token under `key`, obtained if need be. Raises `BackendFailed`."""
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept()
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        now_s = self._clock_s()
        if kept.issued is not None and now_s < kept.usable_until_s:
            if now_s >= kept.renew_at_s and now_s >= kept.retry_at_s and kept.renewing is None:
                self._renew(kept, obtain)  # beside the request, which the old one still serves
            return kept.issued.token
        if kept.renewing is None:
            if kept.failure is not None and now_s < kept.retry_at_s:
                raise _again(kept.failure)
            self._renew(kept, obtain)
        return await self._renewed(kept)

    def drop(self, key: str, token: str) -> bool:
        """The backend refused `token`. Whether another one is worth a try: it is dropped now, or was replaced already."""
        kept = self._kept.get(key)
        if kept is None or kept.issued is None or kept.issued.token != token:
            return True
        now_s = self._clock_s()
        if now_s - kept.dropped_at_s < DROP_EVERY_S:
            return False
        kept.issued, kept.dropped_at_s = None, now_s
        return True

    async def close(self) -> None:
        await self._tasks.close()
        self._kept.clear()

    def _renew(self, kept: _Kept, obtain: Callable[[], Awaitable[Issued]]) -> None:
        kept.renewing = self._tasks.spawn(self._obtained(kept, obtain), f"token for {self._name}")

    async def _renewed(self, kept: _Kept) -> str:
        assert kept.renewing is not None
        renewing = kept.renewing
        try:
            await asyncio.shield(renewing)  # one waiter's end is not the others'
        except asyncio.CancelledError:
            if renewing.cancelled():
                raise unavailable("the gateway is ending") from None
            raise
        if kept.failure is not None:
            raise _again(kept.failure)
        if kept.issued is None:
            raise unavailable("its token was refused while it was being fetched")
        return kept.issued.token

    async def _obtained(self, kept: _Kept, obtain: Callable[[], Awaitable[Issued]]) -> None:
        asked_s = self._clock_s()
        try:
            found = await obtain()
            life_s = found.expires_at_s - asked_s
            if life_s <= 0:
                raise unavailable("the token that was issued had ended already")
            kept.issued, kept.failure = found, None
            kept.usable_until_s = found.expires_at_s - min(MARGIN_S, life_s / 10)
            kept.renew_at_s = found.expires_at_s - min(AHEAD_S, life_s / 4)
        except BackendFailed as failed:
            kept.failure = failed
            kept.retry_at_s = self._clock_s() + RETRY_S
        finally:
            kept.renewing = None


def _again(failure: BackendFailed) -> BackendFailed:
    """The same failure for one more caller: an exception belongs to one."""
    return BackendFailed(failure.cause, failure.detail, sent=False)

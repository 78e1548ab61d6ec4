"""Opaque access tokens: their issuer is asked (RFC 7662), once for many requests, and not more often than it is told to bear.

An answer is kept no longer than the settings and the token's own end allow, a refusal shortly and apart from them, so that
guessed tokens neither push out good ones nor reach the issuer without bound: they leave half of what may be asked at once to
tokens that were good before, and what is open ends by the issuer's word or its long silence. The token leaves the gateway
only in the body of that question; in memory there is its hash.
"""

import asyncio
import base64
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import quote_plus

from gateway.adapters.authenticator import Promise
from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Fetcher, SourceFailed
from gateway.adapters.once_good import OnceGood
from gateway.adapters.tasks import Tasks
from gateway.identity import tokens
from gateway.identity.grant import Grant, Rejected
from gateway.identity.introspected import BadAnswer, Departure, answered, granted_by
from gateway.identity.issuer_metadata import checked_url
from gateway.identity.tokens import TrustedIssuer
from gateway.model import Caller

log = logging.getLogger("gateway.issuers")

MAX_ANSWER_BYTES = 64 * 1024
MAX_REMEMBERED = 10_000  # of each: answers, refusals, tokens of other issuers
NAME_HEX = 16  # of the token's hash: names it in records
REASKED_S = 5.0  # about a token that keeps something open: not sooner, however short its answers are remembered
PATIENCE_S = 60.0  # how long what is open stays at least while its issuer cannot be asked

Outcome = Literal["active", "inactive", "refused", "unavailable", "busy"]
OUTCOMES: tuple[Outcome, ...] = ("active", "inactive", "refused", "unavailable", "busy")

_UNAVAILABLE = "The token's issuer cannot be asked about it at the moment: try again later."
_BUSY = "Too many tokens are being asked about at the moment: try again later."


@dataclass(frozen=True, slots=True)
class Terms:
    """Which of the issuer's tokens are asked about, and which answers count."""

    rules: TrustedIssuer
    jwts: bool = False  # also those that are JWTs and name this issuer: revoked ones then end at once
    missing_allowed: frozenset[Departure] = frozenset()


@dataclass(frozen=True, slots=True)
class Asking:
    """How the issuer is asked. `url` None: at the endpoint that its metadata names."""

    client_id: str
    client_secret: str = field(repr=False)
    url: str | None = None
    client_auth: Literal["basic", "post"] = "basic"

    def __post_init__(self) -> None:
        if self.url is not None:
            checked_url(self.url, what="introspection.url")


@dataclass(frozen=True, slots=True)
class Bounds:
    remember_s: float = 30.0
    remember_refused_s: float = 10.0
    calls_per_s: float = 50.0  # and as many at once, after a quiet second
    max_running: int = 64
    timeout_s: float = 5.0  # for one question, discovery of the endpoint included
    pause_s: float = 1.0  # after a failure: of the same token at once never, of any if nobody answered


@dataclass(frozen=True, slots=True)
class _Known:
    grant: Grant
    audiences: frozenset[str]
    until_s: float  # Unix time
    asked_s: float  # when it was asked about last, answered or not


@dataclass(frozen=True, slots=True)
class _Refused:
    cause: str
    message: str
    until_s: float = 0.0


_Answer: TypeAlias = _Known | _Refused
_Kept = TypeVar("_Kept", _Known, _Refused, None)


class Introspection:
    """A method of authentication (see `authenticator.Method`): every token that is no JWT is this issuer's."""

    def __init__(
        self,
        terms: Terms,
        asking: Asking,
        fetcher: Fetcher,
        discovery: Discovery | None = None,
        *,
        bounds: Bounds | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if asking.url is None and discovery is None:
            raise ValueError("introspection needs a URL, or metadata that names one")
        self._terms = terms
        self.issuer = terms.rules.issuer
        self._asking = asking
        self._fetcher = fetcher
        self._discovery = discovery
        self._bounds = bounds or Bounds()
        self._clock_s = clock_s
        self._tasks = Tasks()
        self._running: dict[bytes, asyncio.Task[_Answer]] = {}
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, _Refused] = OrderedDict()
        self._foreign: OrderedDict[bytes, None] = OrderedDict()  # JWTs of other issuers
        self._once_good = OnceGood()
        self._allowance = self._bounds.calls_per_s
        self._counted_s = clock_s()
        self._paused_until_s = float("-inf")
        self.failure: str | None = None  # of the last call, for readiness and doctor
        self.calls: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)

    async def close(self) -> None:
        await self._tasks.close()
        if self._discovery is not None:
            await self._discovery.close()
        await self._fetcher.close()

    def recognises(self, token: str) -> bool:
        return not tokens.recognises(token) or (self._terms.jwts and self._names_us(token))

    def promise(self, token: str, *, now_s: float) -> Promise:
        """An opaque token says nothing of itself: one that was never good is a guess, and guesses are questions to the issuer."""
        digest = _digest(token)
        known = self._once_good.holds(digest, now_s=now_s) or self._kept(digest, now_s) is not None
        return "known" if known else "none"

    async def verified(self, token: str, *, resource: str, now_s: float) -> Grant:
        digest = _digest(token)
        answer = self._kept(digest, now_s)
        if answer is None:
            if tokens.recognises(token):  # its header says what it is, and an answer may not
                tokens.check_type(tokens.read(token), self._terms.rules)
            answer = await self._asked(token, digest, now_s)
        if isinstance(answer, _Refused):
            raise Rejected(answer.cause, answer.message)
        tokens.check_audience(answer.audiences, self._terms.rules, resource=resource)
        return answer.grant

    def still_good(self, caller: Caller, surface: str, *, now_s: float) -> bool:
        """As its issuer said last. What it said long ago is asked again, and good for as long again until that is answered."""
        if caller.token is None or not self.recognises(caller.token):
            return False
        digest = _digest(caller.token)
        known = self._known.get(digest)
        if known is None:
            return False
        if now_s < known.until_s:
            return True
        due = now_s >= known.asked_s + REASKED_S and digest not in self._running and self._kept(digest, now_s) is None
        if due and self._may_ask(good_before=True):
            self._known[digest] = replace(known, asked_s=now_s)
            self._begin(caller.token, digest, now_s)
        return now_s < known.until_s + max(self._bounds.remember_s, 2 * self._bounds.timeout_s, PATIENCE_S)

    def _kept(self, digest: bytes, now_s: float) -> _Answer | None:
        known = self._known.get(digest)
        if known is not None and now_s < known.until_s:
            self._known.move_to_end(digest)
            return known
        refused = self._refused.get(digest)
        return refused if refused is not None and now_s < refused.until_s else None

    async def _asked(self, token: str, digest: bytes, now_s: float) -> _Answer:
        running = self._running.get(digest)
        if running is None:
            if self._clock_s() < self._paused_until_s:
                return _Refused("issuer_unavailable", _UNAVAILABLE)
            if not self._may_ask(good_before=self._once_good.holds(digest, now_s=now_s)):
                self.calls["busy"] += 1
                return _Refused("issuer_busy", _BUSY)
            running = self._begin(token, digest, now_s)
        return await asyncio.shield(running)  # another's cancellation must not end it

    def _begin(self, token: str, digest: bytes, now_s: float) -> asyncio.Task[_Answer]:
        running = self._running[digest] = self._tasks.spawn(self._ask(token, digest, now_s), "introspection")
        return running

    def _may_ask(self, *, good_before: bool) -> bool:
        """Charges one call, unless too many were made in the last second, or are under way: for a guess, half as many."""
        per_s, now_s = self._bounds.calls_per_s, self._clock_s()
        self._allowance = min(per_s, self._allowance + (now_s - self._counted_s) * per_s)
        self._counted_s = now_s
        left, running = (0.0, 0) if good_before else (min(per_s / 2, per_s - 1), self._bounds.max_running // 2)
        if self._allowance < 1 + left or len(self._running) >= self._bounds.max_running - running:
            return False
        self._allowance -= 1
        return True

    async def _ask(self, token: str, digest: bytes, now_s: float) -> _Answer:
        """Asks, counts and keeps the answer."""
        try:
            answer = answered(await self._answer(token))
        except (SourceFailed, BadAnswer) as error:
            self._failed(error)
            unavailable = _Refused("issuer_unavailable", _UNAVAILABLE, now_s + self._bounds.pause_s)
            _keep(self._refused, digest, unavailable)
            return unavailable
        finally:
            del self._running[digest]
        if self.failure is not None:
            log.info("%s answers about tokens again", self.issuer)
            self.failure = None
        terms = self._terms
        try:
            grant = granted_by(answer, terms.rules, missing_allowed=terms.missing_allowed, now_s=now_s)
            audiences = tokens.audiences(answer)
        except Rejected as rejected:
            self.calls["inactive" if rejected.cause == "inactive" else "refused"] += 1
            refused = _Refused(rejected.cause, rejected.message, now_s + self._bounds.remember_refused_s)
            self._known.pop(digest, None)
            self._once_good.drop(digest)
            _keep(self._refused, digest, refused)
            return refused
        self.calls["active"] += 1
        assert grant.expires_at_s is not None, "granted_by refuses what does not end"
        until_s = min(now_s + self._bounds.remember_s, grant.expires_at_s - terms.rules.leeway_s)
        known = _Known(replace(grant, credential=f"token:{digest.hex()[:NAME_HEX]}"), audiences, until_s, now_s)
        _keep(self._known, digest, known)
        self._once_good.add(digest, until_s=grant.expires_at_s)
        return known

    async def _answer(self, token: str) -> bytes:
        """Raises `SourceFailed`."""
        asking = self._asking
        form = {"token": token, "token_type_hint": "access_token"}
        headers = {}
        if asking.client_auth == "post":
            form |= {"client_id": asking.client_id, "client_secret": asking.client_secret}
        else:  # RFC 6749 2.3.1: each is form-encoded before they are joined
            pair = f"{quote_plus(asking.client_id)}:{quote_plus(asking.client_secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        try:
            async with asyncio.timeout(self._bounds.timeout_s):
                url = await self._endpoint()
                return (await self._fetcher.posted(url, form, headers=headers, max_bytes=MAX_ANSWER_BYTES)).body
        except TimeoutError as error:
            raise SourceFailed(f"no answer within {self._bounds.timeout_s:g} s") from error

    async def _endpoint(self) -> str:
        if self._asking.url is not None:
            return self._asking.url
        assert self._discovery is not None
        named = (await self._discovery.metadata()).introspection_endpoint
        if named is None:
            self._discovery.expire()
            raise SourceFailed(f"{self.issuer}: its metadata names no `introspection_endpoint`")
        return named

    def _failed(self, error: SourceFailed | BadAnswer) -> None:
        self.calls["unavailable"] += 1
        if isinstance(error, SourceFailed) and error.status is None:
            # Nobody is there: one asks each second, and the others need not wait. An answer that makes no sense may be about
            # this token alone, and must not shut out the others.
            self._paused_until_s = self._clock_s() + self._bounds.pause_s
        if self.failure is None:  # not a line for each request
            log.warning("%s cannot be asked about tokens: %s", self.issuer, error)
        self.failure = str(error)

    def _names_us(self, token: str) -> bool:
        """Whether a JWT says that it is this issuer's: good for choosing whom to ask, and for nothing else."""
        digest = _digest(token)
        if digest in self._known or digest in self._refused:
            return True
        if digest in self._foreign:
            self._foreign.move_to_end(digest)
            return False
        try:
            ours = tokens.read(token).issuer == self.issuer
        except Rejected:
            ours = False
        if not ours:
            _keep(self._foreign, digest, None)
        return ours


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _keep(memory: OrderedDict[bytes, _Kept], digest: bytes, value: _Kept) -> None:
    memory[digest] = value
    memory.move_to_end(digest)
    if len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)

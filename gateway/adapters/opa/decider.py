"""The policy set in force. It is replaced whole, by one that has proved itself, or not at all."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Literal

from gateway.adapters.opa import canary, place, policyset
from gateway.adapters.opa.choice import Choice, Wanted
from gateway.adapters.opa.client import Limits
from gateway.adapters.opa.command import OpaUnusable
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.history import History
from gateway.adapters.opa.policyset import PolicySet
from gateway.adapters.opa.snapshot import Snapshot, Source, Stamp
from gateway.adapters.opa.status import Piece, PolicyEvent, PolicyStatus, Rejection
from gateway.adapters.tasks import Crashed, Tasks, attempted
from gateway.errors import Undecided
from gateway.policy.contract import SERVED, VERSION_1, Contract, Contracts
from gateway.policy.extract import Extractions
from gateway.ports import Verdict

log = logging.getLogger("gateway.opa")

POLL_S = 0.1  # an edit counts once it was seen unchanged twice: enforced within a second, builds and start included
SETTLED_NS = 50_000_000  # a file younger than this may change once more under the same time stamp
BEAT_S = 1.0  # between two looks at whether OPA still answers its canaries
HUNG_BEATS = 10  # so many in a row without an answer: killed and restarted
EXPIRED = "the policy set, or its facts, were signed longer ago than policy.require_signed allows: sign them anew"
RETRY_S = 2.0  # after a failure that is no fault of the policy (disk full, OPA cannot be run)


class PolicySetDecider:
    """Decides by the policies in a folder, each set in an OPA process of its own. Implements `ports.Decider`."""

    def __init__(
        self,
        source: Source,
        binary: str,
        limits: Limits,
        on_event: Callable[[PolicyEvent], None],
        *,
        role: Literal["policy", "shadow policy"] = "policy",
        history: History | None = None,
        contracts: Contracts = SERVED,
    ) -> None:
        """`role`: what the operator's log calls it. `history`: keeps what was accepted; None: nothing can be gone back to.

        `contracts`: the versions that a set may say.
        """
        self._contracts = contracts
        self._role = role
        self._choice = Choice(source, history)
        self._wanted = Wanted()  # at the last attempt
        self._fallback: tuple[Piece, ...] = ()
        self._binary = binary
        self._limits = limits
        self._on_event = on_event
        self._tasks = Tasks()
        self._loading = asyncio.Lock()
        self._numbers = count(1)
        self._following: asyncio.Task[None] | None = None
        self._root: tempfile.TemporaryDirectory[str] | None = None
        self._current: PolicySet | None = None
        self._draining: set[PolicySet] = set()
        self._since_s: float | None = None
        self._attempted: Stamp | None = None  # the files as they were at the last attempt
        self._rejection: Rejection | None = None
        self._restarts = 0
        self._misjudged: tuple[Finding, ...] = ()

    # --- the port ---

    @property
    def revision(self) -> str | None:
        """None also once its signature is too old: what was remembered under the revision must not go on counting."""
        current = self._current
        return current.revision if current is not None and not current.expired(time.time()) else None

    @property
    def extractions(self) -> Extractions:
        return self._current.built.extractions if self._current is not None else Extractions()

    @property
    def contract(self) -> Contract:
        return self._current.built.contract if self._current is not None else VERSION_1

    async def decide(self, document: bytes) -> Verdict:
        """Raises `Undecided`. Which set answers is settled before the first await: it is the one that `contract` is of."""
        current = self._current
        if current is None:
            raise Undecided("no_policy", "no policy set is in force")
        if current.expired(time.time()):
            raise Undecided("no_policy", EXPIRED)
        verdict = await current.decide(document)
        if verdict.revision != current.revision:
            raise Undecided("revision", f"answered by revision {verdict.revision!r}, in force is {current.revision!r}")
        return verdict

    # --- the life cycle ---

    async def start(self) -> None:
        """Load, then follow the folder. A bad policy is no reason not to start: without a last good one all is undecided."""
        try:
            await self.load()
        except (PolicyRejected, OpaUnusable):
            if self._current is None:
                log.warning("no %s is in force: whatever is asked of it is undecided until it is right", self._role)
        self._following = self._tasks.spawn(self._follow(), "policy-watch")
        self._tasks.keep(self._beat, "policy-beat")

    async def load(self) -> str:
        """Put the newest in force; its revision. Raises `PolicyRejected` or `OpaUnusable`.

        Then nothing changed, but that newer facts came into force with the rules before, or, at the start, the last good set.
        """
        async with self._loading:
            self._attempted = _settled(await asyncio.to_thread(self._choice.stamp))
            wanted = None
            try:
                wanted = await asyncio.to_thread(self._choice.newest)
                self._wanted = wanted
                await self._take(wanted)
            except (PolicyRejected, OpaUnusable) as error:
                await self._refuse(error)
                if wanted is not None and isinstance(error, PolicyRejected):
                    await self._take_instead(wanted)
                raise
            if self._rejection is not None:
                log.info("the %s is again as it should be, revision %s", self._role, self.revision)
            self._rejection, self._fallback = None, ()
            assert self._current is not None
            return self._current.revision

    def status(self) -> PolicyStatus:
        current = self._current
        canaries: Literal["right", "wrong", "unknown"] = "right"
        if current is None:
            problem, canaries = "no policy set is in force", "unknown"
        elif current.expired(time.time()):
            problem = EXPIRED
        elif not current.process.up:
            problem, canaries = "OPA has ended and is being restarted", "unknown"
        elif self._misjudged:
            problem, canaries = "; ".join(found.message for found in self._misjudged), "wrong"
        elif self._following is not None and self._following.done():
            problem = "the policies are no longer watched: an internal error, see the log"
        elif crash := self._tasks.crashed().get("policy-beat"):
            problem, canaries = f"asking the canaries met {crash}", "unknown"
        else:
            problem = ""
        pieces = current.pieces if current is not None else None
        signatures = pieces.signatures if pieces is not None else ()
        return PolicyStatus(
            revision=self.revision,
            since_s=self._since_s,
            problem=problem,
            canaries=canaries,
            restarts=self._restarts,
            rejection=self._rejection,
            pinned=self._wanted.rules if pieces is not None and self._wanted.rules == pieces.rules else None,
            facts_pinned=self._wanted.facts if pieces is not None and self._wanted.facts == pieces.facts else None,
            fallback=self._fallback,
            signed_s=min((each.signed_s for each in signatures), default=None),
            expires_s=min((each.expires_s for each in signatures if each.expires_s is not None), default=None),
        )

    @property
    def pid(self) -> int | None:
        """Of the OPA in force."""
        return self._current.process.pid if self._current is not None else None

    async def close(self) -> None:
        """End everything; what is under way may finish within its deadline."""
        await self._tasks.close()
        left, self._current = (*self._draining, *filter(None, [self._current])), None
        await asyncio.gather(*(one.drain(self._limits.deadline_s) for one in left))
        if self._root is not None:
            await asyncio.to_thread(self._root.cleanup)

    # --- one change ---

    async def _take(self, wanted: Wanted) -> None:
        """Put `wanted` in force, if it is not already. Raises `PolicyRejected` or `OpaUnusable`."""
        began, previous = time.monotonic(), self.revision
        before = self._current.pieces if self._current is not None else None
        try:
            started = await attempted(self._started(wanted), f"loading the {self._role}", PolicyRejected, OpaUnusable)
        except Crashed as crash:  # refused like any other, so that the last good set decides and the next is looked at
            raise PolicyRejected((Finding("", 0, f"reading it met {crash}"),)) from crash
        if started is not None:
            self._enforce(started)
        assert self._current is not None
        if started is not None or (before != self._current.pieces and previous is None):
            self._tell("enforced", previous, fallback=wanted.fallback, took_s=time.monotonic() - began)
        elif before != self._current.pieces:
            log.info("%s revision %s is signed anew", self._role, previous)
            self._tell("renewed", previous)

    async def _take_instead(self, refused: Wanted) -> None:
        """The last good set, or newer facts beside the last good rules. Raises `OpaUnusable`."""
        try:
            others = await asyncio.to_thread(lambda: (*self._choice.instead(refused, starting=self._current is None),))
        except PolicyRejected:
            return  # an index that cannot be read, which was said
        for other in others:
            before = self._current
            try:
                await self._take(other)
            except PolicyRejected as error:
                if before is None:
                    found = error.findings[0]
                    log.error("the last good %s is refused as well: %s:%d: %s", self._role, found.file, found.line, found.message)
                continue
            if self._current is not before:
                parts = " and ".join(other.fallback)
                log.warning("%s: the newest is refused, and the %s accepted before decide", self._role, parts)
            if self._current is not before or self._fallback:
                self._fallback = other.fallback
            return

    async def _started(self, wanted: Wanted) -> PolicySet | None:
        """A proved set; None when it is the one in force, which may be signed anew."""
        try:
            folder = await asyncio.to_thread(self._new_folder)
        except OSError as error:
            raise OpaUnusable(f"cannot prepare a policy set: {error}") from error
        try:
            copy = await asyncio.to_thread(self._choice.taken, wanted, folder)
            current = self._current
            if current is not None and copy.digest == current.built.digest:
                await self._keep(copy, wanted)
                current.pieces = policyset.pieces(copy)
                await policyset.discard(folder)
                return None
            built = await policyset.build(self._binary, copy, folder, self._contracts)
            started = await policyset.start(built, self._binary, self._limits, self._restarted)
            try:
                await self._keep(copy, wanted)
            except BaseException:
                await started.process.stop()
                raise
            return started
        except OSError as error:
            await policyset.discard(folder)
            raise OpaUnusable(f"cannot prepare a policy set: {error}") from error
        except BaseException:
            await policyset.discard(folder)
            raise

    async def _keep(self, copy: Snapshot, wanted: Wanted) -> None:
        await asyncio.to_thread(self._choice.keep, copy, wanted, time.time())

    def _new_folder(self) -> Path:
        if self._root is None:
            self._root = place.private_folder()
        folder = Path(self._root.name, str(next(self._numbers)))
        folder.mkdir(mode=0o700)
        return folder

    def _enforce(self, started: PolicySet) -> None:
        old, self._current = self._current, started
        self._since_s = time.time()
        self._misjudged = ()
        log.info("%s revision %s is in force", self._role, started.revision)
        if old is not None:
            self._draining.add(old)
            self._tasks.spawn(self._drain(old), "policy-drain")

    async def _drain(self, old: PolicySet) -> None:
        await old.drain(self._limits.deadline_s * 2)
        self._draining.discard(old)

    async def _refuse(self, error: PolicyRejected | OpaUnusable) -> None:
        findings = error.findings if isinstance(error, PolicyRejected) else (Finding("", 0, str(error)),)
        try:
            await asyncio.to_thread(self._choice.refuse, findings, self._wanted, time.time())
        except (OSError, PolicyRejected) as failure:
            log.error("whoever went back to an earlier %s cannot be told that it is refused: %s", self._role, failure)
        if self._rejection is not None and self._rejection.findings == findings:
            return  # said already
        self._rejection = Rejection(time.time(), findings)
        kept = f"revision {self.revision} stays in force" if self.revision else "none is in force"
        for found in findings:
            log.error("%s refused, %s: %s", self._role, kept, found)
        self._tell("rejected", self.revision, findings=findings)

    def _restarted(self, why: str) -> None:
        self._restarts += 1
        self._on_event(PolicyEvent("restarted", self.revision, self.revision, detail=why))

    def _tell(
        self,
        kind: Literal["enforced", "renewed", "rejected"],
        previous: str | None,
        *,
        findings: tuple[Finding, ...] = (),
        fallback: tuple[Piece, ...] = (),
        took_s: float = 0.0,
    ) -> None:
        pieces = self._current.pieces if kind != "rejected" and self._current is not None else None
        self._on_event(
            PolicyEvent(
                kind,
                self.revision,
                previous,
                findings,
                took_s=took_s,
                signed_by=pieces.signed.key if pieces is not None and pieces.signed is not None else None,
                facts=pieces.facts if pieces is not None else None,
                facts_signed_by=pieces.facts_signed.key if pieces is not None and pieces.facts_signed is not None else None,
                fallback=fallback,
            )
        )

    # --- in the background ---

    async def _follow(self) -> None:
        """Load whenever the files differ from the last attempt and have come to rest."""
        seen: Stamp | None = None
        while True:
            await asyncio.sleep(POLL_S)
            now = await asyncio.to_thread(self._choice.stamp)
            if now == self._attempted or now != seen:
                seen = now
                continue
            try:
                await self.load()
            except PolicyRejected:
                pass  # said by `load`; the next edit is the next chance
            except OpaUnusable:
                await asyncio.sleep(RETRY_S)
                self._attempted = None

    async def _beat(self) -> None:
        """Ask the canaries now and then: readiness shows what real questions would meet."""
        silent = answered = 0
        while True:
            await asyncio.sleep(BEAT_S)
            current = self._current
            if current is None or not current.process.up:
                continue
            try:
                misjudged = await current.misjudged()
                silent = 0
            except OpaUnusable as error:
                misjudged = (Finding(canary.FILE, 0, str(error)),)
                silent = silent + 1 if current.answered == answered else 0  # one that is only busy still answers somebody
            answered = current.answered
            if current is not self._current:
                continue
            if misjudged and not self._misjudged:
                log.error("OPA does not answer its canaries: %s", misjudged[0].message)
            self._misjudged = misjudged
            if silent >= HUNG_BEATS:
                log.error("OPA has not answered anybody for %d beats: it is killed and restarted", silent)
                current.process.kill()
                silent = 0


def _settled(seen: Stamp) -> Stamp | None:
    """The stamp, unless a file in it is so young that it could change again without showing it."""
    now_ns = time.time_ns()
    return None if any(now_ns - entry[1] < SETTLED_NS for entry in seen) else seen

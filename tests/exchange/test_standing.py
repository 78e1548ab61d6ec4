"""What stands open: who is asked when, how many at once, and what ends."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from gateway.adapters.tasks import Tasks
from gateway.exchange.standing import JUDGED_AT_ONCE, Ended, Ending, Leash, Standing, Standings
from gateway.model import Caller, Identity, Subject

NOW_S = 1_800_000_000.0
ALICE = Subject("user", Identity("https://id.example.com", "alice"), "jwt")


def caller(credential: str = "key:a", expires_at_s: float | None = None) -> Caller:
    return Caller(ALICE, None, "192.0.2.7", None, expires_at_s, credential)


class World:
    """A policy's revision, credentials that are taken back, and everything that was judged and ended."""

    def __init__(self) -> None:
        self.revision: str | None = "r1"
        self.revoked: set[str] = set()
        self.now_s = NOW_S
        self.judged: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self.ended: dict[str, Ending] = {}
        self.standings = Standings(
            lambda caller, surface: caller.credential not in self.revoked, lambda: self.revision, clock_s=lambda: self.now_s
        )

    def standing(self, name: str, verdict: Ending | None = None, *, grace_s: float = 0.0, of: Caller | None = None) -> Standing:
        async def judge() -> Ending | None:
            self.judged[name] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0)
            self.at_once -= 1
            return verdict

        def end(cause: Ending) -> None:
            self.ended.setdefault(name, cause)
            self.standings.close(standing)

        standing = Standing(of or caller(), "default", "r1", judge, end, grace_s)
        self.standings.open(standing)
        return standing


def watched(test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        watching = asyncio.ensure_future(world.standings.watch())
        try:
            async with asyncio.timeout(10):
                await test(world)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(main())


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 — bounded by `watched`; nothing tells of it
        await asyncio.sleep(0)


def test_of_many_that_are_open_a_few_are_judged_at_a_time_and_each_once_for_a_revision() -> None:
    async def test(world: World) -> None:
        names = [str(number) for number in range(500)]
        for name in names:
            world.standing(name, "revoked" if name == "7" else None)
        assert not world.judged
        world.revision = "r2"
        for _ in range(5):  # a burst of news about one revision is one question each
            world.standings.policy_changed()
        await until(lambda: len(world.judged) == 500)
        await until(lambda: world.at_once == 0)
        world.standings.policy_changed()
        await asyncio.sleep(0.01)
        assert world.judged == Counter(names)
        assert world.most_at_once == JUDGED_AT_ONCE
        assert world.ended == {"7": "revoked"}

    watched(test)


def test_what_was_decided_by_an_older_policy_is_judged_as_soon_as_it_stands() -> None:
    async def test(world: World) -> None:
        world.revision = "r2"
        world.standing("late", "undecided")
        await until(lambda: world.ended == {"late": "undecided"})

    watched(test)


def test_without_a_policy_in_force_everything_open_is_judged() -> None:
    async def test(world: World) -> None:
        world.standing("one", "undecided")
        world.revision = None
        world.standings.policy_changed()
        await until(lambda: world.ended == {"one": "undecided"})

    watched(test)


def test_what_has_ended_by_itself_is_not_asked_about() -> None:
    async def test(world: World) -> None:
        world.standings.close(world.standing("gone"))
        world.standing("there")
        world.revision = "r2"
        world.standings.policy_changed()
        await until(lambda: bool(world.judged))
        assert (world.judged, len(world.standings)) == (Counter(["there"]), 1)

    watched(test)


def test_a_credential_ends_what_it_opened_and_nothing_else() -> None:
    world = World()
    world.standing("stream", of=caller("key:a", NOW_S + 10))
    world.standing("call", of=caller("key:a", NOW_S + 10), grace_s=60)
    world.standing("other", of=caller("key:b"))
    world.standings.look()
    assert world.ended == {}
    world.now_s = NOW_S + 10
    world.standings.look()
    assert world.ended == {"stream": "expired"}
    world.now_s = NOW_S + 70
    world.standings.look()
    assert world.ended == {"stream": "expired", "call": "expired"}
    world.revoked.add("key:b")
    world.standings.look()
    assert world.ended == {"stream": "expired", "call": "expired", "other": "credential_revoked"}


def test_when_nobody_looks_any_more_everything_open_ends() -> None:
    async def main() -> None:
        world = World()
        world.standing("one")

        async def broken() -> Ending | None:
            raise ZeroDivisionError

        world.standings.open(Standing(caller(), "default", None, broken, lambda cause: None))
        with pytest.raises(ExceptionGroup):
            await world.standings.watch()
        assert world.ended == {"one": "internal"}

    asyncio.run(main())


def test_what_opens_after_the_watch_broke_is_watched_like_what_opened_before() -> None:
    async def main() -> None:
        world, tasks = World(), Tasks(again_s=0.0)
        tasks.keep(world.standings.watch, "what is open")

        async def broken() -> Ending | None:
            raise ZeroDivisionError

        world.standing("before")
        world.standings.open(Standing(caller(), "default", None, broken, lambda cause: None))
        async with asyncio.timeout(5):
            await until(lambda: world.ended == {"before": "internal"})
            world.revoked.add("key:b")
            world.standing("expired", of=caller("key:a", NOW_S))
            world.standing("taken back", of=caller("key:b"))
            world.standing("refused", "revoked")
            world.standing("good")
            world.revision = "r2"
            world.standings.policy_changed()
            await until(lambda: len(world.ended) == 4 and world.judged["good"] == 1)
        assert world.ended == {
            "before": "internal",
            "expired": "expired",
            "taken back": "credential_revoked",
            "refused": "revoked",
        }
        await tasks.close()

    asyncio.run(main())


def test_a_leash_ends_a_wait_and_cancels_what_was_waited_for() -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def messages() -> AsyncGenerator[int, None]:
            yield 1
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        leash = Leash()
        coming = messages()
        assert await leash.next_of(coming) == 1
        asyncio.get_running_loop().call_later(0.01, leash.end, "revoked")
        with pytest.raises(Ended) as ended:
            async with asyncio.timeout(5):
                await leash.next_of(coming)
        assert (ended.value.cause, cancelled.is_set()) == ("revoked", True)

    asyncio.run(main())


def test_a_leash_that_was_ended_before_asks_for_nothing() -> None:
    async def main() -> None:
        asked = False

        async def messages() -> AsyncGenerator[int, None]:
            nonlocal asked
            asked = True
            yield 1

        leash = Leash()
        leash.end("expired")
        leash.end("revoked")  # the first cause stays
        coming = messages()
        with pytest.raises(Ended) as ended:
            await leash.next_of(coming)
        await coming.aclose()
        assert (ended.value.cause, asked) == ("expired", False)

    asyncio.run(main())


def test_a_time_out_of_what_is_waited_for_is_not_taken_for_the_leash() -> None:
    async def main() -> None:
        async def messages() -> AsyncGenerator[int, None]:
            raise TimeoutError("its own")
            yield 1

        with pytest.raises(TimeoutError, match="its own"):
            await Leash().next_of(messages())

    asyncio.run(main())

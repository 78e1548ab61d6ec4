"""Legacy sessions: nobody uses another's, none outlives its use, and none grows without end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.adapters.sessions import MemorySessions, SessionLimits, new_session_id
from gateway.errors import Kind, Refusal
from gateway.model import Notice
from gateway.ports import Session

TOOLS = Notice("notifications/tools/list_changed", {})


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _session(id: str = "s1", owner: str = "alice", surface: str = "default") -> Session:
    return Session(id, owner, surface, "2025-11-25", {}, {})


def _sessions(clock: Clock | None = None, **limits: int) -> MemorySessions:
    return MemorySessions(SessionLimits(**limits), clock_s=clock or Clock())


def _updated(number: int) -> Notice:
    return Notice("notifications/resources/updated", {"uri": f"x://{number}"})


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5):
            await test()

    asyncio.run(bounded())


def test_ids_are_long_random_and_visible_ascii() -> None:
    ids = {new_session_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) == 43 and id.isascii() and id.isprintable() for id in ids)


def test_another_caller_or_surface_finds_nothing_as_if_there_were_none() -> None:
    sessions = _sessions()
    session = _session()
    sessions.open(session)
    assert sessions.find("s1", owner="alice", surface="default") is session
    said = []
    for id, owner, surface in (("s1", "bob", "default"), ("s1", "alice", "sales"), ("s2", "alice", "default"), ("", "", "")):
        with pytest.raises(Refusal) as refused:
            sessions.find(id, owner=owner, surface=surface)
        said.append((refused.value.kind, refused.value.message, refused.value.cause))
    assert set(said) == {
        (Kind.UNKNOWN_SESSION, "There is no such session: send initialize to begin a new one.", "unknown_session")
    }


def test_a_thief_does_not_keep_a_session_alive() -> None:
    clock = Clock()
    sessions = _sessions(clock, idle_s=100)
    sessions.open(_session())
    clock.now_s += 60
    with pytest.raises(Refusal):
        sessions.find("s1", owner="bob", surface="default")
    clock.now_s += 40
    with pytest.raises(Refusal):
        sessions.find("s1", owner="alice", surface="default")
    assert len(sessions) == 0


def test_a_session_in_use_does_not_expire_and_an_idle_one_makes_room() -> None:
    clock = Clock()
    sessions = _sessions(clock, idle_s=100, in_all=2)
    sessions.open(_session("s1"))
    sessions.open(_session("s2"))
    clock.now_s += 99
    sessions.find("s1", owner="alice", surface="default")
    clock.now_s += 1
    sessions.open(_session("s3"))
    assert [session.id for session in sessions.all()] == ["s1", "s3"]


def test_each_owner_has_a_cap_and_so_have_all_together() -> None:
    sessions = _sessions(per_owner=2, in_all=3)
    sessions.open(_session("s1"))
    sessions.open(_session("s2"))
    with pytest.raises(Refusal, match="2 sessions open") as refused:
        sessions.open(_session("s3"))
    assert (refused.value.kind, refused.value.cause) == (Kind.BUSY, "too_many_sessions")
    sessions.open(_session("s3", "bob"))
    with pytest.raises(Refusal, match="no room") as refused:
        sessions.open(_session("s4", "carol"))
    assert refused.value.cause == "sessions_full"
    sessions.end("s1")
    sessions.open(_session("s4", "carol"))


def test_what_a_session_held_is_released_once_however_it_ends() -> None:
    clock = Clock()
    sessions = _sessions(clock, idle_s=10)
    released: list[str] = []
    sessions.open(_session("s1"))
    sessions.open(_session("s2"))
    sessions.at_end("s1", lambda: released.append("s1"))
    sessions.at_end("s2", lambda: released.append("s2"))
    sessions.end("s1")
    sessions.end("s1")
    clock.now_s += 10
    sessions.sweep()
    sessions.at_end("s2", lambda: released.append("late"))
    assert released == ["s1", "s2", "late"]


def test_notices_wait_for_the_stream_and_come_in_order() -> None:
    async def main() -> None:
        sessions = _sessions()
        sessions.open(_session())
        sessions.deliver("s1", _updated(1))
        async with sessions.stream("s1", owner="alice", surface="default") as mailbox:
            sessions.deliver("s1", _updated(2))
            assert [await mailbox.next(), await mailbox.next()] == [_updated(1), _updated(2)]
            waiting = asyncio.ensure_future(mailbox.next())
            await asyncio.sleep(0)
            sessions.deliver("s1", TOOLS)
            assert await waiting == TOOLS

    _run(main)


def test_news_coalesce_and_a_client_that_does_not_read_loses_the_oldest_messages_first() -> None:
    async def main() -> None:
        sessions = _sessions(max_notices=3)
        sessions.open(_session())
        logs = [Notice("notifications/message", {"level": "info", "data": number}) for number in range(3)]
        for notice in (TOOLS, logs[0], TOOLS, _updated(1), _updated(1), logs[1], logs[2]):
            sessions.deliver("s1", notice)
        async with sessions.stream("s1", owner="alice", surface="default") as mailbox:
            assert [await mailbox.next() for _ in range(3)] == [TOOLS, _updated(1), logs[2]]
        assert sessions.dropped() == 2

    _run(main)


def test_the_end_of_a_session_ends_its_stream_after_what_was_waiting() -> None:
    async def main() -> None:
        sessions = _sessions()
        sessions.open(_session())
        async with sessions.stream("s1", owner="alice", surface="default") as mailbox:
            sessions.deliver("s1", TOOLS)
            sessions.end("s1")
            assert [await mailbox.next(), await mailbox.next()] == [TOOLS, None]
        sessions.deliver("s1", TOOLS)
        assert len(sessions) == 0

    _run(main)


def test_a_second_stream_is_refused_while_the_first_is_open() -> None:
    async def main() -> None:
        sessions = _sessions()
        sessions.open(_session())
        async with sessions.stream("s1", owner="alice", surface="default"):
            with pytest.raises(Refusal) as refused:
                async with sessions.stream("s1", owner="alice", surface="default"):
                    pass
            assert refused.value.cause == "second_stream"
        async with sessions.stream("s1", owner="alice", surface="default"):
            pass

    _run(main)


def test_a_session_with_an_open_stream_is_in_use() -> None:
    async def main() -> None:
        clock = Clock()
        sessions = _sessions(clock, idle_s=10)
        sessions.open(_session("s1"))
        sessions.open(_session("s2"))
        async with sessions.stream("s1", owner="alice", surface="default"):
            clock.now_s += 1000
            sessions.sweep()
            assert [session.id for session in sessions.all()] == ["s1"]
        clock.now_s += 9
        sessions.sweep()
        assert len(sessions) == 1
        clock.now_s += 1
        sessions.sweep()
        assert len(sessions) == 0

    _run(main)


def test_nobody_else_reads_a_sessions_stream() -> None:
    async def main() -> None:
        sessions = _sessions()
        sessions.open(_session())
        with pytest.raises(Refusal) as refused:
            async with sessions.stream("s1", owner="bob", surface="default"):
                pass
        assert refused.value.kind is Kind.UNKNOWN_SESSION

    _run(main)

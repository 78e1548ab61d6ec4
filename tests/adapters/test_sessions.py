"""Legacy sessions: nobody uses another's, none outlives its use, and none grows without end."""

import pytest

from gateway.adapters.sessions import MemorySessions, SessionLimits
from gateway.errors import Kind, Refusal
from gateway.ports import Session


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _session(id: str = "s1", owner: str = "alice", surface: str = "default") -> Session:
    return Session(id, owner, surface, "2025-11-25", {}, {})


def _sessions(clock: Clock | None = None, **limits: int) -> MemorySessions:
    return MemorySessions(SessionLimits(**limits), clock_s=clock or Clock())


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
    assert [sessions.find(id, owner="alice", surface="default").id for id in ("s1", "s3")] == ["s1", "s3"]
    assert len(sessions) == 2


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


def test_a_session_with_an_open_stream_is_in_use() -> None:
    clock = Clock()
    sessions = _sessions(clock, idle_s=10)
    sessions.open(_session("s1"))
    sessions.open(_session("s2"))
    with sessions.in_use("s1"), sessions.in_use("gone"):
        clock.now_s += 1000
        sessions.sweep()
        assert len(sessions) == 1
    assert sessions.find("s1", owner="alice", surface="default").id == "s1"
    clock.now_s += 9
    sessions.sweep()
    assert len(sessions) == 1
    clock.now_s += 1
    sessions.sweep()
    assert len(sessions) == 0

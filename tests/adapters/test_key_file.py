"""The key file on disk: who may write it, that it is replaced whole by one writer at a time, and that a bad one is only told."""

import asyncio
import json
import os
import stat
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.adapters.key_file import KeyChange, KeyFileFailed, Records, WatchedKeyFile, edit, load
from gateway.identity.key_file import Difference, KeyRecord, tombstone

NOBODY = 65534
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def _record(id: str) -> KeyRecord:
    return KeyRecord(id=id, subject=id, created=NOW, sha256="ab" * 32)


def _adding(id: str) -> Callable[[Records], Records]:
    return lambda records: (*records, _record(id))


def _ids(path: Path) -> list[str]:
    return [record.id for record in load(path).records]


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await test()

    asyncio.run(bounded())


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 — what is awaited happens on the disk
        await asyncio.sleep(0.01)


def test_the_first_key_makes_the_file_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, _adding("ci"))
    assert (_ids(path), stat.S_IMODE(path.stat().st_mode)) == (["ci"], 0o600)


def test_readers_whom_the_operator_let_in_stay(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, _adding("ci"))
    path.chmod(0o640)
    edit(path, _adding("cd"))
    assert (_ids(path), stat.S_IMODE(path.stat().st_mode)) == (["ci", "cd"], 0o640)


@contextmanager
def _as_nobody() -> Iterator[None]:
    group = os.getegid()
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


@pytest.fixture
def nobody_s() -> Iterator[Path]:
    """A folder of another user's, which everybody reaches. Only root can make one."""
    if os.geteuid() != 0:
        pytest.skip("another user's files can be made by root only")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, NOBODY, NOBODY)
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_what_root_changes_stays_its_owners(nobody_s: Path) -> None:
    path = nobody_s / "keys.jsonl"
    edit(path, _adding("ci"))
    edit(path, _adding("cd"))
    owners = {each.name: (each.stat().st_uid, each.stat().st_gid) for each in nobody_s.iterdir()}
    assert owners == {"keys.jsonl": (NOBODY, NOBODY), "keys.jsonl.lock": (NOBODY, NOBODY)}
    with _as_nobody():
        edit(path, _adding("ce"))  # its owner goes on, with a lock that root made
    assert _ids(path) == ["ci", "cd", "ce"]


def test_nobody_revokes_in_a_file_that_its_owner_could_then_not_read(nobody_s: Path) -> None:
    path = nobody_s / "keys.jsonl"
    edit(path, _adding("ci"))
    os.chown(path, 12345, 12345)
    with _as_nobody(), pytest.raises(KeyFileFailed) as raised:
        edit(path, lambda records: ())
    assert str(raised.value) == f"{path}: belongs to another user (uid 12345): run this as that user"
    assert _ids(path) == ["ci"]


def test_what_is_no_file_gets_no_lock_beside_it(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(KeyFileFailed, match="not a regular file"):
        edit(tmp_path / "keys", _adding("ci"))
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_no_key_file(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, _adding("ci"))
    path.chmod(mode)
    with pytest.raises(KeyFileFailed, match=rf"others than its owner may write it \(mode 0{mode:o}\)"):
        load(path)
    with pytest.raises(KeyFileFailed):
        edit(path, _adding("cd"))


def test_what_cannot_be_read_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "misspelt").write_text('{"id": "ci"}')
    for file in tmp_path.iterdir():
        file.chmod(0o700)
    told = {}
    for name in ("none", "folder", "binary", "misspelt"):
        with pytest.raises(KeyFileFailed) as failed:
            load(tmp_path / name)
        told[name] = str(failed.value).removeprefix(f"{tmp_path / name}: ")
    assert told == {
        "none": "cannot be read (No such file or directory)",
        "folder": "cannot be read (Is a directory)",
        "binary": "not UTF-8",
        "misspelt": "line 1: not a key: Object missing required field `subject`",
    }


def test_a_change_that_is_refused_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, _adding("ci"))
    before = path.stat()

    def refused(records: Records) -> Records:
        raise LookupError

    with pytest.raises(LookupError):
        edit(path, refused)
    assert (path.stat(), sorted(os.listdir(tmp_path))) == (before, ["keys.jsonl", "keys.jsonl.lock"])


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    writers = [threading.Thread(target=edit, args=(path, _adding(f"k{number}"))) for number in range(12)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(10)
    assert sorted(_ids(path)) == sorted(f"k{number}" for number in range(12))


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    (tmp_path / ".keys.jsonl.new").write_text("half a li")
    edit(path, _adding("ci"))
    assert _ids(path) == ["ci"]


def test_a_link_keeps_pointing_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "keys.jsonl").symlink_to(tmp_path / "kept/keys.jsonl")
    edit(tmp_path / "keys.jsonl", _adding("ci"))
    assert ((tmp_path / "keys.jsonl").is_symlink(), _ids(tmp_path / "kept/keys.jsonl")) == (True, ["ci"])


def test_every_change_is_enforced_and_told_and_a_bad_one_is_only_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, _adding("ci"))
    enforced: list[list[str]] = []
    told: list[KeyChange] = []

    async def main() -> None:
        watched = WatchedKeyFile(path, lambda records: enforced.append([each.id for each in records]), told.append)
        watched.start()
        try:
            edit(path, _adding("cd"))
            await _until(lambda: len(told) == 2)
            good = path.read_bytes()
            path.write_text("{")
            await _until(lambda: watched.failure is not None)
            assert watched.failure == f"{path}: line 1: not a key: not JSON"
            path.unlink()
            await _until(lambda: watched.failure == f"{path}: cannot be read (No such file or directory)")
            path.write_bytes(good)  # as it was before: nothing changes but that it is good again
            path.chmod(0o600)
            await _until(lambda: watched.failure is None)
            edit(path, lambda records: tuple(tombstone(each, now=NOW) for each in records))
            await _until(lambda: enforced[-1:] == [["ci", "cd"]] and len(enforced) == 3)
        finally:
            await watched.close()

    _run(main)
    assert enforced == [["ci"], ["ci", "cd"], ["ci", "cd"]]
    assert told[0] == KeyChange(None, told[1].before, None)
    assert told[1].difference == Difference(added=("cd",), revoked=(), changed=(), removed=())
    assert told[2] == KeyChange(told[1].after, None, None, f"{path}: line 1: not a key: not JSON")
    assert told[-1].difference == Difference(added=(), revoked=("ci", "cd"), changed=(), removed=())


def test_keys_that_cannot_be_in_force_are_told_and_the_last_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, _adding("ci"))
    told: list[KeyChange] = []

    def enforce(records: Records) -> None:
        if len(records) > 1:
            raise ValueError("one too many")

    async def main() -> None:
        watched = WatchedKeyFile(path, enforce, told.append)
        watched.start()
        try:
            edit(path, _adding("cd"))
            await _until(lambda: watched.failure == "one too many")
            assert [record.id for record in watched.in_force.records] == ["ci"]
        finally:
            await watched.close()

    _run(main)
    assert [each.problem for each in told] == [None, "one too many"]


def test_a_change_that_meets_an_unforeseen_error_is_told_and_enforced_as_soon_as_it_can_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.jsonl"
    edit(path, _adding("ci"))
    tried = 0

    def enforce(records: Records) -> None:
        nonlocal tried
        tried += len(records) - 1  # not the first one's
        if 0 < tried < 3:
            raise ZeroDivisionError

    async def main() -> None:
        watched = WatchedKeyFile(path, enforce, lambda change: None)
        watched.start()
        try:
            edit(path, _adding("cd"))
            await _until(lambda: tried == 2)
            await _until(lambda: watched.failure == "an internal error (ZeroDivisionError), see the log")
            await _until(lambda: watched.failure is None)
            assert (tried, [record.id for record in watched.in_force.records]) == (3, ["ci", "cd"])
        finally:
            await watched.close()

    _run(main)
    assert caplog.messages == ["taking over the key file crashed"]


def test_a_file_that_cannot_be_used_at_the_start_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    path.write_text(json.dumps({"id": "ci"}))
    with pytest.raises(KeyFileFailed):
        WatchedKeyFile(path, lambda records: None, lambda change: None)

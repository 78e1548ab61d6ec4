"""The audit on a real disk, under real faults: killed, full, read-only, removed, crowded by strangers."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 — the loop of a test may wait for the disk and for a process
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.adapters.audit import AuditBusy, AuditLog, AuditSpec
from gateway.adapters.audit.strangers import Tally, prefix
from gateway.audit_record import Refused, Started, Strangers, Who
from gateway.errors import Unrecorded
from gateway.identity.grant import ANONYMOUS
from gateway.model import Caller, Identity, Subject

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas" / "audit.json").read_text()))
START = Started("0.1.0", "sha256:00", "write", 1).record()
BOTH = pytest.mark.parametrize("durability", ["write", "fsync"])


def _record(number: int, padding: int = 0) -> dict[str, Any]:
    return {"type": "stop", "cause": f"{number}" + "." * padding}


def _lines(folder: Path, kind: str = "audit") -> list[dict[str, Any]]:
    """Every line of every file, in order; each must be whole, and what the schema says."""
    lines = []
    for path in sorted(folder.glob(f"{kind}-*.jsonl")):
        text = path.read_text()
        assert text == "" or text.endswith("\n"), path
        lines += [json.loads(line) for line in text.splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    return lines


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 — what is waited for is a file or another process
        await asyncio.sleep(0.01)


@BOTH
def test_every_acknowledged_record_is_a_line_with_its_envelope(tmp_path: Path, durability: Any) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path / "a", durability=durability), clock_ns=lambda: 1_700_000_000_000_000_000)
        await audit.start(START)
        await asyncio.gather(*(audit.write(_record(number)) for number in range(100)))
        await audit.close("done")
        envelope = {"version": 1, "writer": audit.writer, "previous": None, "time_ns": 1_700_000_000_000_000_000}
        records = [START, *(_record(number) for number in range(100)), {"type": "stop", "cause": "done"}]
        assert _lines(tmp_path / "a") == [{**envelope, "sequence": at + 1, **record} for at, record in enumerate(records)]

    _run(main)


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "a"
        folder.mkdir(mode=0o755)
        audit = AuditLog(AuditSpec(folder))
        await audit.start(START)
        await audit.write(Refused("unauthenticated", "expired", 401, "192.0.2.7").record())
        await audit.close()
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
        assert {(path.name.partition("-")[0], oct(path.stat().st_mode & 0o777)) for path in folder.iterdir()} == {
            ("audit", "0o600"),
            ("strangers", "0o600"),
            (".writer", "0o600"),
        }

    _run(main)


def test_a_second_gateway_does_not_write_into_the_folder(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = AuditLog(AuditSpec(tmp_path)), AuditLog(AuditSpec(tmp_path))
        await first.start(START)
        with pytest.raises(AuditBusy, match=str(os.getpid())):
            await second.start(START)
        await first.close()
        await second.start(START)
        await second.close()
        assert len(_lines(tmp_path)) == 4

    _run(main)


def test_a_closed_audit_takes_no_record(tmp_path: Path) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path))
        with pytest.raises(Unrecorded):
            await audit.write(_record(1))
        await audit.start(START)
        await audit.close()
        with pytest.raises(Unrecorded):
            await audit.write(_record(1))

    _run(main)


@BOTH
def test_rotation_loses_no_line_and_retention_says_what_it_removed(tmp_path: Path, durability: Any) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path, durability=durability, rotate_bytes=20_000, keep_files=1_000))
        await audit.start(START)
        for number in range(500):
            await audit.write(_record(number, 200))
        await audit.close()
        lines = _lines(tmp_path)
        assert [line["sequence"] for line in lines] == list(range(1, 503))
        files = sorted(tmp_path.glob("audit-*"))
        assert len(files) > 5
        assert [int(path.stem.rpartition("-")[2]) for path in files] == [
            json.loads(path.read_text().splitlines()[0])["sequence"] for path in files
        ]

        audit = AuditLog(AuditSpec(tmp_path, durability=durability, rotate_bytes=20_000, keep_files=3))
        await audit.start(START)
        for number in range(200):
            await audit.write(_record(number, 200))
        await audit.close()
        assert len(list(tmp_path.glob("audit-*"))) == 4
        retired = [line["detail"] for line in _lines(tmp_path) if line["type"] == "change"]
        assert retired
        assert {detail["event"] for detail in retired} == {"retired"}

    _run(main)


def test_a_file_is_closed_at_its_age(tmp_path: Path) -> None:
    async def main() -> None:
        now_ns = [1_700_000_000 * 10**9]
        audit = AuditLog(AuditSpec(tmp_path, rotate_s=3600), clock_ns=lambda: now_ns[0])
        await audit.start(START)
        now_ns[0] += 3600 * 10**9
        await audit.write(_record(1))
        await audit.close()
        assert [len(path.read_text().splitlines()) for path in sorted(tmp_path.glob("audit-*"))] == [1, 2]

    _run(main)


def test_a_removed_file_is_replaced_and_the_loss_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path))
        await audit.start(START)
        (removed,) = tmp_path.glob("audit-*")
        removed.unlink()
        await audit.write(_record(1))
        await audit.close()
        assert [(line["sequence"], line.get("detail"), line.get("cause")) for line in _lines(tmp_path)] == [
            (2, {"event": "removed", "file": removed.name}, None),
            (3, None, "1"),
            (4, None, "stopped"),
        ]

    _run(main)


def test_a_record_over_the_limit_is_cut_visibly_and_written(tmp_path: Path) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path, max_record_bytes=1000))
        await audit.start(START)
        await audit.write({"type": "change", "subsystem": "policy", "accepted": False, "detail": {"findings": ["x" * 5000]}})
        await audit.close()
        assert _lines(tmp_path)[1]["detail"]["omitted"]["bytes"] == 5017

    _run(main)


# --- faults -------------------------------------------------------------------------------------------------------------

WRITER = """
import asyncio, pathlib, sys
from gateway.adapters.audit import AuditLog, AuditSpec

async def main():
    audit = AuditLog(AuditSpec(pathlib.Path(sys.argv[1]), durability=sys.argv[2], rotate_bytes=40_000))
    await audit.start({"type": "stop", "cause": "first"})
    number = 0
    while True:
        await audit.write({"type": "stop", "cause": str(number) + "." * (number * 7919 % 9000)})
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


@BOTH
def test_every_acknowledged_line_survives_kill_9(tmp_path: Path, durability: str) -> None:
    async def main() -> None:
        for round_ in range(3):
            folder = tmp_path / str(round_)
            with subprocess.Popen(
                [sys.executable, "-c", WRITER, str(folder), durability], stdout=subprocess.PIPE, text=True, cwd=ROOT
            ) as process:
                assert process.stdout is not None
                watchdog = threading.Timer(15, process.kill)
                watchdog.start()
                acknowledged = [process.stdout.readline() for _ in range(30 + 17 * round_)]
                process.send_signal(signal.SIGKILL)
                acknowledged += process.stdout.read().splitlines()
                watchdog.cancel()
            audit = AuditLog(AuditSpec(folder))
            await audit.start(START)  # mends what the killed one left
            await audit.close()
            found = {line["cause"].rstrip(".") for line in _lines(folder) if line["type"] == "stop"}
            assert {number.strip() for number in acknowledged if number.strip()} <= found

    _run(main)


def test_half_a_line_that_a_killed_writer_left_is_cut_and_told(tmp_path: Path) -> None:
    async def main() -> None:
        torn = tmp_path / f"audit-20260101T000000000000Z-{'0' * 32}-000000000001.jsonl"
        torn.write_text('{"version":1,')
        (tmp_path / "notes.txt").write_text("not ours")
        audit = AuditLog(AuditSpec(tmp_path))
        await audit.start(START)
        await audit.close()
        assert _lines(tmp_path)[0]["detail"] == {"event": "mended", "file": torn.name, "bytes": 13}
        assert (tmp_path / "notes.txt").read_text() == "not ours"

    _run(main)


FULL = """
import asyncio, pathlib, resource, sys
from gateway.adapters.audit import AuditLog, AuditSpec
from gateway.errors import Unrecorded

async def main():
    folder = pathlib.Path(sys.argv[1])
    audit = AuditLog(AuditSpec(folder, durability=sys.argv[2], probe_s=0.02))
    await audit.start({"type": "stop", "cause": "first"})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))  # the write that crosses it comes back short
    refused = 0
    for number in range(20):
        try:
            await audit.write({"type": "stop", "cause": str(number) + "." * 300})
            print("written", number)
        except Unrecorded:
            refused += 1
            assert not audit.state().ok
        for path in folder.glob("audit-*"):
            text = path.read_text()
            assert text.endswith("\\n") or not text, text
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    async with asyncio.timeout(5):
        while not audit.state().ok:
            await asyncio.sleep(0.01)
    print("refused", refused, audit.state().failures)
    await audit.write({"type": "stop", "cause": "healed"})
    await audit.close()

asyncio.run(main())
"""


@BOTH
def test_a_full_disk_refuses_records_leaves_whole_lines_and_heals_by_itself(tmp_path: Path, durability: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), durability], capture_output=True, text=True, timeout=20, cwd=ROOT, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    said = done.stdout.split("\n")
    written = [line.split()[1] for line in said if line.startswith("written")]
    refused = 20 - len(written)
    assert 0 < len(written) < 20
    assert f"refused {refused} {refused}" in said
    lines = _lines(tmp_path)
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1)), "a gap always means loss"
    assert [line["cause"].rstrip(".") for line in lines if line["type"] == "stop"] == ["first", *written, "healed", "stopped"]
    assert [line["detail"] for line in lines if line["type"] == "change"] == [
        {"event": "recovered", "refused": refused, "after": "File too large"}
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@BOTH
def test_a_file_system_without_space_and_a_read_only_one_refuse_records(tmp_path: Path, durability: Any) -> None:
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], capture_output=True, check=False
    ).returncode:
        pytest.skip("file systems cannot be mounted here")

    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path, durability=durability, probe_s=0.02))
        await audit.start(START)
        ballast = tmp_path / "ballast"
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(b"x" * 128 * 1024)
        with pytest.raises(Unrecorded, match="No space left on device"):
            for number in range(100):
                await audit.write(_record(number, 3000))
        assert (audit.state().ok, audit.state().detail) == (False, "No space left on device")
        _lines(tmp_path)
        ballast.unlink()
        await _until(lambda: audit.state().ok)
        await audit.write(_record(1))
        await audit.close()
        assert [line["type"] for line in _lines(tmp_path)][-3:] == ["change", "stop", "stop"]
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            await AuditLog(AuditSpec(tmp_path)).start(START)

    try:
        _run(main)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


class Clock:
    """Fails as it is told to: the first thing that writing a line asks for."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return 1_700_000_000_000_000_000


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_error_in_a_commit_refuses_its_records_at_once_and_no_later_ones(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        audit = AuditLog(AuditSpec(tmp_path, durability="fsync", commit_deadline_s=3600, probe_s=0.02), clock_ns=clock)
        await audit.start(START)
        clock.fails = ZeroDivisionError()
        told = await asyncio.gather(*(audit.write(_record(number)) for number in range(5)), return_exceptions=True)
        assert [(type(each), str(each)) for each in told] == [(Unrecorded, "an internal error, see the log")] * 5
        assert (audit.state().ok, audit.state().detail) == (False, "an internal error, see the log")
        clock.fails = None
        await _until(lambda: audit.state().ok)
        await audit.write(_record(6))
        await audit.close("done")
        assert [line["type"] for line in _lines(tmp_path)] == ["start", "change", "stop", "stop"]

    _run(main)


def test_the_probe_of_a_failing_log_goes_on_after_an_unforeseen_error(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        audit = AuditLog(AuditSpec(tmp_path, probe_s=0.02), clock_ns=clock)
        await audit.start(START)
        clock.fails = OSError("no disk")
        with pytest.raises(Unrecorded, match="no disk"):
            await audit.write(_record(1))
        clock.fails, asked = ZeroDivisionError(), clock.asked
        await _until(lambda: clock.asked > asked)
        clock.fails = None
        await _until(lambda: audit.state().ok)
        await audit.close("done")
        assert [line["type"] for line in _lines(tmp_path)] == ["start", "change", "stop"]

    _run(main)


def test_a_caller_that_goes_away_does_not_take_its_line_along(tmp_path: Path) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path, durability="fsync"))
        await audit.start(START)
        tasks = [asyncio.ensure_future(audit.write(_record(number))) for number in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await audit.close()
        assert len(_lines(tmp_path)) == 52

    _run(main)


# --- strangers ----------------------------------------------------------------------------------------------------------


def _stranger(source_ip: str, cause: str = "expired") -> dict[str, Any]:
    return Refused("unauthenticated", cause, 401, source_ip).record()


def test_strangers_cannot_fill_the_disk_or_touch_the_log_of_others(tmp_path: Path) -> None:
    async def main() -> None:
        spec = AuditSpec(tmp_path, strangers_singles=3, strangers_period_s=0.05, strangers_bytes=10_000)
        audit = AuditLog(spec)
        await audit.start(START)
        for number in range(20_000):
            await audit.write(_stranger(f"10.{number % 200}.{number % 7}.9", f"cause{number % 3}"))
            if number % 1000 == 0:
                await asyncio.sleep(0.06)  # time passes: several periods are summarised
        await audit.close()
        files = list(tmp_path.glob("strangers-*"))
        assert len(files) <= 2
        assert sum(path.stat().st_size for path in files) < 60_000
        assert [line["type"] for line in _lines(tmp_path)] == ["start", "stop"]
        assert {line["type"] for line in _lines(tmp_path, "strangers")} <= {"refusal", "strangers", "change"}

    _run(main)


def test_each_stranger_is_either_written_or_counted(tmp_path: Path) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path, strangers_singles=2))
        await audit.start(START)
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "198.51.100.1"):
            await audit.write(_stranger(address))
        await audit.close()
        lines = _lines(tmp_path, "strangers")
        assert [line.get("source_ip") for line in lines] == ["192.0.2.1", "192.0.2.2", None]
        assert lines[2]["counts"] == [
            {"source": "192.0.2.0/24", "cause": "expired", "count": 2},
            {"source": "198.51.100.0/24", "cause": "expired", "count": 1},
        ]

    _run(main)


def test_refusals_of_anonymous_callers_are_strangers_and_those_of_known_ones_are_not(tmp_path: Path) -> None:
    async def main() -> None:
        audit = AuditLog(AuditSpec(tmp_path, strangers_singles=0))
        await audit.start(START)
        for subject in (ANONYMOUS, Subject("user", Identity("https://id.example.com", "alice"), "jwt")):
            who = Who(Caller(subject, None, "192.0.2.1"))
            await audit.write(Refused("parse", "parse", 400, "192.0.2.1", who=who).record())
        await audit.close()
        assert [line.get("subject", {}).get("id") for line in _lines(tmp_path)] == [None, "alice", None]
        assert [line["counts"][0]["count"] for line in _lines(tmp_path, "strangers")] == [1]

    _run(main)


def test_sources_without_end_are_counted_together() -> None:
    tally = Tally(singles=0, max_pairs=2)
    for third in (1, 1, 2, 3, 4):
        assert not tally.single(_stranger(f"10.0.{third}.1"))
    assert tally.summary(60.0) == Strangers(60.0, (("10.0.1.0/24", "expired", 2), ("10.0.2.0/24", "expired", 1)), 2)
    assert tally.summary(60.0) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("", "unknown"),
        ("x" * 9999, "unknown"),
    ],
)
def test_a_source_is_the_network_a_stranger_moves_in(address: str, expected: str) -> None:
    assert prefix(address) == expected

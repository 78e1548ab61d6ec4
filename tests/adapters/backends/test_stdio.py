"""Processes of our own: one for each owner, scrubbed, supervised, ended whole."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.backends import StdioSpec, Timeouts
from gateway.model import Answer, Log, Progress
from tests.adapters.backends.scripted import backends, eventually, failure, messages, run, text, tool_call
from tests.peers.sdk_server import ROOT

PEER = ("-m", "tests.peers.sdk_server", "--stdio")
SCRIPT = str(Path(__file__).with_name("scripted_process.py"))


def peer(**more: Any) -> StdioSpec:
    return StdioSpec(**{"name": "crm", "command": sys.executable, "args": PEER, "cwd": ROOT, **more})


def script(mode: str = "plain", **more: Any) -> StdioSpec:
    return StdioSpec(**{"name": "crm", "command": sys.executable, "args": (SCRIPT, mode), **more})


def alive(pid: str) -> bool:
    """Whether it runs; one that has ended and that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("era", ["auto", "legacy"])
def test_the_official_server_answers_as_a_process_in_either_era(era: Any) -> None:
    async def main() -> None:
        async with backends(peer(era=era)) as behind:
            assert await text(behind, tool_call("echo", {"text": "hé"})) == "hé"
            assert behind.status()[0].era == ("modern" if era == "auto" else "legacy")
            got = await messages(behind, tool_call("slow", {"steps": 1, "pause_s": 0}, progress=True))
            assert got[:-1] == [Progress({"progress": 1, "total": 1, "message": "step 1"})]
            got = await messages(behind, tool_call("log", {"text": "hi"}, log_level="error"))
            assert got[:-1] == [Log({"level": "error", "data": "hi", "logger": "peer"})]
            assert len((await behind.page("crm", "prompt", None, None)).definitions) == 1
            assert await failure(behind, tool_call("ask")) == ("server_request", True)
            calls = [text(behind, tool_call("echo", {"text": str(n)})) for n in range(30)]
            assert await asyncio.gather(*calls) == [str(n) for n in range(30)]

    run(main())


def test_each_owner_has_a_process_unless_the_backend_is_stateless_and_all_end_on_close() -> None:
    async def main(stateless: bool) -> list[str]:
        async with backends(script(stateless=stateless)) as behind:
            owners = ("ada", "ben", "ada", "")
            pids = await asyncio.gather(*(text(behind, tool_call(owner=owner)) for owner in owners))
            assert all(alive(pid) for pid in pids)
        assert not any(alive(pid) for pid in pids)
        return pids

    ada, ben, again, own = run(main(False))
    assert ada == again
    assert len({ada, ben, own}) == 3
    assert len(set(run(main(True)))) == 1


def test_the_environment_is_what_the_settings_say_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with backends(peer(env={"SERVICE_TOKEN": "x"})) as behind:
            (answer,) = await messages(behind, tool_call("environment"))
            assert isinstance(answer, Answer)
            names: Any = answer.result["structuredContent"]
            added_by_python = {"LC_CTYPE"}
            assert set(names["result"]) - added_by_python <= {"PATH", "HOME", "LANG", "SERVICE_TOKEN"}
            assert "SERVICE_TOKEN" in names["result"]

    monkeypatch.setenv("GATEWAY_SECRET", "not for backends")
    run(main())


def test_a_process_that_dies_fails_what_it_had_under_way_and_heals() -> None:
    async def main() -> None:
        async with backends(script()) as behind:
            first = await text(behind, tool_call())
            waiting = asyncio.ensure_future(failure(behind, tool_call("hang")))
            await asyncio.sleep(0)
            assert await failure(behind, tool_call("die")) == ("closed", True)
            assert await waiting == ("closed", True)
            second = await text(behind, tool_call())
            assert second != first
            assert not alive(first)

    run(main())


def test_a_program_that_does_not_exist_or_ends_at_once_is_unreachable_and_soon_left_alone() -> None:
    async def main() -> None:
        async with backends(StdioSpec("crm", "/no/such/program")) as behind:
            assert await failure(behind, tool_call()) == ("unreachable", False)
        async with backends(script("exits")) as behind:
            for _ in range(3):
                assert await failure(behind, tool_call()) == ("closed", False)
            assert await failure(behind, tool_call()) == ("unreachable", False)
            assert behind.status()[0].state == "down"

    run(main())


def test_a_silent_legacy_server_is_judged_after_a_while_and_initialized() -> None:
    async def main() -> None:
        async with backends(script("silent", timeouts=Timeouts(connect_s=0.2))) as behind:
            await text(behind, tool_call())
            assert behind.status()[0].era == "legacy"

    run(main())


@pytest.mark.parametrize(
    ("tool", "cause"), [("garbage", "not_mcp"), ("long", "too_large"), ("ask", "server_request"), ("hang", "late")]
)
def test_a_hostile_process_fails_the_call_with_its_cause_and_the_next_call_works(tool: str, cause: str) -> None:
    async def main() -> None:
        spec = script(max_result_bytes=100_000, timeouts=Timeouts(first_byte_s=1))
        async with backends(spec) as behind:
            assert await failure(behind, tool_call(tool)) == (cause, True)
            await eventually(lambda: behind.status()[0].state == "up")
            assert (await text(behind, tool_call())).isdigit()

    run(main())


def test_responses_and_progress_that_nobody_asked_for_are_dropped() -> None:
    async def main() -> None:
        async with backends(script()) as behind:
            assert await text(behind, tool_call("stray", progress=True)) == "done"

    run(main())


def test_a_process_that_asks_and_does_not_read_gets_no_more_answers_than_its_input_holds() -> None:
    async def main() -> None:
        async with backends(script()) as behind:
            assert await text(behind, tool_call("pings")) == "done"
            seen = json.loads(await text(behind, tool_call("seen")))
            pongs = [each for each in seen if "result" in each]
            assert pongs[:100] == [{"jsonrpc": "2.0", "id": n, "result": {}} for n in range(100)]
            assert len(pongs) < 10_000  # of the 20,000 that it asked for before it read anything

    run(main())


def test_leaving_early_sends_a_cancellation() -> None:
    async def main() -> None:
        async with backends(script(timeouts=Timeouts(first_byte_s=0.2))) as behind:
            assert await failure(behind, tool_call("hang")) == ("late", True)
            seen: list[str] = []
            while len(seen) < 2:
                seen = [each["method"] for each in json.loads(await text(behind, tool_call("seen")))]
            assert seen == ["notifications/initialized", "notifications/cancelled"]

    run(main())


def test_at_the_cap_an_idle_process_makes_room_and_a_busy_one_does_not() -> None:
    async def main() -> None:
        async with backends(script(max_processes=1)) as behind:
            ada = await text(behind, tool_call(owner="ada"))
            assert await text(behind, tool_call(owner="ben")) != ada
            await eventually(lambda: not alive(ada))
            hanging = behind.forward(tool_call("hang", owner="ben"))
            under_way = asyncio.ensure_future(anext(hanging))
            await asyncio.sleep(0)
            assert await failure(behind, tool_call(owner="cyd")) == ("busy", False)
            under_way.cancel()
            await asyncio.gather(under_way, return_exceptions=True)

    run(main())


def test_an_idle_process_ends() -> None:
    async def main() -> None:
        async with backends(script(idle_s=0.05), started=True) as behind:
            pid = await text(behind, tool_call())
            await eventually(lambda: not alive(pid))

    run(main())


def test_a_process_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> str:
        async with backends(script("stubborn")) as behind:
            pid: str = await text(behind, tool_call())
        return pid

    monkeypatch.setattr("gateway.adapters.backends.process.GRACE_S", 0.3)
    assert not alive(run(main()))


def test_what_a_process_started_ends_with_it() -> None:
    async def main() -> None:
        async with backends(script()) as behind:
            grandchild = await text(behind, tool_call("spawn"))
            assert alive(grandchild)
        await eventually(lambda: not alive(grandchild))

    run(main())


def test_standard_error_goes_to_the_operators_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with backends(script()) as behind:
            await text(behind, tool_call())
            await eventually(lambda: "a word on stderr" in caplog.text)

    with caplog.at_level(logging.INFO, logger="gateway.backends.crm"):
        run(main())

"""The server behind the conformance run answers the official client in both eras, and the comparison sees every loss."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

from tests.conformance import fixtures
from tests.conformance.run import Check, Loss, Outcome, losses, unexcused

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 15


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.conformance.everything", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.match(r"port (\d+)", line)
        assert found, f"the server did not start: {line!r}"
        yield f"http://127.0.0.1:{found[1]}/mcp"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
def test_server_offers_every_fixture_in_both_eras(server_url: str, mode: Literal["legacy", "auto"], version: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE_S), Client(server_url, mode=mode) as client:
            assert client.protocol_version == version
            assert [each.name for each in (await client.list_tools()).tools] == list(fixtures.TOOLS)
            assert [each.name for each in (await client.list_prompts()).prompts] == [each["name"] for each in fixtures.PROMPTS]
            assert [str(each.uri) for each in (await client.list_resources()).resources] == list(fixtures.CONTENTS)
            answer = await client.call_tool("test_custom_header", {"region": "eu"})
            assert isinstance(answer, CallToolResult)
            assert answer.content == [TextContent(type="text", text="region eu")]

    asyncio.run(main())


def test_check_that_fails_is_skipped_or_absent_through_the_gateway_is_lost() -> None:
    kept, failed, rarer, absent = (Check("scenario", each, "") for each in ("kept", "failed", "rarer", "absent"))
    direct = Outcome(Counter({kept: 1, failed: 1, rarer: 2, absent: 1}))
    through = Outcome(Counter({kept: 3, rarer: 1}), {failed: "failure: wrong", rarer: "skipped: no"})
    assert losses(direct, through) == [Loss(failed, "failure: wrong"), Loss(rarer, "skipped: no"), Loss(absent, "absent")]


def test_exception_covers_a_scenario_or_one_check_and_is_stale_when_nothing_is_lost() -> None:
    whole, one, other = Loss(Check("whole", "a", ""), ""), Loss(Check("part", "a", ""), ""), Loss(Check("part", "b", ""), "")
    assert unexcused([whole, one, other], {"whole", "part:a", "gone"}) == ([other], ["gone"])


def test_nothing_lost_leaves_every_exception_stale() -> None:
    assert unexcused([], {"one", "two:a"}) == ([], ["one", "two:a"])

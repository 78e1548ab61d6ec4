"""The era is judged from `server/discover` alone, remembered, and judged again when the backend contradicts."""

from typing import Any

import pytest

from gateway.adapters.backends import HttpSpec
from gateway.adapters.backends.era import LEGACY, Judgement, judge, judge_status
from gateway.errors import BackendFailed
from gateway.model import Fault
from tests.adapters.backends.scripted import (
    DISCOVERED,
    DONE,
    Received,
    Script,
    backends,
    done,
    failure,
    http,
    legacy,
    modern,
    run,
    scripted,
    text,
    tool_call,
)
from tests.peers.sdk_server import started_server

MODERN = Judgement("modern", {})


def unsupported(*versions: str) -> Fault:
    return Fault(-32022, "x", {"supported": [*versions], "requested": "2026-07-28"}, "modern")


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}}, MODERN),
        ({"resultType": "complete", "supportedVersions": ["2030-01-01", "2026-07-28", "2025-11-25"]}, MODERN),
        ({"resultType": "complete", "supportedVersions": ["2025-11-25"]}, LEGACY),
        ({"supportedVersions": ["2026-07-28"]}, LEGACY),
        ({}, LEGACY),
        (unsupported("2026-07-28"), "again"),
        (unsupported("2025-06-18"), LEGACY),
        (Fault(-32020, "x", None, "modern"), MODERN),
        (Fault(-32021, "x", None, "modern"), MODERN),
        (Fault(-32601, "x", None, "modern"), LEGACY),
        (Fault(-32600, "x", None, "modern"), LEGACY),
        (Fault(-32002, "x", None, "modern"), LEGACY),
    ],
)
def test_an_answer_to_discover_gives_a_verdict(outcome: Any, verdict: Any) -> None:
    assert judge(outcome) == verdict


@pytest.mark.parametrize(
    "outcome", [{"resultType": "complete", "supportedVersions": ["2030-01-01"]}, unsupported("2030-01-01"), unsupported()]
)
def test_without_a_common_version_there_is_no_verdict(outcome: Any) -> None:
    with pytest.raises(BackendFailed, match="not_mcp"):
        judge(outcome)


@pytest.mark.parametrize("status", [400, 404, 405, 406, 415])
def test_a_client_error_without_json_rpc_is_a_legacy_server(status: int) -> None:
    assert judge_status(status) == LEGACY


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_failing_server_gives_no_verdict(status: int) -> None:
    with pytest.raises(BackendFailed, match="status"):
        judge_status(status)


def test_the_verdict_is_remembered_and_no_tool_is_called_to_find_it() -> None:
    async def main() -> None:
        for script, era in ((modern(done), "modern"), (legacy(done), "legacy")):
            async with scripted(script) as server, backends(http(server)) as behind:
                for _ in range(5):
                    assert await text(behind, tool_call()) == "done"
                assert len(server.of("server/discover")) == 1
                assert server.received[0].rpc == "server/discover"
                assert behind.status()[0].era == era

    run(main())


@pytest.mark.parametrize(("status", "cause"), [(401, "unauthorized"), (403, "unauthorized"), (503, "status"), (429, "status")])
def test_a_probe_that_fails_is_asked_again_and_does_not_make_a_legacy_server(status: int, cause: str) -> None:
    async def main() -> None:
        async def flaky(received: Received) -> None:
            if received.rpc == "server/discover" and len(server.received) == 1:
                received.head(status, Content_Length="0")
            else:
                await modern(done)(received)

        async with scripted(flaky) as server, backends(http(server)) as behind:
            assert await failure(behind, tool_call()) == (cause, False)
            assert behind.status()[0].era is None
            assert await text(behind, tool_call()) == "done"
            assert behind.status()[0].era == "modern"
            assert not server.of("initialize")

    run(main())


def test_a_pinned_era_is_not_probed() -> None:
    async def main() -> None:
        for script, era in ((modern(done), "modern"), (legacy(done), "legacy")):
            async with scripted(script) as server, backends(http(server, era=era)) as behind:
                assert await text(behind, tool_call()) == "done"
                assert not server.of("server/discover")

    run(main())


@pytest.mark.parametrize("first", ["modern", "legacy"])
def test_a_backend_that_changes_its_era_is_judged_again_and_the_refused_call_is_carried_out_once(first: str) -> None:
    async def main() -> None:
        carried_out: list[str] = []

        async def act(received: Received) -> None:
            carried_out.append(received.rpc)
            received.result(DONE)

        async def refuse(received: Received) -> None:
            received.error(-32600, "unsupported protocol version", 400)

        async def only_modern(received: Received) -> None:
            new = received.headers.get("mcp-protocol-version") == "2026-07-28"
            await (modern(act) if new else refuse)(received)

        old = legacy(act)

        async def only_legacy(received: Received) -> None:
            new = received.headers.get("mcp-protocol-version") == "2026-07-28"
            await (refuse if new else old)(received)

        scripts: list[Script] = [only_modern, only_legacy] if first == "modern" else [only_legacy, only_modern]

        async def rolling(received: Received) -> None:
            await scripts[0](received)

        async with scripted(rolling) as server, backends(http(server)) as behind:
            assert await text(behind, tool_call()) == "done"
            assert behind.status()[0].era == first
            scripts.reverse()
            assert await text(behind, tool_call()) == "done"
            assert behind.status()[0].era != first
            assert carried_out == ["tools/call", "tools/call"]

    run(main())


def test_a_version_that_the_backend_itself_offers_and_refuses_ends_the_search() -> None:
    async def main() -> None:
        async def absurd(received: Received) -> None:
            received.error(-32022, "no", 400, {"supported": ["2026-07-28"], "requested": "2026-07-28"})

        async with scripted(absurd) as server, backends(http(server)) as behind:
            assert await failure(behind, tool_call()) == ("not_mcp", False)
            assert len(server.received) == 2

    run(main())


def test_a_backend_older_than_streamable_http_is_refused_and_one_of_2025_03_26_is_not() -> None:
    async def main() -> None:
        for version, expected in (("2024-11-05", ("not_mcp", False)), ("2025-03-26", "done"), ("2026-07-28", ("not_mcp", False))):

            async def old(received: Received, version: str = version) -> None:
                if received.rpc == "initialize":
                    received.result({"protocolVersion": version, "capabilities": {}})
                else:
                    await legacy(done)(received)

            async with scripted(old) as server, backends(http(server)) as behind:
                got = await (text(behind, tool_call()) if expected == "done" else failure(behind, tool_call()))
                assert got == expected

    run(main())


def test_the_official_servers_are_judged_rightly() -> None:
    async def main(new: str, old: str, both: str) -> None:
        specs = [HttpSpec("new", new), HttpSpec("old", old), HttpSpec("both", both)]
        async with backends(*specs) as behind:
            for spec in specs:
                await text(behind, tool_call("echo", {"text": "x"}, backend=spec.name))
            assert [each.era for each in behind.status()] == ["modern", "legacy", "modern"]

    with started_server("--era", "modern") as new, started_server("--era", "legacy") as old, started_server() as both:
        run(main(new.url, old.url, both.url))


def test_what_discover_says_is_kept_with_the_verdict() -> None:
    assert judge(dict(DISCOVERED)) == Judgement("modern", {"tools": {}})

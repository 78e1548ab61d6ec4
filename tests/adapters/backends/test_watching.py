"""What a backend tells of its own accord reaches the gateway in either era, and what may have been missed is told as changed."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.adapters.backends import BackendSpec, HttpSpec, StdioSpec
from gateway.adapters.backends.specs import Pace
from gateway.adapters.backends.watching import Standing, Uris, Watcher
from gateway.adapters.tasks import Tasks
from gateway.model import Change, JsonObject
from tests.adapters.backends.scripted import (
    DISCOVERED,
    Received,
    backends,
    done,
    eventually,
    http,
    modern,
    run,
    scripted,
    text,
    tool_call,
)
from tests.peers.sdk_server import ROOT, started_server

EVERYTHING = [Change("crm", "tools"), Change("crm", "prompts"), Change("crm", "resources")]


async def hears(*specs: BackendSpec) -> None:
    """A change of each kind is heard, and of each URI that at least one still watches."""
    changes: list[Change] = []
    async with backends(*specs, started=True, changes=changes) as behind:
        await behind.watch("crm", "doc://guide")
        await behind.watch("crm", "doc://guide")
        await behind.watch("crm", "doc://other")
        for kind in ("tools", "prompts", "resources"):
            await text(behind, tool_call("change", {"kind": kind}, owner=""))
            await eventually(lambda kind=kind: Change("crm", kind) in changes)  # type: ignore[misc]
        for uri in ("doc://guide", "doc://other"):
            await text(behind, tool_call("change", {"kind": "updated", "uri": uri}, owner=""))
            await eventually(lambda uri=uri: Change("crm", "updated", uri) in changes)  # type: ignore[misc]
        await behind.unwatch("crm", "doc://guide")
        changes.clear()
        await text(behind, tool_call("change", {"kind": "updated", "uri": "doc://guide"}, owner=""))
        await eventually(lambda: Change("crm", "updated", "doc://guide") in changes)  # still watched by one


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_changes_are_heard_from_the_official_server(era: str) -> None:
    with started_server("--era", era) as server:
        run(hears(HttpSpec("crm", server.url)))


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_changes_are_heard_from_a_process(era: Any) -> None:
    command = ("-m", "tests.peers.sdk_server", "--stdio")
    run(hears(StdioSpec("crm", sys.executable, command, cwd=ROOT, era=era)))


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_after_a_loss_the_stream_stands_again_and_everything_counts_as_changed(era: str) -> None:
    async def main() -> None:
        changes: list[Change] = []
        with started_server("--era", era) as server:
            port = server.port
            async with backends(HttpSpec("crm", server.url), started=True, changes=changes) as behind:
                await behind.watch("crm", "doc://guide")
                server.process.kill()
                server.process.wait()
                await eventually(lambda: behind.status()[0].state == "down")
                changes.clear()
                with started_server("--era", era, port=port):
                    await eventually(lambda: set(changes) >= {*EVERYTHING, Change("crm", "updated", "doc://guide")})
                    changes.clear()
                    await text(behind, tool_call("change", {"kind": "updated", "uri": "doc://guide"}, owner=""))
                    await eventually(lambda: Change("crm", "updated", "doc://guide") in changes)

    run(main(), limit_s=40)


class Odd:
    """A stream that ends, the first time that somebody waits for more of it, as nobody foresaw."""

    def __init__(self, *, breaks: bool) -> None:
        self._breaks = breaks

    async def stream(self, uris: Uris) -> AsyncGenerator[JsonObject | Standing, None]:
        yield "standing"
        yield {"method": "notifications/tools/list_changed"}
        if self._breaks:
            self._breaks = False
            raise ZeroDivisionError
        await asyncio.Event().wait()

    async def amend(self, before: Uris, after: Uris) -> bool:
        return True


@pytest.mark.parametrize("where", ["stream", "telling"])
def test_an_unforeseen_error_ends_no_listening_and_everything_counts_as_changed(where: str) -> None:
    """In reading the `stream`, or in `telling` the gateway of what was read."""

    async def main() -> None:
        changes: list[Change] = []
        source, tasks, broken = Odd(breaks=where == "stream"), Tasks(), where == "telling"

        def emit(change: Change) -> None:
            nonlocal broken
            if broken:
                broken = False
                raise ZeroDivisionError
            changes.append(change)

        async def reached() -> Odd:
            return source

        Watcher("crm", reached, emit, Pace(first_s=0.01, most_s=0.01), tasks).start()
        heard, told = Change("crm", "tools"), [] if broken else [Change("crm", "tools")]
        await eventually(lambda: changes == [*told, *EVERYTHING, heard])
        await tasks.close()

    run(main())


def test_only_what_is_offered_is_asked_for_and_foreign_subscriptions_are_not_heard() -> None:
    async def main() -> None:
        changes: list[Change] = []

        async def listens(received: Received) -> None:
            if received.rpc == "server/discover":
                received.result(
                    {
                        **DISCOVERED,
                        "capabilities": {"tools": {"listChanged": True}, "prompts": {}, "resources": {"subscribe": True}},
                    }
                )
                return
            if received.rpc != "subscriptions/listen":
                await done(received)
                return

            def meta(id: Any) -> dict[str, Any]:
                return {"_meta": {"io.modelcontextprotocol/subscriptionId": id}}

            received.stream()
            received.notify("notifications/subscriptions/acknowledged", notifications={}, **meta(received.id))
            received.notify("notifications/prompts/list_changed", **meta(str(received.id)))
            received.notify("notifications/resources/list_changed")
            received.notify("notifications/tools/list_changed", **meta(received.id))
            await received.writer.drain()
            await received.reader.read()

        async with scripted(listens) as server, backends(http(server), started=True, changes=changes) as behind:
            await eventually(lambda: changes == [Change("crm", "tools")])
            await behind.watch("crm", "doc://a")
            assert [each.body["params"]["notifications"] for each in server.of("subscriptions/listen")] == [
                {"toolsListChanged": True},
                {"toolsListChanged": True, "resourceSubscriptions": ["doc://a"]},
            ]

    run(main())


def test_a_backend_with_nothing_to_tell_is_left_alone() -> None:
    async def main() -> None:
        async with scripted(modern(done)) as server, backends(http(server), started=True) as behind:
            await behind.watch("crm", "doc://a")
            await text(behind, tool_call())
            assert not server.of("subscriptions/listen")

    run(main())


def test_a_backend_that_tells_of_resources_only_is_listened_to_from_the_first_watch() -> None:
    async def main() -> None:
        async def listens(received: Received) -> None:
            if received.rpc == "server/discover":
                received.result({**DISCOVERED, "capabilities": {"tools": {}, "resources": {"subscribe": True}}})
            elif received.rpc == "subscriptions/listen":
                received.stream()
                own = {"_meta": {"io.modelcontextprotocol/subscriptionId": received.id}}
                received.notify("notifications/subscriptions/acknowledged", notifications={}, **own)
                await received.writer.drain()
                await received.reader.read()
            else:
                await done(received)

        async with scripted(listens) as server, backends(http(server), started=True) as behind:
            await asyncio.sleep(0.1)
            assert not server.of("subscriptions/listen"), "nobody watches anything yet"
            await behind.watch("crm", "doc://a")
            await eventually(lambda: bool(server.of("subscriptions/listen")))
            wanted = server.of("subscriptions/listen")[0].body["params"]["notifications"]
            assert wanted == {"resourceSubscriptions": ["doc://a"]}

    run(main())

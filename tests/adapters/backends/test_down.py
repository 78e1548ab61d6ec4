"""A backend that is down costs its callers milliseconds, and heals by itself."""

import pytest

from gateway.adapters.backends import HttpSpec
from gateway.adapters.backends.circuit import Circuit
from gateway.adapters.backends.specs import Pace
from gateway.adapters.tasks import Tasks
from gateway.errors import BackendFailed
from gateway.model import Change
from tests.adapters.backends.scripted import (
    SHORT,
    Received,
    backends,
    done,
    eventually,
    failure,
    http,
    messages,
    modern,
    run,
    scripted,
    text,
    tool_call,
)


def test_a_dead_backend_fails_at_once_after_a_few_tries_and_is_found_again_when_it_is_back() -> None:
    async def main() -> None:
        changes: list[Change] = []
        async with scripted(modern(done)) as server:
            pass
        async with backends(HttpSpec("crm", server.url), changes=changes) as behind:
            assert behind.status()[0].state == "unknown"
            for _ in range(3):
                assert await failure(behind, tool_call()) == ("unreachable", False)
            assert behind.status()[0].state == "down"
            assert "refused" in behind.status()[0].last_error or "Connect" in behind.status()[0].last_error
            with pytest.raises(BackendFailed, match="known to be down"):  # no further connection is tried for a caller
                await messages(behind, tool_call())
            async with scripted(modern(done), port=server.port):
                await eventually(lambda: behind.status()[0].state == "up")
                assert await text(behind, tool_call()) == "done"
                assert behind.status()[0].last_error == ""
            assert changes == [Change("crm", "tools"), Change("crm", "prompts"), Change("crm", "resources")]

    run(main())


def test_a_probe_that_meets_an_unforeseen_error_is_not_the_last_one() -> None:
    async def main() -> None:
        told: list[tuple[str, str]] = []
        tasks = Tasks()

        async def probe() -> None:
            told.append((circuit.status(None).state, circuit.status(None).last_error))
            if len(told) < 3:
                raise ZeroDivisionError

        circuit = Circuit("crm", Pace(failures=1, first_s=0.01), tasks, probe)
        circuit.unreached("refused")
        await eventually(lambda: circuit.status(None).state == "up")
        crash = "an internal error (ZeroDivisionError), see the log"
        assert told == [("down", "refused"), ("down", crash), ("down", crash)]
        await tasks.close()

    run(main())


def test_a_hung_backend_whose_era_is_unknown_counts_as_down() -> None:
    async def main() -> None:
        async def hangs(received: Received) -> None:
            await received.reader.read()

        async with scripted(hangs) as server, backends(http(server, timeouts=SHORT)) as behind:
            for _ in range(3):
                assert await failure(behind, tool_call()) == ("late", False)
            assert await failure(behind, tool_call()) == ("unreachable", False)

    run(main())


def test_a_slow_tool_does_not_make_its_backend_count_as_down() -> None:
    async def main() -> None:
        async def slow(received: Received) -> None:
            if received.body["params"]["name"] == "slow":
                await received.reader.read()
            else:
                await done(received)

        async with scripted(modern(slow)) as server, backends(http(server, timeouts=SHORT)) as behind:
            for _ in range(4):
                assert await failure(behind, tool_call("slow")) == ("late", True)
            assert await text(behind, tool_call("fast")) == "done"

    run(main())


def test_two_backends_of_one_name_are_refused() -> None:
    async def main() -> None:
        spec = HttpSpec("crm", "http://127.0.0.1:1/mcp")
        with pytest.raises(ValueError, match="two backends are named crm"):
            async with backends(spec, spec):
                pass

    run(main())

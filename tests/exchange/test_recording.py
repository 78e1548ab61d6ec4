"""What stands in the log when a client goes away while a line of its exchange is on its way to the disk."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.catalog.surface import View
from gateway.errors import Kind, Refusal, Unrecorded
from gateway.exchange import recording
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.target import Target
from gateway.model import Caller, Identity, Message, Resource, Subject
from gateway.wire.methods import Method

CALLER = Caller(Subject("user", Identity("urn:keys", "ada"), "api_key"), None, "127.0.0.1")
CALL = Method("tools/call", ("modern",), "item", "tool")


class SlowDisk:
    """Takes a line at once and acknowledges it never, or refuses it."""

    def __init__(self, *, full: bool = False) -> None:
        self.lines: list[Any] = []
        self._full = full

    async def write(self, record: Any) -> None:
        if self._full:
            raise Unrecorded("full")
        self.lines.append(record)
        await asyncio.Event().wait()

    def exchange(self, **told: object) -> None:
        """Counted."""


def parts(disk: SlowDisk) -> tuple[Ports, Exchange, Draft]:
    message = Message("modern", "2026-07-28", "tools/call", {}, id=1)
    x = Exchange("e", message, CALL, CALLER, View("default", ("crm",), {}), None, 0)
    draft = Draft(target=Target(Resource(type="tool", public_name="crm__act", backend="crm"), {}, "crm"), backend="crm")
    return cast(Ports, SimpleNamespace(audit=disk, meter=disk, questions=None)), x, draft


async def given_up(writing: Any) -> None:
    task = asyncio.ensure_future(writing)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_an_intent_whose_client_goes_away_meanwhile_gets_its_outcome() -> None:
    async def main() -> None:
        disk = SlowDisk()
        ports, x, draft = parts(disk)
        await given_up(recording.intent(ports, x, draft))
        await given_up(recording.broken_off(ports, x, draft, "cancelled"))
        assert [each["type"] for each in disk.lines] == ["intent", "outcome"]

    asyncio.run(main())


def test_an_outcome_whose_client_goes_away_meanwhile_is_the_only_one() -> None:
    async def main() -> None:
        ports, x, draft = parts(SlowDisk())
        draft.intent_written = True
        await given_up(recording.outcome(ports, x, draft))
        assert draft.closed

    asyncio.run(main())


def test_a_line_that_was_refused_is_not_taken_for_written() -> None:
    async def main() -> None:
        ports, x, draft = parts(SlowDisk(full=True))
        with pytest.raises(Unrecorded):
            await recording.intent(ports, x, draft)
        with pytest.raises(Unrecorded):
            await recording.refusal(ports, x, draft, Refusal(Kind.DENIED, "no"))
        assert not draft.intent_written and not draft.closed

    asyncio.run(main())

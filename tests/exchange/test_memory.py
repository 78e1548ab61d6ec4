"""A list's decision that many want at once is asked for once, and nobody pays for another's leaving."""

import asyncio

import pytest

from gateway.errors import Undecided
from gateway.exchange.memory import ListMemory, Validators
from gateway.model import Decision, Item, JsonObject

DECISION = Decision(frozenset({0}), frozenset(), {}, {}, (), (), {}, (), "r1", "d1")


class Oracle:
    """Answers when it is let go, and counts who asked."""

    def __init__(self, answer: Decision | Undecided) -> None:
        self.answer = answer
        self.asked = 0
        self.go = asyncio.Event()

    async def __call__(self) -> Decision:
        self.asked += 1
        await self.go.wait()
        if isinstance(self.answer, Undecided):
            raise self.answer
        return self.answer


async def _begun(memory: ListMemory, oracle: Oracle, count: int) -> list["asyncio.Task[Decision]"]:
    tasks = [asyncio.create_task(memory.shared(b"key", oracle)) for _ in range(count)]
    await _settled()
    return tasks


async def _settled() -> None:
    """Every task runs up to its next wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_question_that_many_ask_at_once_is_asked_once() -> None:
    async def main() -> None:
        memory, oracle = ListMemory(), Oracle(DECISION)
        tasks = await _begun(memory, oracle, 16)
        oracle.go.set()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 5) == [DECISION] * 16
        assert oracle.asked == 1
        assert await asyncio.wait_for(memory.shared(b"key", oracle), 5) == DECISION
        assert oracle.asked == 2

    asyncio.run(main())


def test_a_question_without_an_answer_is_undecided_for_all_who_asked_it() -> None:
    async def main() -> None:
        memory, oracle = ListMemory(), Oracle(Undecided("late"))
        tasks = await _begun(memory, oracle, 4)
        oracle.go.set()
        for task in tasks:
            with pytest.raises(Undecided, match="late"):
                await asyncio.wait_for(task, 5)
        assert oracle.asked == 1

    asyncio.run(main())


def test_who_asked_first_may_go_away_and_the_next_one_asks() -> None:
    async def main() -> None:
        memory, oracle = ListMemory(), Oracle(DECISION)
        first, *others = await _begun(memory, oracle, 4)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await _settled()
        oracle.go.set()
        assert await asyncio.wait_for(asyncio.gather(*others), 5) == [DECISION] * 3
        assert oracle.asked == 2

    asyncio.run(main())


def test_unknown_arguments_are_those_of_the_definition_as_it_is_now() -> None:
    validators = Validators()

    def item(fingerprint: str, schema: JsonObject) -> Item:
        return Item("crm", "tool", "a", "crm__a", "crm__a", {"inputSchema": schema}, fingerprint)

    flat: JsonObject = {"properties": {"a": {"type": "string"}}}
    nested: JsonObject = {"properties": {"o": flat}}
    assert validators.unknown_arguments(item("1", flat), {"a": "x", "b": 1}) == ("/b",)
    assert validators.unknown_arguments(item("1", flat), {"c": 1}) == ("/c",)
    assert validators.unknown_arguments(item("2", nested), {"a": "x", "o": {"b": 1}}) == ("/a", "/o/b")

"""What the policy is told about arguments is told at once, or off the event loop; what is hidden is not looked into."""

import asyncio
import json

import pytest

from gateway.errors import Kind, Refusal
from gateway.exchange.deciding import permitted
from gateway.exchange.draft import Draft
from gateway.exchange.parts import Exchange
from gateway.exchange.target import Target, listed
from gateway.model import Item, Json, JsonObject, Message
from gateway.ports import Verdict
from gateway.wire.methods import find
from tests.exchange.test_relaying import CALLER, VIEW, World

COSTLY: JsonObject = {"type": "object", "properties": {"a": {"items": {"anyOf": [{"const": n} for n in range(30)]}}}}
ENTRIES: list[Json] = [29] * 1_000


class Asked(World):
    """A policy that hides or shows the tool, and keeps what it was told of the arguments."""

    def __init__(self, *, shown: bool) -> None:
        super().__init__()
        self.shown = shown
        self.told: list[object] = []

    async def decide(self, document: bytes) -> Verdict:
        asked = json.loads(document)["input"]
        self.told.append(asked["arguments_valid"])
        verdict = await super().decide(document)
        assert isinstance(verdict.result, dict)
        hidden: JsonObject = {**verdict.result, "visible": [], "allowed": [], "granted_by": {}}
        return verdict if self.shown else Verdict(hidden, verdict.revision)


async def told(world: Asked, schema: JsonObject, arguments: JsonObject) -> list[object]:
    item = Item("crm", "tool", "act", "crm__act", "crm__act", {"inputSchema": schema}, "sha256:0")
    method = find("tools/call", "modern")
    assert method is not None
    x = Exchange("e", Message("modern", "2026-07-28", "tools/call", {}, 1), method, CALLER, VIEW, None, 0)
    async with asyncio.timeout(20):
        await permitted(world.ports(), x, Draft(), Target(listed(item), arguments, "crm", item))
    return world.told


@pytest.mark.parametrize(("entries", "valid"), [(ENTRIES, True), ([*ENTRIES, 30], False)])
def test_arguments_that_take_long_to_judge_are_judged_once_the_tool_is_known_to_be_visible(
    entries: list[Json], valid: bool
) -> None:
    assert asyncio.run(told(Asked(shown=True), COSTLY, {"a": entries})) == [False, valid]


def test_arguments_that_are_soon_judged_need_one_question() -> None:
    assert asyncio.run(told(Asked(shown=True), COSTLY, {"a": [29]})) == [True]


@pytest.mark.parametrize("schema", [COSTLY, {"$id": "http://[", "properties": {"a": {"$ref": "x"}}}])
def test_a_hidden_tool_is_unknown_whatever_its_schema_and_the_arguments(schema: JsonObject) -> None:
    world = Asked(shown=False)
    with pytest.raises(Refusal) as refused:
        asyncio.run(told(world, schema, {"a": ENTRIES}))
    assert (refused.value.kind, world.told) == (Kind.UNKNOWN_ITEM, [False])

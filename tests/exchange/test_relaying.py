"""What a call under way owes when the policy changes before its result is there, and what its record says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from gateway.catalog.merge import Catalog, part_of
from gateway.catalog.surface import SurfaceSpec, View, view
from gateway.errors import Refusal
from gateway.exchange.listen import Listeners
from gateway.exchange.parts import Exchange, Ports
from gateway.exchange.pipeline import run
from gateway.exchange.standing import Standings
from gateway.model import (
    Answer,
    BackendMessage,
    Caller,
    Fault,
    Identity,
    Item,
    JsonObject,
    Log,
    Message,
    Notice,
    Outgoing,
    Reply,
    Subject,
)
from gateway.policy.contract import VERSION_1
from gateway.policy.extract import Extractions
from gateway.ports import Verdict
from gateway.wire.methods import find
from tests.exchange.ports import ports

CALLER = Caller(Subject("user", Identity("urn:keys", "ada"), "api_key"), None, "127.0.0.1")
TOOL = Item("crm", "tool", "act", "crm__act", "crm__act", {"name": "crm__act", "inputSchema": {"type": "object"}}, "sha256:0")
VIEW = view(Catalog({"crm": part_of("crm", {"tool": (TOOL,)}, {}, at_ns=0)}, ()), SurfaceSpec("default", ("crm",)))
ANSWER: JsonObject = {"content": [{"type": "text", "text": "the s3cret is out"}], "resultType": "complete"}
SAID = "the s3cret is out"

AUDITED: JsonObject = {"rule": "org/audit", "type": "audit", "code": "full", "properties": {"level": "full"}}
INSPECTED: JsonObject = {"rule": "org/looks", "type": "inspect_result", "code": "inspect", "properties": {}}
LIMITED: JsonObject = {
    "rule": "org/rates",
    "type": "rate_limit",
    "code": "rate",
    "properties": {"key": "ada", "limit": 1, "period_s": 60},
}


def redacting(pattern: str) -> JsonObject:
    properties: JsonObject = {"target": "result", "pattern": pattern, "action": "replace", "value": "***"}
    return {"rule": "org/secrets", "type": "redact", "code": "secret", "properties": properties}


class World:
    """A policy that may change, a backend that answers when it is told to, and every line of the audit."""

    def __init__(self, *obligations: JsonObject) -> None:
        self.revision, self.obligations = "r1", list(obligations)
        self.withholding = False
        self.answered: list[tuple[str, str]] = []  # (phase, revision)
        self.lines: list[JsonObject] = []
        self.charged: list[str] = []
        self.refused: list[tuple[int, str]] = []
        self.begun, self.finished = asyncio.Event(), asyncio.Event()
        self.reviewed, self.inspected, self.inspecting = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.inspecting.set()
        self.messages: list[BackendMessage] = [Answer(ANSWER, "modern", 100)]
        self.standings = Standings(lambda caller, surface: True, lambda: self.revision)

    # as decider
    contract = VERSION_1
    extractions = property(lambda self: Extractions(revision=self.revision))

    async def decide(self, document: bytes) -> Verdict:
        asked = json.loads(document)["input"]
        phase, revision, obligations = asked["action"]["phase"], self.revision, list(self.obligations)
        if phase == "result":
            self.inspected.set()
            await self.inspecting.wait()
        refused = phase == "result" and self.withholding
        denial: JsonObject = {"rule": "org/looks", "code": "seen", "message": "it tells too much"}
        self.answered.append((phase, revision))
        if (phase, revision) == ("request", "r2"):
            self.reviewed.set()  # what it comes to happens before anybody who waits for this goes on
        return Verdict(
            {
                "version": 1,
                "visible": [0],
                "allowed": [] if refused else [0],
                "granted_by": {"servers/crm/all": [0]},
                "hidden_by": {},
                "denials": [denial] if refused else [],
                "obligations": cast(Any, obligations),
                "observed": {},
                "waived": [],
            },
            revision,
        )

    # as backends
    async def forward(self, request: Outgoing) -> AsyncIterator[BackendMessage]:
        self.begun.set()
        await self.finished.wait()
        for message in self.messages:
            yield message

    # as catalogs, audit, limiter and meter
    async def full_view(self, surface: str, caller: Caller) -> View:
        return VIEW

    async def write(self, record: JsonObject) -> None:
        self.lines.append(record)

    async def charge(self, charges: Any) -> float:
        self.charged += [each.key for each in charges]
        return 0.0

    def counted(self, **told: object) -> None:
        """Counted."""

    exchange = denial = obligation = fired = decision = undecided = backend = counted

    def ports(self) -> Ports:
        return ports(self, self.standings)

    async def changed(self, *obligations: JsonObject) -> None:
        """Another policy is in force, and what is open was judged by it."""
        self.revision, self.obligations = "r2", list(obligations)
        self.standings.policy_changed()
        await self.reviewed.wait()

    async def called(self, meanwhile: Callable[["World"], Awaitable[None]]) -> list[Notice | Reply]:
        """What a call yields while which `meanwhile` happens; the backend answers after it."""
        method = find("tools/call", "modern")
        assert method is not None
        x = Exchange("e", message(), method, CALLER, VIEW, None, 0)
        watching = asyncio.ensure_future(self.standings.watch())
        said: list[Notice | Reply] = []

        async def call() -> None:
            try:
                async for event in run(self.ports(), Listeners(lambda backend, uri: None), x):
                    said.append(event)
            except Refusal as refusal:  # a backend's own error is no reply
                self.refused.append((refusal.code("modern"), refusal.message))

        try:
            async with asyncio.timeout(10), asyncio.TaskGroup() as both:
                both.create_task(call())
                await self.begun.wait()
                await meanwhile(self)
                self.finished.set()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return said

    def outcome(self) -> JsonObject:
        """What the last line says of the end, of what was carried out, and of the result."""
        names = ("type", "outcome", "cause", "level", "duties", "result", "parts_withheld")
        return {name: self.lines[-1][name] for name in names if name in self.lines[-1]}


def message() -> Message:
    params: JsonObject = {"name": "crm__act", "arguments": {}, "_meta": {"io.modelcontextprotocol/logLevel": "info"}}
    return Message("modern", "2026-07-28", "tools/call", params, id=1)


def text(reply: Notice | Reply) -> str:
    assert isinstance(reply, Reply)
    result: Any = json.loads(reply.result) if isinstance(reply.result, bytes) else reply.result
    return str(result["content"][0]["text"])


def test_a_call_under_way_meets_the_redactions_that_a_new_policy_adds_and_its_record_tells_of_them() -> None:
    async def main() -> None:
        world = World(AUDITED)
        said = await world.called(lambda world: world.changed(redacting("s3cret")))
        assert [text(each) for each in said] == ["the *** is out"]
        duties = [
            {"rule": "org/audit", "type": "audit", "code": "full"},
            {"rule": "org/secrets", "type": "redact", "code": "secret", "hits": 1},
        ]
        result = {**ANSWER, "content": [{"type": "text", "text": "the *** is out"}]}
        outcome = world.outcome()
        cast(Any, outcome["result"]).pop("_meta")
        assert outcome == {"type": "outcome", "outcome": "ok", "level": "full", "duties": duties, "result": result}

    asyncio.run(main())


def test_a_call_under_way_is_inspected_once_a_new_policy_asks_for_it_and_its_messages_wait() -> None:
    async def main() -> None:
        world = World(AUDITED)
        world.withholding = True
        world.messages.insert(0, Log({"level": "info", "data": SAID}))
        said = await world.called(lambda world: world.changed(INSPECTED))
        assert [SAID in text(each) for each in said] == [False]
        assert world.answered == [("request", "r1"), ("request", "r2"), ("result", "r2")]
        duties = [
            {"rule": "org/audit", "type": "audit", "code": "full"},
            {"rule": "org/looks", "type": "inspect_result", "code": "inspect"},
        ]
        assert world.outcome() == {"type": "outcome", "outcome": "withheld", "cause": "seen", "level": "full", "duties": duties}

    asyncio.run(main())


def test_a_new_policy_that_asks_for_less_takes_nothing_back_from_a_call_under_way() -> None:
    async def main() -> None:
        world = World(AUDITED, INSPECTED, redacting("s3cret"))
        said = await world.called(lambda world: world.changed())
        assert [text(each) for each in said] == ["the *** is out"]
        assert world.answered == [("request", "r1"), ("request", "r2"), ("result", "r2")]
        outcome = world.outcome()
        assert outcome["level"] == "full"
        assert outcome["duties"] == [
            {"rule": "org/audit", "type": "audit", "code": "full"},
            {"rule": "org/looks", "type": "inspect_result", "code": "inspect"},
            {"rule": "org/secrets", "type": "redact", "code": "secret", "hits": 1},
        ]

    asyncio.run(main())


def test_a_new_rate_limit_is_neither_charged_for_a_call_under_way_nor_said_to_be() -> None:
    async def main() -> None:
        world = World(AUDITED)
        await world.called(lambda world: world.changed(LIMITED))
        assert world.charged == []
        assert world.outcome()["duties"] == [{"rule": "org/audit", "type": "audit", "code": "full"}]

    asyncio.run(main())


@pytest.mark.parametrize("pattern", ["(", "(a)\\1"])
def test_a_new_redaction_that_cannot_be_carried_out_ends_the_call_under_way(pattern: str) -> None:
    async def main() -> None:
        world = World(AUDITED)
        said = await world.called(lambda world: world.changed(redacting(pattern)))
        assert ["gave no decision" in text(each) for each in said] == [True]
        duties = [{"rule": "org/audit", "type": "audit", "code": "full"}]
        assert world.outcome() == {
            "type": "outcome",
            "outcome": "cancelled",
            "cause": "undecided",
            "level": "full",
            "duties": duties,
        }

    asyncio.run(main())


def test_a_policy_that_comes_into_force_while_a_result_is_inspected_does_not_change_what_its_record_tells() -> None:
    async def main() -> None:
        world = World(AUDITED, INSPECTED)
        world.inspecting.clear()

        async def meanwhile(world: World) -> None:
            world.finished.set()
            await world.inspected.wait()
            await world.changed(redacting("s3cret"))
            world.inspecting.set()

        said = await world.called(meanwhile)
        assert [text(each) for each in said] == [SAID]
        outcome = world.outcome()
        assert outcome["level"] == "full"
        assert outcome["duties"] == [
            {"rule": "org/audit", "type": "audit", "code": "full"},
            {"rule": "org/looks", "type": "inspect_result", "code": "inspect"},
        ]

    asyncio.run(main())


def test_the_record_tells_how_many_parts_of_an_answer_were_withheld_unchecked() -> None:
    async def main() -> None:
        world = World(redacting("s3cret"))
        picture: JsonObject = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
        world.messages = [Answer({"content": [picture, {"type": "text", "text": "plain"}, picture]}, "modern", 200)]
        await world.called(nothing)
        assert world.outcome() == {"type": "outcome", "outcome": "ok", "level": "metadata", "parts_withheld": 2}

    asyncio.run(main())


def test_the_record_tells_of_withheld_parts_of_an_error_and_of_messages_too() -> None:
    async def main() -> None:
        world = World(redacting("s3cret"))
        deep: Any = "s3cret"
        for _ in range(200):
            deep = [deep]
        world.messages = [Log({"level": "info", "data": deep}), Fault(-32000, "no", deep, "modern")]
        await world.called(nothing)
        assert world.outcome()["parts_withheld"] == 2

    asyncio.run(main())


def test_a_number_hidden_as_the_code_of_an_error_meets_the_patterns_too() -> None:
    async def main() -> None:
        world = World(redacting(r"\b4[0-9]{15}\b"))
        for code in (4111111111111111, 404):
            world.messages = [Fault(code, "no", None, "modern")]
            await world.called(nothing)
        assert world.refused == [(-32603, "no"), (404, "no")]

    asyncio.run(main())


async def nothing(world: World) -> None:
    """Goes on."""

"""A list is asked about in parts: where one part is refused for all, the others are given up and leave nothing behind."""

import asyncio
import json
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.errors import Undecided
from gateway.exchange.asking import ask_list
from gateway.exchange.draft import Draft
from gateway.exchange.memory import ListMemory
from gateway.exchange.parts import Ports
from gateway.model import Caller, ClientInfo, Identity, Resource, Subject
from gateway.policy.contract import VERSION_1
from gateway.policy.document import Question
from gateway.ports import Verdict

CALLER = Caller(Subject("user", Identity("urn:keys", "ada"), "api_key"), None, "127.0.0.1")


class Policy:
    """Refuses some questions, known by the name of their first item and their number of items, and never answers the others."""

    contract, revision = VERSION_1, "r1"

    def __init__(self, refused: dict[tuple[str, int], Undecided]) -> None:
        self._refused = refused
        self.asked: list[tuple[str, int]] = []
        self.given_up: list[tuple[str, int]] = []

    async def decide(self, document: bytes) -> Verdict:
        resources = json.loads(document)["input"]["resources"]
        question = resources[0]["public_name"], len(resources)
        self.asked.append(question)
        if question in self._refused:
            raise self._refused[question]
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up.append(question)
            raise
        raise AssertionError("never answered")

    def counted(self, **told: object) -> None:
        """Counted."""

    undecided = decision = counted


async def refusal(policy: Policy, draft: Draft, resources: list[Resource]) -> Undecided:
    """What a list of `resources` ends with."""
    parts = SimpleNamespace(decider=policy, meter=policy, memory=ListMemory(), list_turns=asyncio.Semaphore(4), questions=None)
    asked = Question(
        CALLER, "tools/list", "list", tuple(resources), "default", "2026-07-28", ClientInfo(), 0, "d", "x", trace_id=None
    )
    async with asyncio.timeout(10):
        with pytest.raises(Undecided) as raised:
            await ask_list(cast(Ports, parts), draft, asked)
    return raised.value


def tools(backend: str, count: int) -> list[Resource]:
    return [Resource("tool", f"{backend}__{number}", backend, str(number)) for number in range(count)]


def test_a_list_of_which_one_chunk_is_refused_gives_up_the_others() -> None:
    async def main() -> None:
        refused = Undecided("unreachable")
        refused.__cause__ = ConnectionError()
        policy, draft = Policy({("crm__1000", 200): refused}), Draft()
        assert await refusal(policy, draft, tools("crm", 1200)) is refused
        assert isinstance(refused.__cause__, ConnectionError)
        assert policy.asked == [("crm__0", 500), ("crm__500", 500), ("crm__1000", 200)]
        assert sorted(policy.given_up) == [("crm__0", 500), ("crm__500", 500)]
        assert (draft.decisions, [cause for _, _, cause in draft.undecided_by]) == ([], ["unreachable"])

    asyncio.run(main())


def test_a_chunk_that_is_asked_about_backend_by_backend_gives_up_the_others_too() -> None:
    async def main() -> None:
        refused = Undecided("unreachable")
        policy, draft = Policy({("crm__0", 5): Undecided("status"), ("git__0", 3): refused}), Draft()
        assert await refusal(policy, draft, tools("crm", 2) + tools("git", 3)) is refused
        assert policy.asked == [("crm__0", 5), ("crm__0", 2), ("git__0", 3)]
        assert policy.given_up == [("crm__0", 2)]
        assert (draft.decisions, [cause for _, _, cause in draft.undecided_by]) == ([], ["status", "unreachable"])

    asyncio.run(main())

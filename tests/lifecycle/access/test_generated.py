"""Over generated policies: a list shows exactly what a call finds, and what a table says of a persona is what its calls meet,
whatever the arguments, the time and the approvals.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.lifecycle.access.asked import open_parts, question
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.access.table import Moment, callable_when, table
from gateway.lifecycle.conditions.formula import negated
from gateway.lifecycle.conditions.opened import Opened, opened
from gateway.lifecycle.conditions.standing import standing
from gateway.lifecycle.explain.nearby import allowed
from gateway.lifecycle.repository import policy_source
from gateway.model import Decision, JsonObject
from gateway.policy import decision
from tests.lifecycle import made
from tools.binaries import find

WITHIN_S = 120.0
CALL = st.tuples(made.ARGUMENTS, made.MOMENTS, made.APPROVALS)
Call = tuple[dict[str, Any], int, list[JsonObject]]


def test_what_a_table_says_is_what_calls_meet_and_lists_show(tmp_path: Path) -> None:
    @settings(max_examples=3, deadline=None, phases=(Phase.generate,))
    @given(
        made.policies(),
        st.lists(made.PERSONAS, min_size=3, max_size=3),
        made.MOMENTS,
        st.lists(CALL, min_size=6, max_size=6),
    )
    def agrees(policy: made.Made, people: list[Persona], now_ns: int, calls: list[Call]) -> None:
        named = [_called(persona, f"p{at}") for at, persona in enumerate(people)]
        asyncio.run(_agree(made.written(tmp_path, policy), named, now_ns, calls))

    agrees()


def _called(persona: Persona, name: str) -> Persona:
    return Persona(**{**{field: getattr(persona, field) for field in persona.__struct_fields__}, "name": name})


async def _agree(repository: Path, people: Sequence[Persona], now_ns: int, calls: Sequence[Call]) -> None:
    async with asyncio.timeout(WITHIN_S), opened(find("opa"), policy_source(repository)) as policy:
        told = await table(policy, people, made.items(), Moment(now_ns))
        for persona in people:
            listed = await _said(policy, question(persona, made.items(), "list", now_ns), len(made.items()))
            for position, item in enumerate(made.items()):
                asked = question(persona, (item,), "request", now_ns)
                cell = told.cell(persona.name, item.id or "")
                if position in listed.visible:  # found for others who are alike, or for it alone: the same
                    assert cell == await callable_when(policy, asked)
                elif cell.access == "hidden":
                    assert set(cell.rules) == {rule for rule, positions in listed.hidden_by.items() if position in positions}
                shown = await _said(policy, {**asked, "arguments": calls[0][0]}, 1)
                assert (position in listed.visible) == (0 in shown.visible)
                for verb in ("granted_by", "hidden_by"):
                    said: list[Mapping[str, frozenset[int]]] = [getattr(listed, verb), getattr(shown, verb)]
                    assert {rule for rule, positions in said[0].items() if position in positions} == set(said[1])
                condition = (await standing(policy, asked, await open_parts(policy, asked))).allowed
                for arguments, time_ns, approvals in calls:
                    context: JsonObject = {**_context(asked), "time_ns": time_ns, "approvals": [*approvals]}
                    call: JsonObject = {**asked, "arguments": arguments, "context": context}
                    now = await allowed(policy, call)
                    assert cell.access != "unknown", cell
                    assert now or cell.access != "allowed"
                    assert not now or cell.access not in ("denied", "hidden")
                    try:
                        expected = made.holds(condition, call)
                        assert expected != made.holds(negated(condition), call)
                    except made.NotHere:
                        continue
                    assert now == expected, f"{cell} {call}"


async def _said(policy: Opened, asked: JsonObject, count: int) -> Decision:
    verdict = await policy.ask({"input": asked})
    return decision.read(verdict.result, asked=count, phase="list" if count > 1 else "request", revision="", decision_id="")


def _context(asked: JsonObject) -> JsonObject:
    context = asked["context"]
    assert isinstance(context, dict)
    return context

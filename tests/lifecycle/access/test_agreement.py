"""The condition that is told is the one by which calls are then decided, with whatever arguments."""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.lifecycle.access.asked import open_parts, question
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions import formula
from gateway.lifecycle.conditions.opened import opened
from gateway.lifecycle.conditions.standing import standing
from gateway.lifecycle.explain.nearby import allowed
from gateway.lifecycle.repository import policy_source
from tests.lifecycle import made
from tools.binaries import find

WITHIN_S = 120.0
ITEM = made.items()[0]
ACCESS = made.EXISTS.format(name=ITEM.backend, file="access", verb="allow", body="resource")
TESTS = tuple(test for test in made.CALLS if not re.search(r"count\(|\{approval", test))  # those that `made.holds` evaluates
GROUPS = st.sampled_from([("g",), ("h",), ()])


def test_a_call_is_allowed_just_when_its_condition_holds(tmp_path: Path) -> None:
    bodies, helpers = made.bodies((*TESTS, "_helper", "not _helper"), 3), made.bodies(TESTS, 1)

    @settings(max_examples=10, deadline=None, phases=(Phase.generate,))
    @given(bodies, helpers, st.lists(st.tuples(made.ARGUMENTS, GROUPS), min_size=12, max_size=12))
    def agrees(body: str, helper: str, calls: list[tuple[dict[str, Any], tuple[str, ...]]]) -> None:
        asyncio.run(_agree(tmp_path, body, helper, calls))

    agrees()


def test_what_is_said_of_every_element_is_not_told_of_one_that_is_among_them(tmp_path: Path) -> None:
    lists: list[dict[str, Any]] = [{}, *({"l": each} for each in ([], ["x"], ["y"], ["z", "x"], ["x", "x"]))]
    body = 'every each in input.arguments.l { each == "x" }'
    asyncio.run(_agree(tmp_path, body, "false", [(arguments, ()) for arguments in lists]))


async def _agree(folder: Path, body: str, helper: str, calls: Iterable[tuple[dict[str, Any], tuple[str, ...]]]) -> None:
    first = made.DENY.format(name=ITEM.backend, file="first", body=body, helper=helper)
    place = f"servers/{ITEM.backend}"
    repository = made.written(folder, made.Made({f"{place}/access.rego": ACCESS, f"{place}/first.rego": first}, {"version": 1}))
    async with asyncio.timeout(WITHIN_S), opened(find("opa"), policy_source(repository)) as policy:
        for arguments, groups in calls:
            asked = question(Persona(name="p", groups=groups), (ITEM,), "request", 1)
            told = (await standing(policy, asked, await open_parts(policy, asked))).allowed
            document = {**asked, "arguments": arguments}
            assert (
                await allowed(policy, document) == made.holds(told, document) == (not made.holds(formula.negated(told), document))
            )

"""Over generated policies: an explanation says what the decision says, and a way out that it names is one, taken by hand."""

import asyncio
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.lifecycle.access.asked import question
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions.opened import Opened, opened
from gateway.lifecycle.explain.answer import Explanation, explained
from gateway.lifecycle.explain.nearby import allowed
from gateway.lifecycle.repository import policy_source
from gateway.model import JsonObject
from gateway.policy import decision
from tests.lifecycle import made
from tools.binaries import find

WITHIN_S = 120.0
CASE = st.tuples(made.PERSONAS, st.sampled_from(made.items()), made.ARGUMENTS, made.MOMENTS, made.APPROVALS)
Case = tuple[Persona, Any, dict[str, Any], int, list[JsonObject]]
BACK = {"refused": "denials", "hid": "hidden_by", "granted": "granted_by", "waived": "waived", "observed": "observed"}


def test_an_explanation_says_what_the_decision_says_and_its_ways_out_are_ways_out(tmp_path: Path) -> None:
    taken: list[str] = []

    @settings(max_examples=2, deadline=None, derandomize=True, phases=(Phase.generate,))  # or no way out might be drawn
    @given(made.policies(), st.lists(CASE, min_size=8, max_size=8))
    def agrees(policy: made.Made, cases: list[Case]) -> None:
        taken.extend(asyncio.run(_agree(made.written(tmp_path, policy), cases)))

    agrees()
    assert taken


async def _agree(repository: Path, cases: Sequence[Case]) -> list[str]:
    taken = []
    async with asyncio.timeout(WITHIN_S), opened(find("opa"), policy_source(repository)) as policy:
        for persona, item, arguments, time_ns, approvals in cases:
            asked = question(persona, (item,), "request", time_ns)
            context = asked["context"]
            assert isinstance(context, dict)
            call: JsonObject = {**asked, "arguments": arguments, "context": {**context, "approvals": [*approvals]}}
            told = await explained(policy, call)
            await _same(policy, call, told)
            taken += await _ways_out(policy, call, told)
    return taken


async def _same(policy: Opened, call: JsonObject, told: Explanation) -> None:
    verdict = await policy.ask({"input": call})
    said = decision.read(verdict.result, asked=1, phase="request", revision="", decision_id="")
    for verb, back in BACK.items():
        spoken = sorted((each.rule, each.code) for each in told.said if each.verb == verb)
        raw = getattr(said, back)
        match verb:
            case "refused":
                assert spoken == sorted((each.rule, each.code) for each in raw)
            case "waived":
                assert spoken == sorted((each["rule"], each["code"]) for each in raw)
            case "observed":
                assert {rule for rule, _ in spoken} == set(raw)
            case _:
                assert {rule for rule, _ in spoken} == set(raw)
    assert (told.outcome == "allowed") == (await allowed(policy, call))
    assert (told.outcome == "hidden") == (0 not in said.visible)
    assert (told.outcome == "denied") == (0 in said.visible and 0 not in said.allowed)


async def _ways_out(policy: Opened, call: JsonObject, told: Explanation) -> list[str]:
    """Those that could be taken by what they say alone."""
    taken = []
    for change in told.changes:
        assert change.tried is not False
        changed = _taken(call, change.words)
        if change.tried and changed is not None:
            assert await allowed(policy, changed), f"{change} of {call}"
            taken.append(change.words)
    return taken


def _taken(call: JsonObject, words: str) -> JsonObject | None:
    """The call, changed as the words say; None: not in words that are understood here."""
    changed: Any = deepcopy(call)
    for said in words.split(" and "):
        match re.fullmatch(r'(not )?(group|scope) (\w+)|(agent\.id|subject\.claims\.tenant|arguments\.\w+) is "(\w+)"', said):
            case None:
                return None
            case found if found[2]:
                held = changed["subject"][f"{found[2]}s"]
                if found[1]:
                    held.remove(found[3])
                else:
                    held.append(found[3])
            case found:
                *path, last = found[4].split(".")
                place = changed
                for name in path:
                    place = place.setdefault(name, {})
                place[last] = found[5]
    return changed  # type: ignore[no-any-return]

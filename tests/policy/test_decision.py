"""Every answer that is not exactly an answer of contract version 1 is undecided."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Undecided
from gateway.model import Decision, Denial, Obligation
from gateway.policy.decision import MAX_ENTRIES, read
from tests.counting import calls

GOOD: dict[str, Any] = {
    "version": 1,
    "visible": [0],
    "allowed": [],
    "granted_by": {"servers/github/access": [0]},
    "hidden_by": {},
    "denials": [
        {
            "rule": "servers/github/merging",
            "code": "protected_branch",
            "message": "only release managers merge to {base}",
            "details": {"base": "main"},
            "scopes": ["github:write"],
        }
    ],
    "observed": {"org/trial": {"hide": [0]}},
    "waived": [{"rule": "org/old", "code": "x"}],
    "obligations": [{"rule": "org/credentials", "type": "redact", "code": "credential", "properties": {}, "positions": [0]}],
}
DENIAL: dict[str, Any] = {"rule": "r", "code": "c", "message": "m"}
DUTY: dict[str, Any] = {"rule": "r", "type": "audit", "code": "c", "properties": {}}


def decided(answer: Any, *, asked: int = 1) -> Decision:
    return read(answer, asked=asked, phase="request", revision="r1", decision_id="d1")


def test_a_proper_answer_is_read_whole() -> None:
    assert decided(GOOD) == Decision(
        visible=frozenset({0}),
        allowed=frozenset(),
        granted_by={"servers/github/access": (0,)},
        hidden_by={},
        denials=(
            Denial(
                "servers/github/merging",
                "protected_branch",
                "only release managers merge to {base}",
                {"base": "main"},
                ("github:write",),
            ),
        ),
        obligations=(Obligation("org/credentials", "redact", "credential", {}, frozenset({0})),),
        observed={"org/trial": {"hide": [0]}},
        waived=({"rule": "org/old", "code": "x"},),
        revision="r1",
        decision_id="d1",
    )


MALFORMED: dict[str, Any] = {
    "not an object: list": [],
    "not an object: true": True,
    "not an object: text": "allow",
    "empty": {},
    "version absent": {name: value for name, value in GOOD.items() if name != "version"},
    "version 2": {**GOOD, "version": 2},
    "version true": {**GOOD, "version": True},
    "version 1.0": {**GOOD, "version": 1.0},
    "version text": {**GOOD, "version": "1"},
    "version null": {**GOOD, "version": None},
    "unknown member": {**GOOD, "allow": True},
    **{f"{name} missing": {n: v for n, v in GOOD.items() if n != name} for name in GOOD if name != "version"},
    **{f"{name} null": {**GOOD, name: None} for name in GOOD if name != "version"},
    **{f"{name} true": {**GOOD, name: True} for name in GOOD if name != "version"},
    "visible an object": {**GOOD, "visible": {"0": True}},
    "position true": {**GOOD, "visible": [True]},
    "position false": {**GOOD, "visible": [False]},
    "position float": {**GOOD, "visible": [0.0]},
    "position text": {**GOOD, "visible": ["0"]},
    "position null": {**GOOD, "visible": [None]},
    "position list": {**GOOD, "visible": [[0]]},
    "position negative": {**GOOD, "visible": [-1]},
    "position too high": {**GOOD, "visible": [0, 1]},
    "position huge": {**GOOD, "visible": [2**70]},
    "position twice": {**GOOD, "visible": [0, 0]},
    "allowed not visible": {**GOOD, "visible": [], "allowed": [0]},
    "hidden and visible": {**GOOD, "hidden_by": {"org/hide": [0]}},
    "granted_by a list": {**GOOD, "granted_by": [0]},
    "granted_by out of range": {**GOOD, "granted_by": {"r": [1]}},
    "granted_by true": {**GOOD, "granted_by": {"r": True}},
    "granted_by without a name": {**GOOD, "granted_by": {"": [0]}},
    "denial text": {**GOOD, "denials": ["no"]},
    "denial empty": {**GOOD, "denials": [{}]},
    "denials too many": {**GOOD, "denials": [DENIAL] * (MAX_ENTRIES + 1)},
    **{f"denial without {name}": {**GOOD, "denials": [{n: v for n, v in DENIAL.items() if n != name}]} for name in DENIAL},
    **{f"denial with {name} number": {**GOOD, "denials": [{**DENIAL, name: 1}]} for name in DENIAL},
    **{f"denial with {name} empty": {**GOOD, "denials": [{**DENIAL, name: ""}]} for name in DENIAL},
    "denial with an unknown member": {**GOOD, "denials": [{**DENIAL, "position": 0}]},
    "denial details null": {**GOOD, "denials": [{**DENIAL, "details": None}]},
    "denial details list": {**GOOD, "denials": [{**DENIAL, "details": []}]},
    "denial scopes null": {**GOOD, "denials": [{**DENIAL, "scopes": None}]},
    "denial scopes empty": {**GOOD, "denials": [{**DENIAL, "scopes": []}]},
    "denial scopes text": {**GOOD, "denials": [{**DENIAL, "scopes": "a"}]},
    "denial scope empty": {**GOOD, "denials": [{**DENIAL, "scopes": [""]}]},
    "denial scope number": {**GOOD, "denials": [{**DENIAL, "scopes": [1]}]},
    "denial message endless": {**GOOD, "denials": [{**DENIAL, "message": "x" * 5_000}]},
    "observed verbs a list": {**GOOD, "observed": {"r": [0]}},
    "waived text": {**GOOD, "waived": ["x"]},
    "obligation text": {**GOOD, "obligations": ["audit"]},
    **{f"obligation without {name}": {**GOOD, "obligations": [{n: v for n, v in DUTY.items() if n != name}]} for name in DUTY},
    "obligation with an unknown member": {**GOOD, "obligations": [{**DUTY, "position": 0}]},
    "obligation type number": {**GOOD, "obligations": [{**DUTY, "type": 1}]},
    "obligation properties list": {**GOOD, "obligations": [{**DUTY, "properties": []}]},
    "obligation positions empty": {**GOOD, "obligations": [{**DUTY, "positions": []}]},
    "obligation positions null": {**GOOD, "obligations": [{**DUTY, "positions": None}]},
    "obligation positions true": {**GOOD, "obligations": [{**DUTY, "positions": [True]}]},
    "obligation positions out of range": {**GOOD, "obligations": [{**DUTY, "positions": [1]}]},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_answer_is_undecided_and_says_why(name: str) -> None:
    with pytest.raises(Undecided) as raised:
        decided(MALFORMED[name])
    assert raised.value.cause == "misshapen"
    assert raised.value.detail


def test_an_absent_answer_is_undefined_and_not_an_empty_decision() -> None:
    with pytest.raises(Undecided) as raised:
        decided(None)
    assert raised.value.cause == "undefined"


def test_denials_in_a_list_are_misshapen() -> None:
    with pytest.raises(Undecided) as raised:
        read(GOOD, asked=1, phase="list", revision="r", decision_id="d")
    assert raised.value.cause == "misshapen"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(sorted(GOOD)), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(GOOD)), json_values, st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_any_value_in_any_place_is_a_decision_or_undecided(member: str, value: Any, asked: int) -> None:
    try:
        read_whole = decided({**GOOD, member: value}, asked=asked)
    except Undecided:
        return
    assert read_whole.allowed <= read_whole.visible <= frozenset(range(asked))


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_any_json_at_all_is_undecided(value: Any) -> None:
    with pytest.raises(Undecided):
        decided(value)


def test_a_list_is_read_with_a_few_calls_for_each_item() -> None:
    def work(items: int) -> int:
        positions = list(range(items))
        answer = {
            **GOOD,
            "visible": positions,
            "allowed": positions,
            "denials": [],
            "granted_by": {"a": positions, "b": positions},
        }
        return calls(lambda: read(answer, asked=items, phase="list", revision="r", decision_id="d"))

    assert work(2_000) - work(1_000) <= 5_000

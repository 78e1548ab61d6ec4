"""Duties: understood to the letter or refused, per phase and position, and combined as the contract says."""

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Undecided
from gateway.model import Decision, Obligation, Phase
from gateway.policy.duty import Redaction
from gateway.policy.obligations import Approval, Carried, Duties, ListDuties, RateLimit, plan, plan_list


def decision(*obligations: Obligation) -> Decision:
    return Decision(frozenset({0}), frozenset({0}), {}, {}, (), obligations, {}, (), "r", "d")


def duty(type: str, properties: dict[str, Any], *positions: int, rule: str = "org/a", code: str = "c") -> Obligation:
    return Obligation(rule, type, code, properties, frozenset(positions) or None)


PATTERN = {"target": "result", "pattern": "x+", "action": "hash"}
POINTER = {"target": "arguments", "pointer": "/a/*", "action": "replace", "value": ["?"]}
ITEM = {"target": "item", "pointer": "/description", "action": "remove"}
LIMIT = {"key": "alice", "limit": 5, "period_s": 60}
HASHED = Redaction("org/a", "c", "result", None, "x+", None, "hash", None, None)
REPLACED = Redaction("org/a", "c", "arguments", "/a/*", None, None, "replace", ["?"], None)
REMOVED = Redaction("org/a", "c", "item", "/description", None, None, "remove", None, None)


def test_a_request_carries_out_every_type() -> None:
    asked = decision(
        duty("redact", PATTERN),
        duty("redact", POINTER),
        duty("rate_limit", LIMIT),
        duty("inspect_result", {}),
        duty("audit", {"level": "arguments"}),
        duty("require_approval", {"message": "sure?", "mode": "url", "ttl_s": 60, "approvers": ["bob"]}),
    )
    assert plan(asked, phase="request", position=0) == Duties(
        argument_redactions=(REPLACED,),
        result_redactions=(HASHED,),
        charges=(RateLimit("org/a:alice", 5, 60, 1),),
        inspect_result=True,
        audit_level="arguments",
        approvals_required=(Approval("org/a", "c", "sure?", {}),),
        carried=tuple(
            Carried("org/a", type, "c") for type in ("redact", "rate_limit", "inspect_result", "audit", "require_approval")
        ),
    )


def test_a_redaction_may_have_a_check_and_say_what_is_ours() -> None:
    asked = decision(
        duty("redact", {**PATTERN, "check": "luhn"}),
        duty("redact", {**PATTERN, "check": "foreign_address", "ours": ["example.com"]}, code="d"),
    )
    assert plan(asked, phase="request", position=0).result_redactions == (
        Redaction("org/a", "c", "result", None, "x+", None, "hash", None, None, "luhn"),
        Redaction("org/a", "d", "result", None, "x+", None, "hash", None, None, "foreign_address", ("example.com",)),
    )


@pytest.mark.parametrize("phase", ["list", "result"])
def test_a_duty_of_another_phase_is_ignored_and_hides_nothing(phase: Phase) -> None:
    asked = decision(
        duty("redact", POINTER),
        duty("rate_limit", {"key": 7}),
        duty("inspect_result", {"x": 1}),
        duty("require_approval", {}),
    )
    assert plan(asked, phase=phase, position=0) == Duties()
    assert plan_list(asked, asked=1) == ListDuties({}, "metadata", {}, ())


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown type": ("encrypt", {}),
    "type in capitals": ("Audit", {"level": "full"}),
    "redact without a target": ("redact", {"pattern": "x", "action": "hash"}),
    "redact with an unknown target": ("redact", {**PATTERN, "target": "headers"}),
    "redact with a list as target": ("redact", {**PATTERN, "target": ["result"]}),
    "redact without an action": ("redact", {"target": "result", "pattern": "x"}),
    "redact with an unknown action": ("redact", {**PATTERN, "action": "mask"}),
    "redact with neither": ("redact", {"target": "result", "action": "hash"}),
    "redact with both": ("redact", {**PATTERN, "pointer": "/a"}),
    "redact with a number as pattern": ("redact", {**PATTERN, "pattern": 1}),
    "redact with null as pattern": ("redact", {**PATTERN, "pattern": None}),
    "redact with an empty pattern": ("redact", {**PATTERN, "pattern": ""}),
    "redact with an endless pattern": ("redact", {**PATTERN, "pattern": "x" * 5_000}),
    "redact with a relative pointer": ("redact", {**POINTER, "pointer": "a/b"}),
    "redact with except but no pattern": ("redact", {**POINTER, "except": "x"}),
    "redact with an unknown check": ("redact", {**PATTERN, "check": "isbn"}),
    "redact with a check that is no text": ("redact", {**PATTERN, "check": ["luhn"]}),
    "redact with a check but no pattern": ("redact", {**POINTER, "check": "luhn"}),
    "redact with ours but no check": ("redact", {**PATTERN, "ours": []}),
    "redact with ours and another check": ("redact", {**PATTERN, "check": "luhn", "ours": []}),
    "redact with nothing said of ours": ("redact", {**PATTERN, "check": "foreign_address"}),
    "redact with ours that is no list": ("redact", {**PATTERN, "check": "foreign_address", "ours": "example.com"}),
    "redact with ours that holds no text": ("redact", {**PATTERN, "check": "foreign_address", "ours": [7]}),
    "redact with ours that holds nothing": ("redact", {**PATTERN, "check": "foreign_address", "ours": [""]}),
    "redact with too much of ours": ("redact", {**PATTERN, "check": "foreign_address", "ours": ["a.example"] * 1_001}),
    "redact with a value to remove": ("redact", {**PATTERN, "action": "remove", "value": "x"}),
    "redact with a huge value": ("redact", {**POINTER, "value": "x" * 5_000}),
    "redact with an unknown binary": ("redact", {**PATTERN, "binary": "drop"}),
    "redact with null as binary": ("redact", {**PATTERN, "binary": None}),
    "redact with an unknown property": ("redact", {**PATTERN, "patern": "x"}),
    "rate_limit without a key": ("rate_limit", {"limit": 5, "period_s": 60}),
    "rate_limit with an empty key": ("rate_limit", {**LIMIT, "key": ""}),
    "rate_limit with a number as key": ("rate_limit", {**LIMIT, "key": 1}),
    "rate_limit without a limit": ("rate_limit", {"key": "k", "period_s": 60}),
    "rate_limit of zero": ("rate_limit", {**LIMIT, "limit": 0}),
    "rate_limit of true": ("rate_limit", {**LIMIT, "limit": True}),
    "rate_limit of a float": ("rate_limit", {**LIMIT, "limit": 5.0}),
    "rate_limit of a text": ("rate_limit", {**LIMIT, "limit": "5"}),
    "rate_limit for no time": ("rate_limit", {**LIMIT, "period_s": 0}),
    "rate_limit for years": ("rate_limit", {**LIMIT, "period_s": 10**9}),
    "rate_limit with a negative weight": ("rate_limit", {**LIMIT, "weight": -1}),
    "rate_limit with null as weight": ("rate_limit", {**LIMIT, "weight": None}),
    "rate_limit with an unknown property": ("rate_limit", {**LIMIT, "burst": 1}),
    "inspect_result with a property": ("inspect_result", {"deep": True}),
    "audit without a level": ("audit", {}),
    "audit with an unknown level": ("audit", {"level": "all"}),
    "audit with an unknown property": ("audit", {"level": "full", "to": "x"}),
    "require_approval without a message": ("require_approval", {}),
    "require_approval with an unknown mode": ("require_approval", {"message": "m", "mode": "mail"}),
    "require_approval with details as text": ("require_approval", {"message": "m", "details": "x"}),
    "require_approval with ttl_s as text": ("require_approval", {"message": "m", "ttl_s": "60"}),
    "require_approval with approvers as text": ("require_approval", {"message": "m", "approvers": "bob"}),
    "require_approval with an unknown property": ("require_approval", {"message": "m", "ttl": 60}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_duty_that_is_not_understood_refuses_the_positions_it_names_and_no_others(name: str) -> None:
    type, properties = BAD[name]
    asked = decision(duty(type, properties, 1), duty("audit", {"level": "full"}))
    with pytest.raises(Undecided) as raised:
        plan(asked, phase="request", position=1)
    assert raised.value.cause == "unknown_duty"
    assert raised.value.detail
    full = Duties(audit_level="full", carried=(Carried("org/a", "audit", "c"),))
    assert plan(asked, phase="request", position=0) == full


def test_in_a_list_an_unknown_duty_costs_its_positions_only() -> None:
    asked = decision(duty("encrypt", {}, 1), duty("redact", ITEM, 0, 2), duty("audit", {"level": "arguments"}))
    assert plan_list(asked, asked=3) == ListDuties(
        item_redactions={0: (REMOVED,), 2: (REMOVED,)},
        audit_level="arguments",
        refused={1: "encrypt 'c' of org/a is of a type that this gateway does not know"},
        carried=(Carried("org/a", "redact", "c"), Carried("org/a", "audit", "c")),
    )


def test_on_a_refused_position_only_what_concerns_its_record_remains() -> None:
    asked = decision(
        duty("redact", POINTER), duty("rate_limit", LIMIT), duty("inspect_result", {}), duty("audit", {"level": "full"})
    )
    assert plan(asked, phase="request", position=0, refused=True) == Duties(
        argument_redactions=(REPLACED,),
        audit_level="full",
        carried=(Carried("org/a", "redact", "c"), Carried("org/a", "audit", "c")),
    )


def test_a_refused_position_whose_redaction_is_not_understood_is_recorded_as_metadata_only() -> None:
    asked = decision(duty("redact", {"target": "arguments"}), duty("audit", {"level": "full"}))
    assert plan(asked, phase="request", position=0, refused=True) == Duties(carried=(Carried("org/a", "audit", "c"),))


def test_only_the_same_rule_code_type_and_properties_merge() -> None:
    asked = decision(
        duty("rate_limit", LIMIT, 0),
        duty("rate_limit", dict(reversed(LIMIT.items())), 1),
        duty("rate_limit", LIMIT, rule="org/b"),
        duty("rate_limit", {**LIMIT, "limit": 6}),
        duty("rate_limit", {**LIMIT, "weight": 2}, code="d"),
    )
    assert plan(asked, phase="request", position=0).charges == (
        RateLimit("org/a:alice", 5, 60, 1),
        RateLimit("org/b:alice", 5, 60, 1),
        RateLimit("org/a:alice", 6, 60, 1),
        RateLimit("org/a:alice", 5, 60, 2),
    )


levels = st.sampled_from(["metadata", "arguments", "full"])


@given(st.lists(st.tuples(levels, st.sets(st.integers(0, 2), max_size=3)), max_size=6), st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_the_highest_audit_level_of_the_position_wins_in_any_order(said: list[tuple[str, set[int]]], position: int) -> None:
    order = ["metadata", "arguments", "full"]
    obligations = [duty("audit", {"level": level}, *positions) for level, positions in said]
    expected = max((order.index(level) for level, at in said if not at or position in at), default=0)
    for several in (obligations, obligations[::-1], obligations * 2):
        assert plan(decision(*several), phase="request", position=position).audit_level == order[expected]


names = st.sampled_from(["target", "pattern", "pointer", "action", "value", "level", "key", "limit"])
values = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=2)
types = st.sampled_from(["redact", "audit", "rate_limit", "inspect_result", "require_approval", "x"])


@given(st.dictionaries(names, values), types)
@settings(max_examples=200, deadline=None)
def test_any_properties_are_duties_or_undecided(properties: dict[str, Any], type: str) -> None:
    try:
        plan(decision(duty(type, properties)), phase="request", position=0)
    except Undecided as undecided:
        assert undecided.cause == "unknown_duty"


def calls_to_plan(count: int) -> int:
    """How many functions are called while `count` duties of one rule are planned."""
    several = [duty("redact", {**PATTERN, "pattern": f"p{number}"}, code=f"c{number}") for number in range(count)]
    called = 0

    def counted(frame: FrameType, event: str, arg: object) -> None:
        nonlocal called
        called += event in {"call", "c_call"}

    asked = decision(*several)
    sys.setprofile(counted)
    try:
        duties = plan(asked, phase="request", position=0)
    finally:
        sys.setprofile(None)
    assert [each.pattern for each in duties.result_redactions] == [f"p{number}" for number in range(count)]
    assert len(duties.carried) == count
    return called


def test_twice_the_duties_are_twice_the_work() -> None:
    assert calls_to_plan(200) < 2.5 * calls_to_plan(100)


def test_of_duties_that_come_to_the_same_one_is_owed() -> None:
    asked = decision(
        duty("rate_limit", LIMIT),
        duty("rate_limit", {**LIMIT, "weight": 1}),
        duty("rate_limit", LIMIT, code="d"),
    )
    assert plan(asked, phase="request", position=0) == Duties(
        charges=(RateLimit("org/a:alice", 5, 60, 1),),
        carried=(Carried("org/a", "rate_limit", "c"), Carried("org/a", "rate_limit", "d")),
    )


def test_a_redaction_that_is_owed_before_and_after_is_carried_out_once() -> None:
    before = Duties(argument_redactions=(REPLACED,), result_redactions=(HASHED,))
    after = Duties(result_redactions=(HASHED, REMOVED), inspect_result=True, audit_level="full")
    assert before.with_result(after) == Duties((REPLACED,), (HASHED, REMOVED), inspect_result=True, audit_level="full")

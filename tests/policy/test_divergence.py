"""What a second policy would have done otherwise, kind by kind, and whose words make the difference."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Decision, Denial, Obligation
from gateway.policy.divergence import Divergence, divergences

GRANTS = {"servers/crm/access": (0,)}
DENIAL = Denial("org/destructive", "destructive", "not you")
OTHER = Denial("servers/crm/changes", "locked", "not now")
DUTY = Obligation("org/audit", "audit", "changes", {"level": "arguments"})
NOTHING = Decision(frozenset(), frozenset(), {}, {}, (), (), {}, (), "r", "d")


def allowed(*duties: Obligation) -> Decision:
    return replace(NOTHING, visible=frozenset({0}), allowed=frozenset({0}), granted_by=GRANTS, obligations=duties)


def denied(*denials: Denial) -> Decision:
    return replace(NOTHING, visible=frozenset({0}), granted_by=GRANTS, denials=denials)


HIDDEN = replace(NOTHING, granted_by=GRANTS, hidden_by={"org/reviewed": (0,)})


@pytest.mark.parametrize(
    ("live", "candidate", "expected"),
    [
        pytest.param(allowed(), allowed(), [], id="the_same"),
        pytest.param(allowed(), denied(DENIAL), [("newly-denied", ("org/destructive destructive",))], id="denied"),
        pytest.param(denied(DENIAL), allowed(), [("newly-allowed", ("org/destructive destructive",))], id="allowed"),
        pytest.param(
            denied(DENIAL),
            denied(DENIAL, OTHER),
            [("changed-denials", ("servers/crm/changes locked",))],
            id="denied_for_more_reasons",
        ),
        pytest.param(
            allowed(),
            HIDDEN,
            [("newly-hidden", ("org/reviewed (hide)",)), ("newly-denied", ("org/reviewed (hide)",))],
            id="hidden",
        ),
        pytest.param(
            NOTHING,
            allowed(),
            [("newly-shown", ("servers/crm/access (allow)",)), ("newly-allowed", ("servers/crm/access (allow)",))],
            id="granted",
        ),
        pytest.param(denied(DENIAL), HIDDEN, [("newly-hidden", ("org/reviewed (hide)",))], id="denied_becomes_hidden"),
        pytest.param(allowed(), allowed(DUTY), [("changed-duties", ("org/audit changes",))], id="another_duty"),
        pytest.param(
            allowed(DUTY),
            allowed(replace(DUTY, properties={"level": "full"})),
            [("changed-duties", ("org/audit changes",))],
            id="another_property",
        ),
        pytest.param(
            allowed(),
            replace(denied(DENIAL), obligations=(DUTY,)),
            [("newly-denied", ("org/destructive destructive",))],
            id="duties_of_a_refusal_do_not_count",
        ),
    ],
)
def test_a_call_judged_otherwise_is_told_by_kind_and_rule(
    live: Decision, candidate: Decision, expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = divergences(live, candidate, asked=1, phase="request")
    assert [(each.kind, each.rules) for each in found] == expected


def test_a_lists_items_are_gathered_by_what_hides_them() -> None:
    live = replace(NOTHING, visible=frozenset(range(4)), granted_by={"servers/crm/access": (0, 1, 2, 3)})
    candidate = replace(
        live, visible=frozenset({0}), hidden_by={"org/reviewed": (1, 2)}, granted_by={"servers/crm/access": (0, 1, 2)}
    )
    assert divergences(live, candidate, asked=4, phase="list") == (
        Divergence("newly-hidden", ("org/reviewed (hide)",), (1, 2)),
        Divergence("newly-hidden", ("servers/crm/access (allow)",), (3,)),
    )


DECISIONS = st.builds(
    lambda seen, may, denials, duties: replace(
        NOTHING,
        visible=frozenset(seen),
        allowed=frozenset(may & seen) if not denials else frozenset(),
        granted_by={"servers/crm/access": tuple(sorted(seen))},
        denials=denials,
        obligations=duties,
    ),
    st.sets(st.just(0)),
    st.sets(st.just(0)),
    st.sampled_from([(), (DENIAL,), (OTHER,), (DENIAL, OTHER)]),
    st.sampled_from([(), (DUTY,)]),
)


@settings(max_examples=200)
@given(DECISIONS, DECISIONS)
def test_the_other_way_round_it_is_the_opposite_and_alike_is_nothing(live: Decision, candidate: Decision) -> None:
    opposite = {"newly-allowed": "newly-denied", "newly-denied": "newly-allowed"}
    opposite |= {"newly-hidden": "newly-shown", "newly-shown": "newly-hidden"}
    there = {each.kind for each in divergences(live, candidate, asked=1, phase="request")}
    back = {each.kind for each in divergences(candidate, live, asked=1, phase="request")}
    assert {opposite.get(kind, kind) for kind in there} == back
    assert divergences(live, live, asked=1, phase="request") == ()

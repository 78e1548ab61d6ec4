"""Whose is whose: a caller's key is another's only where everything in it is the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Caller, Identity, Subject

ANN = Caller(Subject("user", Identity("https://id.example", "ann"), "jwt"), "desk", "192.0.2.1")
ROBOT = Identity("https://id.example", "robot")

names = st.text(alphabet="a:1-\x1f", max_size=3)
identities = st.builds(Identity, names, names)


def acting(*actors: Identity) -> Caller:
    return replace(ANN, subject=replace(ANN.subject, actors=actors))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(acting(ROBOT), id="who has somebody acting for her"),
        pytest.param(acting(ROBOT, ROBOT), id="with a longer chain of them"),
        pytest.param(acting(replace(ROBOT, issuer="https://other.example")), id="with an actor of another issuer"),
        pytest.param(replace(ANN, agent_id=None), id="without an agent"),
        pytest.param(replace(ANN, agent_id=""), id="with an agent without a name"),
    ],
)
def test_nobody_shares_a_key_with_a_caller_for_whom_others_act(other: Caller) -> None:
    keys = [each.key for each in (ANN, other, acting(Identity("https://other.example", "actor")))]
    assert len(set(keys)) == len(keys)


@given(
    st.lists(
        st.tuples(identities, st.one_of(st.none(), names), st.lists(identities, max_size=2).map(tuple)),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_no_id_makes_two_callers_keys_equal(
    both: list[tuple[Identity, str | None, tuple[Identity, ...]]],
) -> None:
    one, other = (
        replace(ANN, agent_id=agent, subject=replace(ANN.subject, identity=identity, actors=actors))
        for identity, agent, actors in both
    )
    assert one.key != other.key

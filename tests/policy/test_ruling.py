"""What a decision means for one item. Whatever is not a plain permission is none."""

from typing import Literal

import pytest

from gateway.errors import Undecided
from gateway.model import Decision, Denial, Obligation
from gateway.policy.obligations import Duties
from gateway.policy.ruling import Permitted, Refused, StepUp, Unseen, ruling

DENIAL = Denial("org/a", "no", "not today")
WRITE = Denial("servers/github/x", "scope", "needs more", scopes=("github:write",))
ADMIN = Denial("servers/github/y", "scope", "needs more", scopes=("github:admin", "github:write"))


def decision(*denials: Denial, visible: bool = True, allowed: bool = True, duties: tuple[Obligation, ...] = ()) -> Decision:
    seen, may = frozenset({0} if visible else ()), frozenset({0} if allowed else ())
    return Decision(seen, may, {}, {}, denials, duties, {}, (), "r", "d")


def ruled(said: Decision, *scopes: str, phase: Literal["request", "result"] = "request") -> object:
    return ruling(said, phase=phase, scopes=scopes)


def test_allowed_without_denials_is_permitted() -> None:
    assert ruled(decision()) == Permitted(Duties())


def test_an_invisible_item_is_unseen_whatever_denials_and_duties_say() -> None:
    unknown = Obligation("org/a", "encrypt", "c", {})
    assert ruled(decision(WRITE, visible=False, allowed=False, duties=(unknown,))) == Unseen(Duties())


def test_any_denial_refuses_whatever_allowed_says() -> None:
    assert ruled(decision(DENIAL, allowed=True)) == Refused((DENIAL,), Duties())


def test_denials_that_all_carry_missing_scopes_ask_for_their_union() -> None:
    assert ruled(decision(WRITE, ADMIN, allowed=False)) == StepUp(("github:write", "github:admin"), (WRITE, ADMIN), Duties())


def test_one_denial_without_scopes_makes_more_scopes_useless() -> None:
    assert ruled(decision(WRITE, DENIAL, allowed=False)) == Refused((WRITE, DENIAL), Duties())


def test_scopes_that_the_token_holds_already_are_not_asked_for_again() -> None:
    assert ruled(decision(WRITE, allowed=False), "github:write") == Refused((WRITE,), Duties())


def test_after_the_call_more_scopes_are_not_asked_for() -> None:
    assert ruled(decision(WRITE, allowed=False), phase="result") == Refused((WRITE,), Duties())


def test_not_allowed_without_a_reason_is_undecided() -> None:
    with pytest.raises(Undecided) as raised:
        ruled(decision(allowed=False))
    assert raised.value.cause == "misshapen"


def test_unknown_duty_is_undecided_and_not_permitted() -> None:
    with pytest.raises(Undecided) as raised:
        ruled(decision(duties=(Obligation("org/a", "encrypt", "c", {}),)))
    assert raised.value.cause == "unknown_duty"


def test_a_demanded_approval_is_a_refusal_that_says_so() -> None:
    demand = Obligation("org/a", "require_approval", "confirm", {"message": "Merge {number}?", "details": {"number": 7}})
    text = "the policy demands an approval that this gateway cannot ask for yet: Merge {number}?"
    assert ruled(decision(duties=(demand,))) == Refused((Denial("org/a", "confirm", text, {"number": 7}),), Duties())

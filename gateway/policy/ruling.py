"""What a decision means for the one item of a request or result. Not granted, not explained, not understood: not permitted."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.errors import Undecided
from gateway.model import Decision, Denial
from gateway.policy.obligations import Duties, approval_denials, plan


@dataclass(frozen=True, slots=True)
class Unseen:
    """To be answered exactly as if there were no such item. The duties concern the record only."""

    duties: Duties


@dataclass(frozen=True, slots=True)
class Refused:
    """Visible, but not now or not so. The duties concern the record only."""

    denials: tuple[Denial, ...]
    duties: Duties


@dataclass(frozen=True, slots=True)
class StepUp:
    """Granted, and a token with these scopes would not have been refused."""

    scopes: tuple[str, ...]
    denials: tuple[Denial, ...]
    duties: Duties


@dataclass(frozen=True, slots=True)
class Permitted:
    """To be carried out under these duties, all of which are understood."""

    duties: Duties


Ruling: TypeAlias = Unseen | Refused | StepUp | Permitted


def ruling(decision: Decision, *, phase: Literal["request", "result"], scopes: Collection[str]) -> Ruling:
    """The ruling on position 0. Raises `Undecided`: a duty was not understood, or a refusal says no reason.

    `scopes` are the token's own. Order: invisible, then any denial (whatever `allowed` says), then not allowed, then the duties.
    """
    if 0 not in decision.visible:
        return Unseen(plan(decision, phase=phase, position=0, refused=True))
    if decision.denials:
        duties = plan(decision, phase=phase, position=0, refused=True)
        wanted = _missing_scopes(decision.denials, scopes)
        if wanted and phase == "request":
            return StepUp(wanted, decision.denials, duties)
        return Refused(decision.denials, duties)
    if 0 not in decision.allowed:
        raise Undecided("misshapen", "the item is visible, not allowed, and no denial says why")
    duties = plan(decision, phase=phase, position=0)
    demanded = approval_denials(duties)
    if demanded:
        return Refused(demanded, plan(decision, phase=phase, position=0, refused=True))
    return Permitted(duties)


def _missing_scopes(denials: tuple[Denial, ...], held: Collection[str]) -> tuple[str, ...]:
    """The union of the denials' scopes; empty when one denial asks for none that the token lacks: more would not help."""
    if any(all(scope in held for scope in denial.scopes) for denial in denials):
        return ()
    return tuple(dict.fromkeys(scope for denial in denials for scope in denial.scopes))

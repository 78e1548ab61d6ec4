"""A condition as a value: tests joined by and, or, not. Exact: what could not be read is kept as it stands in Rego."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from gateway.model import JsonObject


@dataclass(frozen=True, slots=True)
class Always:
    """True or false, whatever is asked."""

    holds: bool


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison or call on terms of OPA's syntax tree; `given`: the one term is there, `true`: and is not false."""

    op: str
    terms: tuple[JsonObject, ...]
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Some:
    """There is an element for which `of` holds; where not `holds`, there is none."""

    of: "Formula"
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Opaque:
    """Rego that is not taken apart: it can be shown, and neither tried nor put into words."""

    rego: str
    holds: bool = True


@dataclass(frozen=True, slots=True)
class All:
    of: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    of: "tuple[Formula, ...]"


Formula: TypeAlias = Always | Test | Some | Opaque | All | Any

MAX_COMPARED = 32  # parts of one condition, each with all others
TRUE, FALSE = Always(True), Always(False)
RULED = "ruled"
"""The test that stands for all that a package asks: its name, a digest of what it asks, whether it asks who is asking, and with
which verb it speaks where it holds.
"""


def both(parts: Iterable[Formula]) -> Formula:
    """All of `parts`, flat, each said once."""
    kept: dict[str, Formula] = {}
    for part in parts:
        if part == FALSE:
            return FALSE
        for each in part.of if isinstance(part, All) else (part,):
            if each != TRUE:
                kept.setdefault(repr(each), each)
    if any(repr(negated(each)) in kept for each in kept.values() if isinstance(each, Test | Opaque | Some)):
        return FALSE
    left = _without_wider(kept)
    return left[0] if len(left) == 1 else All(left) if left else TRUE


def _without_wider(kept: Mapping[str, Formula]) -> tuple[Formula, ...]:
    """`a and (a or b)` is `a`."""
    if len(kept) > MAX_COMPARED or not any(isinstance(part, Any) for part in kept.values()):
        return tuple(kept.values())
    ways = {name: {repr(each) for each in part.of} if isinstance(part, Any) else {name} for name, part in kept.items()}
    return tuple(part for name, part in kept.items() if not any(one < ways[name] for one in ways.values()))


def either(parts: Iterable[Formula]) -> Formula:
    """Any of `parts`, flat, each said once."""
    return negated(both(negated(part) for part in parts))


def negated(formula: Formula) -> Formula:
    match formula:
        case Always() | Test() | Some() | Opaque():
            return replace(formula, holds=not formula.holds)
        case All(of):
            return Any(tuple(negated(each) for each in of))
        case Any(of):
            return both(negated(each) for each in of)


def leaves(formula: Formula) -> Iterator[Test | Opaque]:
    """Every test in it, those about elements included; `holds` as it stands there."""
    waiting: list[Formula] = [formula]
    while waiting:
        part = waiting.pop()
        match part:
            case Test() | Opaque():
                yield part
            case Some(of, holds):
                waiting.append(of if holds else negated(of))
            case All(of) | Any(of):
                waiting.extend(reversed(of))
            case Always():
                pass

"""Why no rule grants an item: for each rule that could, what of who asks, and when, would have made it speak."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.lifecycle.conditions.formula import FALSE, RULED, Formula, Test, both, either, leaves
from gateway.lifecycle.conditions.opened import LIBRARY, Opened
from gateway.lifecycle.conditions.rules import Package
from gateway.lifecycle.conditions.standing import backend_of, observing, organisation_grants, ways
from gateway.lifecycle.conditions.words import words
from gateway.lifecycle.explain.nearby import changed, disjuncts
from gateway.model import JsonObject

WHO = ("input.subject", "input.agent", "input.context")
MAX_TRIED = 16
UNSAID = "some (whom, is read in the rule)"


@dataclass(frozen=True, slots=True)
class Ungranted:
    """A rule that did not grant it, and of what it lacked the least."""

    package: Package
    when: str


async def ungranted(policy: Opened, given: JsonObject) -> tuple[Ungranted, ...]:
    """Rules that grant this item to nobody are left out. Raises `Undecided`."""
    backend = backend_of(given)
    if backend is None:
        return ()
    silent = await observing(policy, given, ())
    counted = await organisation_grants(policy, backend)
    left: dict[str, list[Formula]] = {}
    for rule, way in await ways(policy, given, WHO, backend, "allow"):
        if rule not in silent and (counted or not rule.startswith("org/")):
            left.setdefault(rule, []).append(way.condition)
    return tuple(_told(policy, given, left))


async def granted_to_nobody(policy: Opened, given: JsonObject) -> bool:
    """Whether it is known that no rule, observing or not, grants this item to anybody at any time. Raises `Undecided`."""
    backend = backend_of(given)
    if backend is None or any(way.condition != FALSE for _, way in await ways(policy, given, WHO, backend, "allow")):
        return False
    # A request that somebody thinks of has none of what a definition says of itself, and that may be what a grant asks.
    named = {package.file for package in policy.rules.about(backend, "allow")}
    texts = policy.copy.texts.items()
    return not any(b"annotations" in text for name, text in texts if name in named or name.startswith(LIBRARY))


def _told(policy: Opened, given: JsonObject, left: dict[str, list[Formula]]) -> Iterator[Ungranted]:
    for rule, conditions in left.items():
        condition = either(conditions)
        package = policy.rules.packages.get(rule)
        if condition != FALSE and package is not None:
            named = any(isinstance(leaf, Test) and leaf.op == RULED for leaf in leaves(condition))
            yield Ungranted(package, UNSAID if named else words(either(_lacking(given, condition))))


def _lacking(given: JsonObject, condition: Formula) -> Iterator[Formula]:
    """Of each way to a grant what does not hold now."""
    for at, literals in enumerate(disjuncts(condition)):
        if at == MAX_TRIED:
            return
        yield both(changed(given, literals)[1])

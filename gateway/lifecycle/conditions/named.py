"""Rules that are told by their name: that one refuses, or grants, where what OPA leaves of it is more than anybody reads.

A name stands for all that the rule asks, so with it nothing is lost and nothing is claimed: what it asks is read in the rule.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import RULED, All, Formula, Opaque, Some, Test, both, leaves, negated
from gateway.lifecycle.conditions.opened import Opened
from gateway.lifecycle.conditions.residue import Residue
from gateway.lifecycle.conditions.rules import REFUSING, Package
from gateway.lifecycle.conditions.words import fits, words
from gateway.model import JsonObject

MADE = "data.partial."  # rules that OPA made of others for what is left of them: no reader has them
WHO = frozenset({"subject", "agent"})


async def by_name(policy: Opened, given: JsonObject, package: Package, verb: str) -> Test:
    """That it speaks with this verb."""
    resources = given.get("resources")
    item = resources[0] if isinstance(resources, list) and resources and isinstance(resources[0], dict) else {}
    ground = await policy.ground(package.file, item)
    personal = package.personal or verb not in REFUSING  # of other verbs it is not known
    return Test(RULED, tuple(terms.term(each) for each in (package.name, ground, personal, verb)))


async def legible(policy: Opened, given: JsonObject, rule: str, way: Residue, verb: str) -> Residue:
    """By its rule's name where it hangs on rules that OPA made. What is asked of who asks stays beside it: it follows from the
    name, and can be tried.
    """
    package = policy.rules.packages.get(rule)
    if package is None or not _made(way.condition):
        return way
    parts = way.condition.of if isinstance(way.condition, All) else (way.condition,)
    kept = (part for part in parts if _of_who_asks(part) and not _made(part))
    return replace(way, condition=both((*kept, await by_name(policy, given, package, verb))))


async def unrefused(
    policy: Opened, given: JsonObject, rest: Formula, refusals: Sequence[tuple[str, Formula]], verb: str
) -> Formula:
    """`rest`, and that no rule refuses (`refusals`: rule, condition); by name those of which most is left, until all is said."""
    said: dict[str, Formula] = {}
    for rule, condition in refusals:
        said[rule] = both((said[rule], negated(condition))) if rule in said else negated(condition)
    for rule in sorted(said, key=lambda name: len(words(said[name])), reverse=True):
        if fits(both((rest, *said.values()))):
            break
        if (package := policy.rules.packages.get(rule)) is not None:
            said[rule] = negated(await by_name(policy, given, package, verb))
    return both((rest, *said.values()))


def _made(formula: Formula) -> bool:
    """Whether it hangs on a rule that OPA made."""
    return any(
        MADE in leaf.rego if isinstance(leaf, Opaque) else any(terms.made(term) for term in leaf.terms)
        for leaf in leaves(formula)
    )


def _of_who_asks(formula: Formula) -> bool:
    if isinstance(formula, Some):
        return False
    paths = [path for leaf in leaves(formula) if isinstance(leaf, Test) for term in leaf.terms for path in terms.prefixes(term)]
    return bool(paths) and all(path[:1] and path[0] in WHO for path in paths)

"""When one request is allowed, as a condition on what is left open: grants, less what hides, less what refuses.

The entrypoint's own rule (`policies/mcp/authz.rego`), put together from what each verb still hangs on. Rules that only observe
and refusals that a waiver covers have no effect in it, just as there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.errors import Undecided
from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import FALSE, TRUE, Formula, Opaque, Test, both, either, negated
from gateway.lifecycle.conditions.named import by_name, legible
from gateway.lifecycle.conditions.opened import LONG_CHARS, Opened
from gateway.lifecycle.conditions.residue import Residue
from gateway.lifecycle.conditions.rules import REFUSING, Package
from gateway.model import Json, JsonObject

OF_THE_CALL = (
    "input.arguments",
    "input.arguments_valid",
    "input.unknown_arguments",
    "input.context.time_ns",
    "input.context.approvals",
)
"""What differs from call to call of the same subject and item; with `input.extracted` where something is declared for it."""

ORGANISATION = "org"
GROUPS = "input.subject.groups"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to be refused."""

    rule: str
    code: str
    scopes: tuple[str, ...]
    condition: Formula


@dataclass(frozen=True, slots=True)
class Standing:
    """On what it hangs that something exists, and that it is not refused."""

    granted: Formula
    hidden: Formula
    refusals: tuple[Refusal, ...]

    @property
    def allowed(self) -> Formula:
        return both((self.visible, self.unrefused))

    @property
    def visible(self) -> Formula:
        return both((self.granted, negated(self.hidden)))

    @property
    def unrefused(self) -> Formula:
        return both(negated(refusal.condition) for refusal in self.refusals)


async def standing(policy: Opened, given: JsonObject, unknowns: Sequence[str], *, blocked: bool = False) -> Standing:
    """For the one item of `given` (an input). `blocked`: the facts hide it. Raises `Undecided`."""
    backend = backend_of(given)
    if backend is None:
        return Standing(FALSE, FALSE, ())
    verb = "withhold" if "result" in given else "deny"
    granted, hidden = await existence(policy, given, unknowns, backend)
    return Standing(granted, TRUE if blocked else hidden, await refusals(policy, given, unknowns, backend, verb))


async def existence(policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str) -> tuple[Formula, Formula]:
    """On what it hangs that the item is granted, and that a rule hides it."""
    silent = await observing(policy, given, unknowns)
    grants = await ways(policy, given, unknowns, backend, "allow")
    counted = await organisation_grants(policy, backend)
    heard = [(rule, way) for rule, way in grants if counted or not rule.startswith("org/")]
    hides = await ways(policy, given, unknowns, backend, "hide")
    return either(_enforced(rule, way, silent) for rule, way in heard), either(
        _enforced(rule, way, silent) for rule, way in hides
    )


async def refusals(
    policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str, verb: str = "deny"
) -> tuple[Refusal, ...]:
    """Every way in which this may still be refused; where rules observe or are waived they have no effect."""
    silent = await observing(policy, given, unknowns)
    found = []
    for rule, way in await ways(policy, given, unknowns, backend, verb):
        condition = _enforced(rule, way, silent)
        if condition != FALSE:
            condition = both((condition, negated(await waived(policy, given, unknowns, rule))))
        if condition != FALSE:
            code, scopes = way.member("said", "code"), way.member("said", "scopes")
            found.append(Refusal(rule, code if isinstance(code, str) else "", _texts(scopes), condition))
    return tuple(found)


def _enforced(rule: str, way: Residue, silent: Mapping[str, Formula]) -> Formula:
    return both((way.condition, negated(silent[rule]))) if rule in silent else way.condition


async def ways(
    policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str, verb: str, saying: str = ""
) -> list[tuple[str, Residue]]:
    """Each way in which a rule of the organisation or of the backend can still say `verb` about position 0.

    `saying`: only of packages that have this text in them. A package of whose refusals too much is left is one way, by its
    name: what it asks is read in the rule. So is what hangs on rules that OPA made.
    """
    policy.check_version()
    found = []
    for author in (ORGANISATION, f"servers.{backend}"):
        about = (each for each in policy.rules.about(backend, verb) if not saying or saying in each.says)
        packages = [each for each in about if each.reference.startswith(f"data.mcp.{author}.")]
        long = [each for each in packages if (each.reference, verb) in policy.long]
        if short := [each for each in packages if each not in long]:
            found += await _together(policy, given, unknowns, short, verb)
        found += [(package.name, Residue({}, await by_name(policy, given, package, verb))) for package in long]
    return [(rule, await legible(policy, given, rule, way, verb)) for rule, way in found]


async def shapes(policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str, verb: str) -> list[str]:
    """Of each package that is told by its name: the same for items of which it asks the same. Raises `Undecided`."""
    long = (each for each in policy.rules.about(backend, verb) if (each.reference, verb) in policy.long)
    return [f"{each.name} {await policy.shape(f'{each.reference}.{_head(verb)}', given, unknowns)}" for each in long]


async def _together(
    policy: Opened, given: JsonObject, unknowns: Sequence[str], packages: Sequence[Package], verb: str
) -> list[tuple[str, Residue]]:
    """Of packages of one author, in one question where that can be."""
    alone = [each for each in packages if any(kept.startswith(f"{each.reference}.") for kept in policy.rules.kept_whole)]
    others = [each for each in packages if each not in alone]
    found = []
    if others:
        author, *_ = others[0].reference.rpartition(".")
        names = msgspec.json.encode([each.reference.rpartition(".")[2] for each in others]).decode()
        try:
            partial = await policy.partial(f"rule = {names}[_]; {author}[rule].{_head(verb)}", given, unknowns)
        except Undecided:  # one rule that OPA cannot evaluate in part hides the others: each is asked by itself
            alone += others
        else:
            if verb in REFUSING and partial.chars > LONG_CHARS and policy.unweighed(f"{verb} {names}"):
                alone += others
            else:
                prefix = author.removeprefix("data.mcp.").replace(".", "/")
                found += [(f"{prefix}/{way.text('rule')}", way) for way in partial.ways]
    return found + [each for package in alone for each in await _alone(policy, given, unknowns, package, verb)]


async def _alone(
    policy: Opened, given: JsonObject, unknowns: Sequence[str], package: Package, verb: str
) -> list[tuple[str, Residue]]:
    """Of one package; where too much of its refusals is left, that is noted."""
    try:
        partial = await policy.partial(f"{package.reference}.{_head(verb)}", given, unknowns)
    except Undecided:
        return [(package.name, Residue({}, Opaque(f"{package.reference}.{verb}")))]
    if verb in REFUSING and partial.chars > LONG_CHARS:
        policy.long.add((package.reference, verb))
        return [(package.name, Residue({}, await by_name(policy, given, package, verb)))]
    return [(package.name, way) for way in partial.ways]


def _head(verb: str) -> str:
    return f"{verb}[0]" if verb in ("allow", "hide") else f"{verb}[said]"


async def organisation_grants(policy: Opened, backend: str) -> bool:
    """Whether a grant by the organisation counts for this backend."""
    return backend in _texts(await policy.value("mcp/authz/exceptions/open_to_organisation"))


async def observing(policy: Opened, given: JsonObject, unknowns: Sequence[str]) -> Mapping[str, Formula]:
    """The rules that only observe, and on which groups that hangs where groups are not known."""
    if not any(name == GROUPS or GROUPS.startswith(f"{name}.") for name in unknowns):
        subject = given.get("subject")
        groups = subject.get("groups") if isinstance(subject, dict) else None
        told = await policy.value("mcp/authz/exceptions/observing", {"subject": {"groups": groups or []}})
        return dict.fromkeys(_texts(told), TRUE)
    rules = await policy.value("mcp/facts/rules")
    said = {rule: _observes(one) for rule, one in rules.items() if isinstance(one, dict)} if isinstance(rules, dict) else {}
    return {rule: condition for rule, condition in said.items() if condition != FALSE}


def _observes(said: JsonObject) -> Formula:
    """As `mcp.authz.exceptions` has it."""
    if said.get("enforcement") == "observe":
        return negated(_in_any(said.get("enforce_groups")))
    return _in_any(said.get("observe_groups"))


def _in_any(groups: Json) -> Formula:
    held: list[Json] = [{"type": "var", "value": "input"}, *(terms.term(name) for name in GROUPS.split(".")[1:])]
    return either(Test("internal.member_2", (terms.term(group), {"type": "ref", "value": held})) for group in _texts(groups))


async def waived(policy: Opened, given: JsonObject, unknowns: Sequence[str], rule: str) -> Formula:
    """When a reviewed waiver covers refusals of `rule` for this subject and item: waivers end."""
    if not await policy.value("mcp/facts/waivers"):
        return FALSE
    query = f'data.mcp.authz.exceptions.waived({{"rule": "{rule}", "code": "any"}})'
    return (await policy.partial(query, given, unknowns)).condition


def backend_of(given: JsonObject) -> str | None:
    resources = given.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    backend = first.get("backend") if isinstance(first, dict) else None
    return backend if isinstance(backend, str) else None


def _texts(said: Json) -> tuple[str, ...]:
    return tuple(each for each in said if isinstance(each, str)) if isinstance(said, list) else ()

"""When one request is allowed, as a condition on what is left open: grants, less what hides, less what refuses.

The entrypoint's own rule (`policies/mcp/authz.rego`), put together from what each verb still hangs on. Rules that only observe
and refusals that a waiver covers have no effect in it, just as there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import Undecided
from gateway.lifecycle.conditions.formula import FALSE, Formula, Opaque, both, either, negated
from gateway.lifecycle.conditions.opened import Opened
from gateway.lifecycle.conditions.residue import Residue
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
    observing = await observed_rules(policy)
    grants = await ways(policy, given, unknowns, backend, "allow")
    open_to_organisation = backend in _texts(await policy.value("mcp/authz/exceptions/open_to_organisation"))
    granted = [
        way.condition for rule, way in grants if rule not in observing and (open_to_organisation or not rule.startswith("org/"))
    ]
    hides = [way.condition for rule, way in await ways(policy, given, unknowns, backend, "hide") if rule not in observing]
    refused = await refusals(policy, given, unknowns, backend, verb)
    return Standing(either(granted), negated(FALSE) if blocked else either(hides), refused)


async def refusals(
    policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str, verb: str = "deny"
) -> tuple[Refusal, ...]:
    """Every way in which this may still be refused; those of rules that observe or are waived left out."""
    observing = await observed_rules(policy)
    found = []
    for rule, way in await ways(policy, given, unknowns, backend, verb):
        if rule in observing or way.condition == FALSE or await waived(policy, given, rule):
            continue
        code, scopes = way.member("said", "code"), way.member("said", "scopes")
        found.append(Refusal(rule, code if isinstance(code, str) else "", _texts(scopes), way.condition))
    return tuple(found)


async def ways(policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str, verb: str) -> list[tuple[str, Residue]]:
    """Each way in which a rule of the organisation or of the backend can still say `verb` about position 0."""
    if not policy.rules.about(backend, verb):
        return []
    found = []
    for author in (ORGANISATION, f"servers.{backend}"):
        query = f"data.mcp.{author}[rule].{_head(verb)}"
        if any(kept.startswith(f"data.mcp.{author}.") for kept in policy.rules.kept_whole):  # OPA would keep all of them whole
            found += await _one_by_one(policy, given, unknowns, backend, verb, author)
            continue
        try:
            partial = await policy.partial(query, given, unknowns)
        except Undecided:  # one rule that OPA cannot evaluate in part hides the others: each is asked by itself
            found += await _one_by_one(policy, given, unknowns, backend, verb, author)
        else:
            found += [(f"{author.replace('.', '/')}/{way.text('rule')}", way) for way in partial.ways]
    return found


async def _one_by_one(
    policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str, verb: str, author: str
) -> list[tuple[str, Residue]]:
    found = []
    for package in policy.rules.about(backend, verb):
        if package.reference.startswith(f"data.mcp.{author}."):
            try:
                partial = await policy.partial(f"{package.reference}.{_head(verb)}", given, unknowns)
                found += [(package.name, way) for way in partial.ways]
            except Undecided:
                found.append((package.name, Residue({}, Opaque(f"{package.reference}.{verb}"))))
    return found


def _head(verb: str) -> str:
    return f"{verb}[0]" if verb in ("allow", "hide") else f"{verb}[said]"


async def observed_rules(policy: Opened) -> frozenset[str]:
    return frozenset(_texts(await policy.value("mcp/authz/exceptions/observing")))


async def waived(policy: Opened, given: JsonObject, rule: str) -> bool:
    """Whether a reviewed waiver covers refusals of `rule` for this subject, item and time."""
    if not await policy.value("mcp/facts/waivers"):
        return False
    query = f'data.mcp.authz.exceptions.waived({{"rule": "{rule}", "code": "any"}})'
    return bool((await policy.partial(query, given, ())).ways)


def backend_of(given: JsonObject) -> str | None:
    resources = given.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    backend = first.get("backend") if isinstance(first, dict) else None
    return backend if isinstance(backend, str) else None


def _texts(said: Json) -> tuple[str, ...]:
    return tuple(each for each in said if isinstance(each, str)) if isinstance(said, list) else ()

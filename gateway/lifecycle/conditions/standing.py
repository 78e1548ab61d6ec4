"""When one request is allowed, as a condition on what is left open: grants, less what hides, less what refuses.

The entrypoint's own rule (`policies/mcp/authz.rego`), put together from what each verb still hangs on. Rules that only observe
and refusals that a waiver covers have no effect in it, just as there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import Undecided
from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import FALSE, TRUE, Formula, Opaque, Test, both, either, negated
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


async def ways(policy: Opened, given: JsonObject, unknowns: Sequence[str], backend: str, verb: str) -> list[tuple[str, Residue]]:
    """Each way in which a rule of the organisation or of the backend can still say `verb` about position 0."""
    policy.check_version()
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

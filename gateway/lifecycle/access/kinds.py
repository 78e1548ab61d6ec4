"""Work that is done once for many answers: items of which the same is left whoever asks are of one kind, and personas who answer
alike everything that is left of a kind get the same answer. Where that cannot be told, each is asked about by itself.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import Undecided
from gateway.lifecycle.access.asked import open_parts, question
from gateway.lifecycle.access.personas import Persona
from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import RULED, Opaque, Test, leaves
from gateway.lifecycle.conditions.opened import Opened
from gateway.lifecycle.conditions.standing import OF_THE_CALL, observing, shapes, ways
from gateway.model import Json, JsonObject, Resource
from gateway.shipped import SHIPPED

WHO = ("input.subject", "input.agent", "input.context")
COMPARED = frozenset({"subject", "agent", "context", "extracted", *(name.split(".")[1] for name in OF_THE_CALL)})
OPEN_ANYWAY = (("context", "time_ns"), ("context", "approvals"))
APPROVAL = "require_approval"
EXCEPTIONS = "mcp/authz/exceptions.rego"
AT_ONCE = 4
_VARIABLE = re.compile(r"'(\$|__local|_)[^']*'")


@dataclass(frozen=True, slots=True)
class Kind:
    """Items that no rule tells apart. `tests`: what it hangs on who asks; None: that cannot be told, so each is asked about."""

    text: str
    tests: tuple[Test, ...] | None


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Whom the facts name: for those, what no rule says makes a difference."""

    everybody: bool  # waivers are read in a way of this set's own
    waived: frozenset[tuple[str, str]]  # issuer and id

    def about(self, persona: Persona) -> bool:
        return self.everybody or (persona.issuer, persona.id or persona.name) in self.waived


async def exceptions(policy: Opened) -> Exceptions:
    told = await policy.value("mcp/facts/waivers")
    waivers = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    shipped = SHIPPED.policies / EXCEPTIONS
    own = not shipped.is_file() or policy.copy.texts.get(EXCEPTIONS) != shipped.read_bytes()
    named = frozenset((str(each.get("issuer")), str(each.get("subject"))) for each in waivers)
    return Exceptions(own and bool(waivers), named)


async def kinds(policy: Opened, items: Sequence[Resource], time_ns: int) -> dict[str, Kind]:
    """For each item by its id. Raises `Undecided` where OPA cannot be asked at all."""
    found: dict[str, Kind] = {}
    room = asyncio.Semaphore(AT_ONCE)
    apart = bool(await policy.value("mcp/facts/waivers"))  # waivers name backends

    async def one(item: Resource) -> None:
        async with room:
            given = question(Persona(name="nobody"), (item,), "request", time_ns)
            id = item.id or item.public_name
            found[id] = await _kind(policy, given, id, item.backend or "", apart=apart)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))
    return found


async def _kind(policy: Opened, given: JsonObject, id: str, backend: str, *, apart: bool) -> Kind:
    unknowns = [*WHO, *(await open_parts(policy, given))]
    said, tests = [], []
    try:
        for verb in verbs(policy, backend):
            for rule, way in await ways(policy, given, unknowns, backend, verb, APPROVAL if verb == "oblige" else ""):
                left = list(leaves(way.condition))
                if any(isinstance(leaf, Opaque) or _of_the_asker(leaf) for leaf in left):
                    return Kind(id, None)  # what it hangs on cannot be compared
                about = (way.member("said", "code"), way.member("said", "scopes")) if verb == "deny" else way.term("said")
                said.append(f"{verb} {rule} {about!r} {way.condition!r}")
                tests += [leaf for leaf in left if isinstance(leaf, Test) and leaf.op != RULED]
            said += await shapes(policy, given, unknowns, backend, verb)
    except Undecided:
        return Kind(id, None)
    if any(not path or path[0] not in COMPARED for test in tests for path in _named(test)):
        return Kind(id, None)
    names: dict[str, str] = {}
    whole = "\n".join([backend if apart else "", *sorted(said)])
    text = _VARIABLE.sub(lambda match: names.setdefault(match[0], f"'${len(names)}'"), whole)
    return Kind(text, tuple({repr(test): test for test in tests}.values()))


def _of_the_asker(leaf: Test | Opaque) -> bool:
    """Whether a package that is told by its name asks who is asking."""
    return isinstance(leaf, Test) and leaf.op == RULED and terms.value(leaf.terms[2]) is True


def verbs(policy: Opened, backend: str) -> tuple[str, ...]:
    """Those that a cell hangs on, besides that the item exists now."""
    approvals = any(APPROVAL in package.says for package in policy.rules.about(backend, "oblige"))
    existence = ("allow", "hide") if timely(policy, backend) else ()
    return ("deny", *(("oblige",) if approvals else ()), *existence)


def timely(policy: Opened, backend: str) -> bool:
    """Whether it may hang on the time that an item of this backend exists."""
    return any(package.timely for verb in ("allow", "hide") for package in policy.rules.about(backend, verb))


@dataclass(frozen=True, slots=True)
class Asker:
    """One persona, and what tells it from others."""

    persona: Persona
    given: JsonObject  # a request of whatever item: what it says of who asks is the same in all
    observing: tuple[str, ...]  # rules that have no effect on it
    apart: bool


async def asker(policy: Opened, persona: Persona, item: Resource, apart: Exceptions, time_ns: int) -> Asker:
    given = question(persona, (item,), "request", time_ns)
    silent = tuple(sorted(await observing(policy, given, ())))
    return Asker(persona, given, silent, apart.about(persona))


def signature(kind: Kind, who: Asker) -> str:
    """The same for personas between whom nothing that is left of this kind makes a difference."""
    if kind.tests is None or who.apart:
        return f"of {who.persona.name}"
    return repr([who.observing, *(_answer(test, who.given) for test in kind.tests)])


def _answer(test: Test, given: JsonObject) -> Json:
    """Whether the subject has that group or scope; of any other test, all that it may look at."""
    if test.op == "internal.member_2" and terms.constant(test.terms[0]) and (path := terms.path(test.terms[1])) is not None:
        held = _at(given, path)
        return terms.value(test.terms[0]) in held if isinstance(held, list) else repr(held)
    return [_at(given, path) for path in _named(test) if path not in OPEN_ANYWAY]


def _named(test: Test) -> list[tuple[str, ...]]:
    return [path for term in test.terms for path in terms.prefixes(term)]


def _at(whole: Json, path: Sequence[str]) -> Json:
    for name in path:
        whole = whole.get(name) if isinstance(whole, dict) else None
    return whole


def text_of(known: Mapping[str, Kind]) -> str:
    return f"{len(known)} items of {len({kind.text for kind in known.values()})} kinds"

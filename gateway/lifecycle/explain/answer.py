"""One decision taken apart: what every rule said, where it stands, and what it came to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from gateway.adapters.opa.command import OpaUnusable, run
from gateway.errors import Undecided
from gateway.lifecycle.access.asked import open_parts
from gateway.lifecycle.check.inputs import Inputs
from gateway.lifecycle.conditions.formula import TRUE
from gateway.lifecycle.conditions.named import unrefused
from gateway.lifecycle.conditions.opened import Opened, OtherWords
from gateway.lifecycle.conditions.rules import FACTS, Body, Package
from gateway.lifecycle.conditions.standing import backend_of, standing
from gateway.lifecycle.conditions.words import words
from gateway.lifecycle.explain.nearby import Change, changes, phase
from gateway.lifecycle.explain.silent import granted_to_nobody, ungranted
from gateway.model import Decision, Denial, Json, JsonObject
from gateway.policy import decision, wording
from gateway.policy.ruling import Permitted, Refused, StepUp, Unseen, ruling
from gateway.shipped import SHIPPED

Outcome = Literal["allowed", "denied", "hidden", "undecided", "listed"]
Verb = Literal["granted", "hid", "refused", "withheld", "obliged", "waived", "observed", "silent"]
WOULD = {"allow": "would grant", "hide": "would hide", "oblige": "would owe"}  # of a rule that observes


@dataclass(frozen=True, slots=True)
class Said:
    """What one rule said. `file` is relative to the folder of the policies; "" where no rule of this set is meant."""

    verb: Verb
    rule: str
    code: str
    text: str
    file: str
    line: int
    scopes: tuple[str, ...] = ()

    def members(self) -> JsonObject:
        told: JsonObject = {"verb": self.verb, "rule": self.rule, "code": self.code, "text": self.text}
        if self.file:
            told |= {"file": self.file, "line": self.line}
        return {**told, "scopes": list[Json](self.scopes)} if self.scopes else told


@dataclass(frozen=True, slots=True)
class Explanation:
    outcome: Outcome
    question: JsonObject  # the input
    revision: str
    said: tuple[Said, ...]
    changes: tuple[Change, ...]  # what would have made it allowed
    as_long_as: str | None  # of an allowed one: the condition on its arguments, time and approvals
    notes: tuple[str, ...]
    hopeless: bool = False  # it is hidden, and no rule grants it to anybody

    def members(self) -> JsonObject:
        told: JsonObject = {
            "outcome": self.outcome,
            "revision": self.revision,
            "said": [each.members() for each in self.said],
            "would_be_allowed": [each.members() for each in self.changes],
            "notes": list[Json](self.notes),
            "input": self.question,
        }
        if self.hopeless:
            told["granted_to_nobody"] = True
        return told if self.as_long_as is None else {**told, "allowed_when": self.as_long_as}


async def explained(policy: Opened, given: JsonObject) -> Explanation:
    """Ask the policy this question, and why it answers as it does. Raises `Undecided` where OPA cannot be asked at all."""
    try:
        verdict = await policy.ask({"input": given})
        said = decision.read(
            verdict.result, asked=len(_resources(given)), phase=phase(given), revision=verdict.revision, decision_id=""
        )
    except Undecided as why:
        if why.cause in ("unreachable", "late"):
            raise
        return Explanation("undecided", given, policy.revision, (), (), None, tuple(_undecided(policy, given, why)))
    outcome, notes = _outcome(said, given)
    spoken = tuple(_spoken(said, await places(policy, given)))
    near: tuple[Change, ...] = ()
    as_long_as = None
    if outcome == "hidden" and not said.granted_by:
        spoken += await _silent(policy, given)
    if outcome in ("denied", "hidden"):
        near, unknown = await _near(policy, given, blocked=FACTS in said.hidden_by)
        notes += unknown
    elif phase(given) == "request" and outcome == "allowed":
        as_long_as = await _condition(policy, given)
    hopeless = outcome == "hidden" and not (said.granted_by or near) and await _hopeless(policy, given)
    return Explanation(outcome, given, policy.revision, spoken, near, as_long_as, notes, hopeless)


async def _hopeless(policy: Opened, given: JsonObject) -> bool:
    try:
        return await granted_to_nobody(policy, given)
    except OtherWords:
        return False


async def _near(policy: Opened, given: JsonObject, *, blocked: bool) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """What would have changed the answer, or notes on why that is not known."""
    try:
        return await changes(policy, given, blocked=blocked), ()
    except OtherWords as why:
        return (), (f"what would have changed it is unknown: {why}",)


async def _condition(policy: Opened, given: JsonObject) -> str:
    try:
        left = (await standing(policy, given, await open_parts(policy, given))).refusals
        return words(await unrefused(policy, given, TRUE, [(each.rule, each.condition) for each in left], "deny"))
    except OtherWords as why:
        return f"unknown: {why}"


def _undecided(policy: Opened, given: JsonObject, why: Undecided) -> Iterator[str]:
    """Why, and what of the document is not of the contract."""
    yield f"undecided, and so denied: {why}"
    if why.cause == "undefined":
        shipped = (SHIPPED.schemas / "input.json").read_bytes()
        yield from Inputs.of(policy.copy.schema("input.json") or shipped).wrong((), given)


async def _silent(policy: Opened, given: JsonObject) -> tuple[Said, ...]:
    """The rules that might have granted it, and what each lacked."""
    try:
        lacking = await ungranted(policy, given)
    except OtherWords:  # said where the ways out are told
        return ()
    found = []
    for each in lacking:
        package = each.package
        line = next((body.line for body in package.with_verb("allow")), package.line)
        found.append(Said("silent", package.name, "", f"{package.title or package.name}: to {each.when}", package.file, line))
    return tuple(found)


def _outcome(said: Decision, given: JsonObject) -> tuple[Outcome, tuple[str, ...]]:
    asked_in = phase(given)
    if asked_in == "list":
        asked = len(_resources(given))
        return "listed", (f"{len(said.visible)} of {asked} items are shown",)
    subject = given.get("subject")
    scopes = subject.get("scopes") if isinstance(subject, dict) else None
    held = [scope for scope in scopes if isinstance(scope, str)] if isinstance(scopes, list) else []
    try:
        match ruling(said, phase=asked_in, scopes=held):
            case Permitted():
                return "allowed", ()
            case Unseen():
                ungranted = () if said.granted_by else ("no rule grants it",)
                return "hidden", (*ungranted, "it is answered as if there were no such item")
            case StepUp(wanted):
                return "denied", (f"answered 403 insufficient_scope: {' '.join(wanted)}",)
            case Refused():
                return "denied", ()
    except Undecided as why:
        return "undecided", (f"undecided ({why.cause}), and so denied: {why}",)


# --- where what was said stands ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Places:
    """The packages that were asked, and the heads of rules that OPA reached."""

    packages: Mapping[str, Package]
    reached: frozenset[tuple[str, int]]  # file and line

    def body(self, rule: str, verb: str, code: str = "") -> Body | None:
        """The rule that said it: of several the one that OPA reached."""
        package = self.packages.get(rule)
        bodies = package.with_verb(verb) if package is not None else ()
        named = [body for body in bodies if body.code == code] or list(bodies)
        if package is None or not named:
            return None
        return next((body for body in named if (package.file, body.line) in self.reached), named[0])


async def places(policy: Opened, given: JsonObject) -> Places:
    """Raises `OpaUnusable`."""
    backend = backend_of(given)
    asked = "data.mcp.org" if backend is None else f"data.mcp.org; data.mcp.servers.{backend}"
    arguments = ("eval", "--bundle", ".", "--stdin-input", "--coverage", "--format", "json", asked)
    done = await run(policy.binary, arguments, stdin=msgspec.json.encode(given), cwd=str(policy.copy.policies))
    try:
        told = msgspec.json.decode(done.stdout)
        files = told["coverage"]["files"]
        rows = ((name, spot["start"]) for name, file in files.items() for spot in file.get("covered", ()))
        reached = frozenset((name.removeprefix("./"), start["row"]) for name, start in rows if start["col"] == 1)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise OpaUnusable(f"opa eval --coverage failed: {done.stderr[:300].decode(errors='backslashreplace')}") from error
    return Places(policy.rules.packages, reached)


def _spoken(said: Decision, where: Places) -> Iterator[Said]:
    for refusal in said.denials:
        verb: tuple[Verb, str] = ("refused", "deny")
        if where.body(refusal.rule, "deny", refusal.code) is None and where.body(refusal.rule, "withhold") is not None:
            verb = ("withheld", "withhold")
        yield _placed(*verb, refusal.rule, where, code=refusal.code, text=wording.message(refusal), scopes=refusal.scopes)
    for rule in said.hidden_by:
        yield _placed("hid", "hide", rule, where, text="blocked by the facts (mcp.facts.blocks)" if rule == FACTS else "")
    for rule in said.granted_by:
        yield _placed("granted", "allow", rule, where)
    for waived in said.waived:
        rule, code = str(waived.get("rule", "")), str(waived.get("code", ""))
        yield _placed("waived", "deny", rule, where, code=code, text=wording.message(_denial(waived)))
    for rule, verbs in said.observed.items():
        for name, told in verbs.items() if isinstance(verbs, dict) else ():
            yield from _observed(rule, name, told, where)
    for duty in said.obligations:
        body = where.body(duty.rule, "oblige", duty.code)
        text = f"{duty.type}: {body.title}" if body is not None and body.title else duty.type
        yield _placed("obliged", "oblige", duty.rule, where, code=duty.code, text=text)


def _observed(rule: str, verb: str, told: Json, where: Places) -> Iterator[Said]:
    """A refusal in its own words; a grant, a hiding or a duty by the rule's title."""
    for each in told if verb not in WOULD and isinstance(told, list) else ():
        if isinstance(each, dict):
            scopes = each.get("scopes")
            held = [scope for scope in scopes if isinstance(scope, str)] if isinstance(scopes, list) else []
            code, text = str(each.get("code", "")), wording.message(_denial(each))
            yield _placed("observed", verb, rule, where, code=code, text=text, scopes=held)
    if verb in WOULD:
        said = _placed("observed", verb, rule, where)
        yield replace(said, text=f"{WOULD[verb]}: {said.text}")


def _placed(
    verb: Verb, name: str, rule: str, where: Places, *, code: str = "", text: str = "", scopes: Sequence[str] = ()
) -> Said:
    package, body = where.packages.get(rule), where.body(rule, name, code)
    titles = [title for title in (body.title if body is not None else "", package.title if package is not None else "") if title]
    return Said(
        verb=verb,
        rule=rule,
        code=code,
        text=text or (titles[0] if titles else rule),
        file=package.file if package is not None else "",
        line=body.line if body is not None else package.line if package is not None else 0,
        scopes=tuple(scopes),
    )


def _denial(said: JsonObject) -> Denial:
    details = said.get("details")
    return Denial(
        str(said.get("rule", "")),
        str(said.get("code", "")),
        str(said.get("message", "")),
        details if isinstance(details, dict) else {},
    )


def _resources(given: JsonObject) -> list[Json]:
    told = given.get("resources")
    return told if isinstance(told, list) else []

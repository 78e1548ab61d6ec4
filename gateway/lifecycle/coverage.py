"""Which rules spoke in production, how often, when last, and which of them would not have been missed. From the audit alone.

A rule counts once for each record in which it spoke. A duty counts where it was carried out, and where questions are recorded
(`audit.record: replay`) wherever it was owed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from gateway.lifecycle.ruleset import Ruleset, Voice
from gateway.model import Json, JsonObject

REFUSING = ("deny", "withhold")
CANARIES = "servers/canary/"


@dataclass(frozen=True, slots=True, order=True)
class Spoken:
    """A rule with one verb, and with its code where the verb has one."""

    rule: str
    verb: str
    code: str = ""


@dataclass(slots=True)
class Tally:
    fired: int = 0
    alone: int = 0  # refusals: nothing else refused it, so without this rule it would have been let through
    beside: Counter[Spoken] = field(default_factory=Counter)  # refusals: what else refused
    observed: int = 0  # said without effect, by a rule that only observes
    waived: int = 0
    last_ns: int = 0


@dataclass(slots=True)
class Coverage:
    records: int = 0  # with a decision
    first_ns: int = 0
    last_ns: int = 0
    tallies: dict[Spoken, Tally] = field(default_factory=dict)

    def never_alone(self) -> list[tuple[Spoken, Tally]]:
        """Refusals that spoke, and never when nobody else did: taking them out would have changed no answer."""
        return [
            (spoken, tally)
            for spoken, tally in sorted(self.tallies.items())
            if spoken.verb in REFUSING and tally.fired and not tally.alone
        ]

    def never_spoke(self, rules: Ruleset) -> list[tuple[Spoken, Voice]]:
        """Rules of a set that said nothing in this audit, not even without effect."""
        return [(spoken, voice) for spoken, voice in _voices(rules) if not _said(self.tallies.get(spoken, Tally()))]

    def without_effect(self, rules: Ruleset) -> list[tuple[Spoken, Voice, Tally]]:
        """Rules of a set that spoke and never had an effect: they only observe, or each time a waiver covered it."""
        spoke = ((spoken, voice, self.tallies.get(spoken, Tally())) for spoken, voice in _voices(rules))
        return [(spoken, voice, tally) for spoken, voice, tally in spoke if _said(tally) and not tally.fired]

    def unknown(self, rules: Ruleset) -> list[Spoken]:
        """Rules that spoke and are not in the set: taken out since, or of the facts, or malformed."""
        known = {Spoken(name, each.verb, each.code) for name, package in rules.packages.items() for each in package.voices}
        return sorted(spoken for spoken in self.tallies if spoken not in known)


def _voices(rules: Ruleset) -> Iterator[tuple[Spoken, Voice]]:
    """Those that production can hear: the canary's answer no question that an audit holds."""
    for name, package in sorted(rules.packages.items()):
        if not name.startswith(CANARIES):
            yield from {Spoken(name, each.verb, each.code): each for each in package.voices}.items()


def _said(tally: Tally) -> bool:
    return bool(tally.fired or tally.observed or tally.waived)


def coverage(records: Iterable[JsonObject]) -> Coverage:
    """What the records tell."""
    told = Coverage()
    for record in records:
        if not record.get("decisions"):
            continue
        time_ns = record.get("time_ns")
        at_ns = time_ns if isinstance(time_ns, int) else 0
        told.records += 1
        told.first_ns = min(told.first_ns or at_ns, at_ns)
        told.last_ns = max(told.last_ns, at_ns)
        _count(told, record, at_ns)
    return told


def _count(told: Coverage, record: JsonObject, at_ns: int) -> None:
    def tally(spoken: Spoken) -> Tally:
        found = told.tallies.setdefault(spoken, Tally())
        found.last_ns = max(found.last_ns, at_ns)
        return found

    refusals = set(_refusals(record))
    for spoken in refusals:
        found = tally(spoken)
        found.fired += 1
        found.alone += len(refusals) == 1
        found.beside.update(refusals - {spoken})
    for spoken in {*_existence(record), *_duties(record)}:
        tally(spoken).fired += 1
    for spoken in set(_observed(record)):
        tally(spoken).observed += 1
    verb = _refusing(record)
    for each in _objects(record.get("waived")):
        tally(Spoken(_text(each, "rule"), verb, _text(each, "code"))).waived += 1


def _refusing(record: JsonObject) -> str:
    """A request is refused before anything is forwarded, a result withheld after it."""
    return "withhold" if record.get("type") == "outcome" else "deny"


def _refusals(record: JsonObject) -> Iterator[Spoken]:
    verb = _refusing(record)
    for each in _objects(record.get("denials")):
        yield Spoken(_text(each, "rule"), verb, _text(each, "code"))


def _existence(record: JsonObject) -> Iterator[Spoken]:
    for member, verb in (("granted_by", "allow"), ("hidden_by", "hide")):
        said = record.get(member)
        for rule in said if isinstance(said, list) else []:
            yield Spoken(str(rule), verb)
    counts = record.get("items")
    hiding = counts.get("hidden_by") if isinstance(counts, dict) else None
    for rule in hiding if isinstance(hiding, dict) else ():
        yield Spoken(rule, "hide")


def _duties(record: JsonObject) -> Iterator[Spoken]:
    for each in _objects(record.get("duties")):
        yield Spoken(_text(each, "rule"), "oblige", _text(each, "code"))
    for one in _objects(record.get("decisions")):
        answer = one.get("answer")
        for each in _objects(answer.get("obligations") if isinstance(answer, dict) else None):
            yield Spoken(_text(each, "rule"), "oblige", _text(each, "code"))


def _observed(record: JsonObject) -> Iterator[Spoken]:
    said = record.get("observed")
    for rule, verbs in said.items() if isinstance(said, dict) else ():
        for verb, what in verbs.items() if isinstance(verbs, dict) else ():
            if verb in ("allow", "hide"):
                yield Spoken(rule, verb)
            for each in _objects(what):
                yield Spoken(rule, verb, _text(each, "code"))


def _objects(said: Json) -> list[JsonObject]:
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []


def _text(members: JsonObject, name: str) -> str:
    return cast(str, members[name]) if isinstance(members.get(name), str) else ""

"""What rules that only observe would have done, gathered from the audit, and how each is switched on."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.lifecycle import printing
from gateway.lifecycle.recorded import Reading
from gateway.lifecycle.telling import Example, named, objects
from gateway.model import Json, JsonObject

SAYS = {
    "deny": "would refuse",
    "withhold": "would withhold",
    "hide": "would hide",
    "allow": "would grant",
    "oblige": "would owe",
}
ALREADY = frozenset({"denied", "invisible", "unknown", "withheld"})  # outcomes that a further refusal would not have changed


@dataclass(slots=True)
class Finding:
    """One thing that one rule would have done."""

    exchanges: int = 0
    new: int = 0  # of them, those that nothing else refused or withheld
    items: int = 0  # hidden or granted, over all lists and calls
    subjects: Counter[str] = field(default_factory=Counter)
    example: Example | None = None  # the newest, of the new ones if there is one
    message: str = ""


@dataclass(slots=True)
class Report:
    exchanges: int = 0  # that the audit tells of, observed or not
    unreadable: int = 0  # whose observations were too large for the audit
    findings: dict[tuple[str, str, str], Finding] = field(default_factory=dict)  # by rule, verb and code

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(sorted({rule for rule, _, _ in self.findings}))


def report(records: Iterable[JsonObject], rule: str | None = None) -> Report:
    """Of one rule (`org/destructive`), or of all that observe."""
    found = Report()
    for record in records:
        if record.get("type") not in {"intent", "outcome", "exchange", "listing"}:
            continue
        found.exchanges += record["type"] != "outcome"
        observed = record.get("observed")
        if not isinstance(observed, dict):
            continue
        if "omitted" in observed:
            found.unreadable += 1
            continue
        for name, said in observed.items():
            if isinstance(said, dict) and rule in (None, name):
                _count(found, record, name, said)
    return found


def _count(found: Report, record: JsonObject, rule: str, said: JsonObject) -> None:
    for verb, code, message, items in _said(said):
        each = found.findings.setdefault((rule, verb, code), Finding())
        new = record.get("outcome") not in ALREADY
        each.exchanges += 1
        each.new += new
        each.items += items
        each.subjects[named(record)] += 1
        each.message = message or each.message
        if new or each.example is None:
            each.example = Example.of(record, _item(record))


def _said(said: JsonObject) -> Iterator[tuple[str, str, str, int]]:
    """(verb, code, message, items) of each thing that a rule said of one exchange; what is alike is one."""
    for verb, findings in said.items():
        if verb in {"allow", "hide"}:
            yield verb, "", "", len(findings) if isinstance(findings, list) else 0
        elif verb in SAYS:
            told = {str(each.get("code", "")): each for each in objects(findings)}
            yield from ((verb, code, str(each.get("message", each.get("type", ""))), 0) for code, each in told.items())


def _item(record: JsonObject) -> str:
    item = record.get("item")
    if not isinstance(item, dict):
        return ""
    return str(item.get("id") or item.get("uri") or item.get("public_name") or "")


def show(found: Report, read: Reading, rule: str | None) -> None:
    """Print it, rule by rule."""
    rows = [
        (name, f"{SAYS[verb]} {code}".strip(), f"{each.exchanges:,}", f"{each.new:,}", f"{len(each.subjects):,}")
        for (name, verb, code), each in _ordered(found)
    ]
    if rows:
        numbers = ("exchanges", "new", "subjects")
        printing.table(("rule", "what", *numbers), rows, right=numbers, last="Examples, the newest")
        for (name, verb, code), each in _ordered(found):
            if each.example is not None:
                said = f': "{each.message}"' if each.message else ""
                print(printing.plain(f"  {name} {SAYS[verb]} {code}{said}:") + each.example.sentence())
        print("\nNew is what nothing else refused. To switch a rule on, in mcp/facts/data.yaml:")
        for name in found.rules:
            print(printing.plain(f"  rules: {{{name}: {{enforcement: enforce}}}}"))
        print("or first for some: {enforcement: observe, enforce_groups: [pilots]}, or for all but some: observe_groups\n")
    for line in summary(found, read, rule):
        print(printing.plain(line))


def summary(found: Report, read: Reading, rule: str | None) -> Iterator[str]:
    if found.findings:
        yield f"{found.exchanges:,} exchanges in the audit"
    elif rule is None:
        yield f"no rule that observes would have done anything in {found.exchanges:,} exchanges"
    else:
        yield f"{rule} would have done nothing in {found.exchanges:,} exchanges"
        yield "if there is such a rule, and it does not observe yet, that needs"  # the audit knows no rule that never spoke
        yield f"  rules: {{{rule}: {{enforcement: observe}}}}"
    if found.unreadable:
        yield f"{found.unreadable:,} exchanges whose observations were too large for the audit are not counted"
    if read.bad_lines:
        yield f"{read.bad_lines:,} lines of the audit cannot be read"


def as_json(found: Report, read: Reading) -> JsonObject:
    return {
        "exchanges": found.exchanges,
        "findings": [_members(key, each) for key, each in _ordered(found)],
        "unreadable": found.unreadable,
        "bad_lines": read.bad_lines,
    }


def _members(key: tuple[str, str, str], each: Finding) -> JsonObject:
    rule, verb, code = key
    subjects: list[Json] = [{"subject": name, "exchanges": count} for name, count in each.subjects.most_common()]
    return {
        "rule": rule,
        "verb": verb,
        "code": code,
        "message": each.message,
        "exchanges": each.exchanges,
        "new": each.new,
        "items": each.items,
        "subjects": subjects,
        "example": None if each.example is None else each.example.members(),
    }


def _ordered(found: Report) -> list[tuple[tuple[str, str, str], Finding]]:
    """By rule, refusals before duties, the most frequent first."""
    return sorted(found.findings.items(), key=lambda each: (each[0][0], [*SAYS].index(each[0][1]), -each[1].new, each[0][2]))

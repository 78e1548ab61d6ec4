"""What the shadow of the live policy set found, gathered from the audit: by kind, rule, subject and item, with examples."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from gateway.lifecycle import printing
from gateway.lifecycle.recorded import Reading
from gateway.lifecycle.telling import Example, named, objects, texts
from gateway.model import Json, JsonObject
from gateway.policy.divergence import KINDS

By = Literal["rule", "subject", "item"]
BYS: tuple[By, ...] = ("rule", "subject", "item")
OUTCOMES = ("same", "different", "failed", "dropped")
NOBODY = "(nobody grants or refuses it)"
MOST_ROWS = 20  # of each kind in a table; JSON has all


@dataclass(slots=True)
class Report:
    """Of one candidate: differences are counted by decision, so one that differs twice counts in two kinds."""

    candidate: str | None  # revision; None: the audit knows of no candidate
    live: Counter[str] = field(default_factory=Counter)  # revisions that it was compared with
    compared: Counter[str] = field(default_factory=Counter)
    unwritten: int = 0
    unreadable: int = 0  # lines whose differences were too large for the audit
    decisions: int = 0  # with a line of their own
    kinds: Counter[str] = field(default_factory=Counter)
    counts: dict[By, Counter[tuple[str, str]]] = field(default_factory=lambda: {by: Counter() for by in BYS})
    examples: dict[tuple[str, str], Example] = field(default_factory=dict)  # the newest of each kind and rule


def newest_candidate(records: Iterable[JsonObject]) -> str | None:
    """The revision that was in the shadow last."""
    newest: str | None = None
    for record in records:
        if record.get("type") in {"shadow", "shadow_period"} and isinstance(said := record.get("candidate"), str):
            newest = said
    return newest


def report(records: Iterable[JsonObject], candidate: str | None) -> Report:
    """Of the candidate with this revision."""
    found = Report(candidate)
    for record in records:
        if candidate is None or record.get("candidate") != candidate:
            continue
        if record.get("type") == "shadow_period":
            _count_period(found, record)
        elif record.get("type") == "shadow":
            _count(found, record)
    return found


def _count_period(found: Report, record: JsonObject) -> None:
    compared = record.get("compared")
    if isinstance(compared, dict):
        found.compared.update({name: count for name in OUTCOMES if isinstance(count := compared.get(name), int)})
    unwritten = record.get("unwritten")
    found.unwritten += unwritten if isinstance(unwritten, int) else 0


def _count(found: Report, record: JsonObject) -> None:
    found.decisions += 1
    found.live[str(record.get("revision"))] += 1
    differences = list(objects(record.get("differences")))
    if not differences:
        found.unreadable += 1
    subject = named(record)
    for kind in {str(each.get("kind")) for each in differences}:
        found.kinds[kind] += 1
        found.counts["subject"][kind, subject] += 1
    for each in differences:
        kind, items = str(each.get("kind")), texts(each.get("items"))
        rules = texts(each.get("rules")) or ((str(record["cause"]),) if "cause" in record else (NOBODY,))
        for rule in rules:
            found.counts["rule"][kind, rule] += 1
            found.examples[kind, rule] = Example.of(record, items[0] if items else "")
        for item in items:
            found.counts["item"][kind, item] += 1


def show(found: Report, read: Reading, by: By) -> None:
    """Print it, what matters most first."""
    rows = [
        (kind, name, f"{count:,}") for kind in KINDS for (each, name), count in _most(found.counts[by], kind)[:MOST_ROWS] if each
    ]
    if rows:
        printing.table(("what", f"by {by}", "decisions"), rows, right=("decisions",))
        print("Examples")
        for kind in KINDS:
            for (_, rule), example in sorted(each for each in found.examples.items() if each[0][0] == kind):
                print(printing.plain(f"  {kind}, {rule}:") + example.sentence())
        print()
    for line in summary(found, read):
        print(printing.plain(line))


def summary(found: Report, read: Reading) -> Iterator[str]:
    if found.candidate is None:
        yield "the audit knows of no candidate: set policy.shadow, and let traffic come"
        return
    whole = found.compared["same"] + found.compared["different"]
    live = ", ".join(found.live) or "none that differed"
    yield f"candidate {found.candidate}, compared with {live}: {whole:,} decisions, {found.compared['different']:,} different"
    if found.compared["dropped"] or found.compared["failed"]:
        yield (
            f"{found.compared['dropped']:,} were not compared for lack of room, {found.compared['failed']:,} since the candidate "
            "did not answer in time"
        )
    if found.decisions > found.compared["different"]:
        yield f"of the last minute, not yet in these figures: {found.decisions - found.compared['different']:,} differences"
    if found.unwritten:
        yield f"{found.unwritten:,} differences were counted without a line: they are in no table"
    if found.unreadable:
        yield f"{found.unreadable:,} differences were too large for the audit: they are in no table"
    if read.bad_lines:
        yield f"{read.bad_lines:,} lines of the audit cannot be read"


def as_json(found: Report, read: Reading) -> JsonObject:
    tables: JsonObject = {f"by_{by}": _entries(by, found.counts[by]) for by in BYS}
    return {
        "candidate": found.candidate,
        "live": dict(found.live),
        "compared": {name: found.compared[name] for name in OUTCOMES},
        "decisions": found.decisions,
        "kinds": {kind: found.kinds[kind] for kind in KINDS},
        **tables,
        "examples": [{"kind": kind, "rule": rule, **each.members()} for (kind, rule), each in found.examples.items()],
        "unwritten": found.unwritten,
        "unreadable": found.unreadable,
        "bad_lines": read.bad_lines,
    }


def _most(counts: Counter[tuple[str, str]], kind: str) -> list[tuple[tuple[str, str], int]]:
    return [each for each in counts.most_common() if each[0][0] == kind]


def _entries(by: By, counts: Counter[tuple[str, str]]) -> list[Json]:
    return [{"kind": kind, by: name, "decisions": count} for (kind, name), count in counts.most_common()]

"""A coverage report, for a reader and for a machine."""

from datetime import UTC, datetime

from gateway.lifecycle import printing
from gateway.lifecycle.coverage import REFUSING, Coverage, Spoken, Tally
from gateway.lifecycle.recorded import Reading
from gateway.lifecycle.ruleset import Ruleset, Voice
from gateway.model import Json, JsonObject

MOST_BESIDE = 3


def show(told: Coverage, rules: Ruleset | None, read: Reading) -> None:
    """Print it: who spoke, then who never did, then who never mattered."""
    rows = [_row(spoken, tally) for spoken, tally in sorted(told.tallies.items(), key=lambda each: (-each[1].fired, each[0]))]
    headers = ("rule", "verb", "code", "fired", "alone", "observed", "waived", "last")
    printing.table(headers, rows, right=("fired", "alone", "observed", "waived"))
    if rules is not None and (silent := told.never_fired(rules)):
        silent_rows = [(each.rule, each.verb, each.code, f"{voice.file}:{voice.line}", voice.title) for each, voice in silent]
        print("\nNever fired")
        printing.table(("rule", "verb", "code", "where", "title"), silent_rows)
    if shadowed := told.never_alone():
        print("\nNever mattered: something else always refused the same")
        printing.table(
            ("rule", "code", "fired", "beside"),
            [(each.rule, each.code, str(tally.fired), _beside(tally)) for each, tally in shadowed],
            right=("fired",),
        )
    print(printing.plain(f"\n{told.records:,} records with a decision, {_when(told.first_ns)} to {_when(told.last_ns)}"))
    if read.bad_lines:
        print(f"{read.bad_lines:,} lines of the audit cannot be read")


def as_json(told: Coverage, rules: Ruleset | None, read: Reading) -> JsonObject:
    fired: list[Json] = [_members(spoken, tally) for spoken, tally in sorted(told.tallies.items())]
    said: JsonObject = {
        "records": told.records,
        "first_ns": told.first_ns,
        "last_ns": told.last_ns,
        "bad_lines": read.bad_lines,
        "rules": fired,
        "never_alone": [_name(spoken) for spoken, _ in told.never_alone()],
    }
    if rules is not None:
        said["never_fired"] = [_silent(spoken, voice) for spoken, voice in told.never_fired(rules)]
        said["not_in_the_set"] = [_name(spoken) for spoken in told.unknown(rules)]
    return said


def _row(spoken: Spoken, tally: Tally) -> tuple[str, ...]:
    alone = f"{tally.alone:,}" if spoken.verb in REFUSING else ""
    counts = (f"{tally.fired:,}", alone, f"{tally.observed or ''}", f"{tally.waived or ''}")
    return (spoken.rule, spoken.verb, spoken.code, *counts, _when(tally.last_ns))


def _beside(tally: Tally) -> str:
    return ", ".join(f"{other.rule} {other.code} ({count:,})" for other, count in tally.beside.most_common(MOST_BESIDE))


def _when(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}" if time_ns else "?"


def _name(spoken: Spoken) -> JsonObject:
    named: JsonObject = {"rule": spoken.rule, "verb": spoken.verb}
    return {**named, "code": spoken.code} if spoken.code else named


def _members(spoken: Spoken, tally: Tally) -> JsonObject:
    counts: JsonObject = {"fired": tally.fired, "observed": tally.observed, "waived": tally.waived, "last_ns": tally.last_ns}
    if spoken.verb in REFUSING:
        counts["alone"] = tally.alone
    return {**_name(spoken), **counts}


def _silent(spoken: Spoken, voice: Voice) -> JsonObject:
    return {**_name(spoken), "file": voice.file, "line": voice.line, "title": voice.title}

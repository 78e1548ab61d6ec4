"""A coverage report, for a reader and for a machine."""

import sys
from collections.abc import Sequence

from gateway.lifecycle import printing
from gateway.lifecycle.coverage import REFUSING, Coverage, Spoken, Tally
from gateway.lifecycle.recorded import Reading
from gateway.lifecycle.ruleset import Ruleset, Voice
from gateway.lifecycle.telling import when
from gateway.model import Json, JsonObject

MOST_BESIDE = 3
OF_FEW = ("observed", "waived")  # counts that most audits have none of


def show(told: Coverage, rules: Ruleset | None, read: Reading, folder: str = "") -> None:
    """Print it: who spoke, then who did without effect, then who never did, then who never mattered.

    `folder`: that of the policies, as the reader names it, before each file.
    """
    _show_spoken(told)
    if rules is not None and (mute := told.without_effect(rules)):
        print("\nFired without effect: the rule only observes, or a waiver covered each")
        _show_places([(each, voice, _uses(tally)) for each, voice, tally in mute], folder)
    if rules is not None and (silent := told.never_spoke(rules)):
        print("\nNever fired")
        _show_places([(each, voice, "") for each, voice in silent], folder)
    if shadowed := told.never_alone():
        print("\nNever mattered: something else always refused the same")
        printing.table(
            ("rule", "code", "fired", "beside"),
            [(each.rule, each.code, str(tally.fired), _beside(tally)) for each, tally in shadowed],
            right=("fired",),
            whole=("rule", "code"),
        )
    print(f"\n{told.records:,} records with a decision, {_when(told.first_ns)} to {_when(told.last_ns)}")
    if read.bad_lines:
        print(f"{read.bad_lines:,} lines of the audit cannot be read")


def _show_spoken(told: Coverage) -> None:
    """What nothing was counted for takes no room."""
    headers = ("rule", "verb", "code", "fired", "alone", "observed", "waived", "last")
    rows = [_row(spoken, tally) for spoken, tally in sorted(told.tallies.items(), key=lambda each: (-each[1].fired, each[0]))]
    kept = [at for at, header in enumerate(headers) if header not in OF_FEW or any(row[at] for row in rows)]
    shown = [headers[at] for at in kept]
    right = [each for each in ("fired", "alone", *OF_FEW) if each in shown]
    printing.table(
        shown, [[row[at] for at in kept] for row in rows], right=right, whole=[each for each in shown if each != "code"]
    )


def _show_places(told: Sequence[tuple[Spoken, Voice, str]], folder: str) -> None:
    """A rule's name and its place are to be copied, so neither is ever broken: the place has a line of its own."""
    columns = printing.console_on(sys.stdout.isatty()).width
    rules, verbs = max(len(each.rule) for each, _, _ in told), max(len(each.verb) for each, _, _ in told)
    for each, voice, uses in told:
        print(printing.plain(f"{each.rule:{rules}}  {each.verb:{verbs}}  {each.code}{'  ' if each.code else ''}{uses}".rstrip()))
        where = f"  {folder}/{voice.file}:{voice.line}"
        room = columns - len(where) - 2
        print(printing.plain(f"{where}  {_shortened(voice.title, room)}".rstrip()))


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 0)]}…"


def _uses(tally: Tally) -> str:
    counts = (("observed", tally.observed), ("waived", tally.waived))
    return ", ".join(f"{word} {count:,}" for word, count in counts if count)


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
        said["never_fired"] = [_silent(spoken, voice) for spoken, voice in told.never_spoke(rules)]
        said["without_effect"] = [_silent(spoken, voice) for spoken, voice, _ in told.without_effect(rules)]
        said["not_in_the_set"] = [_name(spoken) for spoken in told.unknown(rules)]
    return said


def _row(spoken: Spoken, tally: Tally) -> tuple[str, ...]:
    alone = f"{tally.alone:,}" if spoken.verb in REFUSING else ""
    counts = (f"{tally.fired:,}", alone, f"{tally.observed or ''}", f"{tally.waived or ''}")
    return (spoken.rule, spoken.verb, spoken.code, *counts, _when(tally.last_ns))


def _beside(tally: Tally) -> str:
    return ", ".join(f"{other.rule} {other.code} ({count:,})" for other, count in tally.beside.most_common(MOST_BESIDE))


def _when(time_ns: int) -> str:
    return when(time_ns) if time_ns else "?"


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

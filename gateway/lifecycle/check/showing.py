"""A check's rows for whom they are meant: a table with findings below it, JSON, or annotations that GitHub shows on the line."""

import json
from collections.abc import Sequence

from gateway.lifecycle import printing
from gateway.lifecycle.check.report import Row
from gateway.lifecycle.repository import Repository
from gateway.policy.structure import Finding

MAX_TOLD = 200  # findings of one check below the table; JSON has them all


def show_table(rows: Sequence[Row], repository: Repository) -> None:
    """The table, and below it every finding as `file:line: message`."""
    told = [
        (
            each.check,
            each.state if each.fine else each.state.upper(),
            str(len(each.findings) or ""),
            f"{each.took_s:.1f} s",
            each.told,
        )
        for each in rows
    ]
    bad = [each.check for each in rows if not each.fine]
    last = f"\nnot fine: {', '.join(bad)}" if bad else "\nall is fine"
    printing.table(("check", "state", "findings", "time", ""), told, right=("findings", "time"), last=last)
    for row in rows:
        for found in row.findings[:MAX_TOLD]:
            print(printing.plain(f"{_place(found, repository)}: {row.check}: {found.message}"))
        if len(row.findings) > MAX_TOLD:
            print(f"{row.check}: and {len(row.findings) - MAX_TOLD} more; --json tells all")
        for note in row.notices[:MAX_TOLD]:
            print(printing.plain(f"{_place(note, repository)}: {row.check}: note: {note.message}"))


def as_json(rows: Sequence[Row], repository: Repository) -> str:
    checks = [
        {
            "check": each.check,
            "state": each.state,
            "told": each.told,
            "took_s": round(each.took_s, 3),
            "findings": _members(each.findings, repository),
            "notices": _members(each.notices, repository),
        }
        for each in rows
    ]
    return json.dumps({"ok": all(each.fine for each in rows), "checks": checks}, indent=2)


def _members(found: Sequence[Finding], repository: Repository) -> list[dict[str, str | int]]:
    return [{"file": repository.told(each.file), "line": each.line, "message": each.message} for each in found]


def show_annotations(rows: Sequence[Row], repository: Repository) -> None:
    """GitHub's workflow commands: one for each finding, and one for a check that told nothing but failed."""
    for row in rows:
        for level, all_found in (("error", row.findings), ("notice", row.notices)):
            for found in all_found:
                place = f"file={_property(repository.told(found.file))},line={max(found.line, 1)},"
                print(f"::{level} {place}title={_property(f'policy check: {row.check}')}::{_data(found.message)}")
        if row.state == "not run":
            print(f"::error title={_property(f'policy check: {row.check}')}::{_data(f'was not run: {row.told}')}")


def _place(found: Finding, repository: Repository) -> str:
    file = repository.told(found.file)
    return f"{file}:{found.line}" if found.line else file


def _data(text: str) -> str:
    """As a workflow command's message: its own escapes, so that a finding cannot speak as another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

"""How findings are shown: a table that fits its reader, or JSON for a machine. Plain text: no colour, no control codes."""

import json
import textwrap
from collections.abc import Sequence

from gateway.doctor.finding import Finding

LEAST_COLUMNS, MOST_COLUMNS = 80, 120
MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def table(findings: Sequence[Finding], *, columns: int) -> str:
    """One row for each finding: state, what, detail; below it an arrow with what to do. A last line sums up."""
    width = min(MOST_COLUMNS, max(LEAST_COLUMNS, columns))
    what_width = min(max([4, *(len(each.what) for each in findings)]), width // 3)
    lines = [f"      {'WHAT':{what_width}}  DETAIL"]
    for each in findings:
        lines += _row(each, width, what_width)
    counts = {state: sum(each.state == state for each in findings) for state in MARKS}
    lines += ["", f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed"]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    ok = all(each.state != "fail" for each in findings)
    return json.dumps({"ok": ok, "findings": [each.members() for each in findings]}, indent=2)


def _row(finding: Finding, width: int, what_width: int) -> list[str]:
    room = width - what_width - 8
    what, detail = _wrapped(finding.what, what_width), _wrapped(finding.detail, room)
    if finding.advice and finding.state != "ok":
        detail += [("-> " if not number else "   ") + line for number, line in enumerate(_wrapped(finding.advice, room - 3))]
    height = max(len(what), len(detail))
    what += [""] * (height - len(what))
    detail += [""] * (height - len(detail))
    marks = [MARKS[finding.state], *["    "] * (height - 1)]
    return [f"{mark}  {left:{what_width}}  {right}".rstrip() for mark, left, right in zip(marks, what, detail, strict=True)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(_plain(text), width, break_on_hyphens=False) or [""]


def _plain(text: str) -> str:
    """What others said may hold anything: a terminal gets no control codes from here."""
    return "".join(each if each.isprintable() else " " for each in text)

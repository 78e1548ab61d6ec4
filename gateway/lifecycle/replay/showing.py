"""A report of a replay, for a reader and for a machine."""

from collections import Counter
from typing import TypeVar

from gateway.lifecycle import printing
from gateway.lifecycle.recorded import Reading
from gateway.lifecycle.replay.compare import KINDS, Kind
from gateway.lifecycle.replay.run import Example, Report
from gateway.lifecycle.replay.traffic import Traffic
from gateway.lifecycle.telling import when
from gateway.model import Json, JsonObject

MOST_ROWS = 20  # of a table; JSON has all

T = TypeVar("T")


def show(report: Report, traffic: Traffic, read: Reading) -> None:
    """Print it, what matters most first."""
    rows = [
        (kind, rule, str(count))
        for kind in KINDS
        for (each, rule), count in report.by_rule.most_common(MOST_ROWS)
        if each == kind
    ]
    if rows:
        printing.table(("what", "by rule", "decisions"), rows, right=("decisions",))
        printing.table(("what", "for", "decisions"), _by_subject(report), right=("decisions",), last="Examples")
        for examples in report.examples.values():
            for example in examples[:1]:
                for line in _sentence(example):
                    print(printing.plain(line))
        print()
    for line in summary(report, traffic, read):
        print(printing.plain(line))


def summary(report: Report, traffic: Traffic, read: Reading) -> list[str]:
    """What was compared, what came of it, and what nobody can know: each with its number."""
    base = "the recorded answers" if report.base == "recorded" else report.base
    shared = ["questions that differ only in what no rule reads have one answer"]
    if report.base != "recorded":
        shared = [f"{shared[0]},", "  and a question that both sets answer by the same rules is asked once"]
    speed = f"{report.replayed / report.duration_s:,.0f}/s" if report.duration_s else "at once"
    lines = [
        f"{report.replayed:,} of {traffic.decisions:,} recorded decisions put to {report.candidate}, compared with {base}",
        f"{report.asked:,} different questions (equal ones within 10 s count as one), {speed}",
        f"OPA was asked {report.evaluated:,} times: {shared[0]}",
        *shared[1:],
        f"{report.differing:,} decisions would differ"
        + "".join(f", {report.kinds[kind]:,} {kind}" for kind in KINDS if report.kinds[kind]),
    ]
    if report.unknown:
        by = ", ".join(f"{rule} ({count:,})" for rule, count in report.unknown_by_rule.most_common(5))
        lines += [f"{report.unknown:,} decisions cannot be told, for rules judge what was recorded as stand-ins:", f"  {by}"]
    if report.without_answer:
        lines.append(f"{report.without_answer:,} decisions have no recorded answer: name a base with --against")
    for reason, count in traffic.missing.most_common():
        lines.append(f"{count:,} decisions cannot be replayed: their question is {reason}")
    if read.bad_lines:
        lines.append(f"{read.bad_lines:,} lines of the audit cannot be read")
    return lines


def as_json(report: Report, traffic: Traffic, read: Reading) -> JsonObject:
    return {
        "candidate": report.candidate,
        "base": report.base,
        "decisions": traffic.decisions,
        "replayed": report.replayed,
        "asked": report.asked,
        "evaluated": report.evaluated,
        "differing": report.differing,
        "kinds": {kind: report.kinds[kind] for kind in KINDS},
        "by_rule": _entries("rule", report.by_rule),
        "by_subject": _entries("subject", report.by_subject),
        "examples": [_example(each) for examples in report.examples.values() for each in examples],
        "cannot_be_told": {"decisions": report.unknown, "rules": dict(report.unknown_by_rule)},
        "without_answer": report.without_answer,
        "missing": {str(reason): count for reason, count in traffic.missing.items()},
        "bad_lines": read.bad_lines,
        "duration_s": round(report.duration_s, 3),
    }


def _by_subject(report: Report) -> list[tuple[str, str, str]]:
    return [
        (kind, subject, str(count))
        for kind in KINDS
        for (each, subject), count in report.by_subject.most_common(MOST_ROWS)
        if each == kind
    ]


def _sentence(example: Example) -> tuple[str, ...]:
    question, difference = example.question, example.difference
    return (
        f"  {difference.kind}: {question.subject}, {question.action} {difference.item}",
        f"    {difference.before} → {difference.after}",
        f"    {when(question.time_ns)} decision {question.decision_id}",
    )


def _example(example: Example) -> JsonObject:
    question, difference = example.question, example.difference
    rules: list[Json] = [*difference.rules]
    return {
        "kind": difference.kind,
        "rules": rules,
        "subject": question.subject,
        "action": question.action,
        "phase": question.phase,
        "item": difference.item,
        "before": difference.before,
        "after": difference.after,
        "decision_id": question.decision_id,
        "time_ns": question.time_ns,
    }


def _entries(name: str, counts: Counter[tuple[Kind, str]]) -> list[Json]:
    return [{"kind": kind, name: said, "decisions": count} for (kind, said), count in counts.most_common()]

"""What was asked, taken from the audit: each different question once, with how often it stands there.

A question is kept where the audit's level kept it (`audit.record: replay`). A list that was answered from memory names the
decision it was answered by, and counts there. What was not kept is counted, and never made up.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import msgspec

from gateway.model import Json, JsonObject, Phase
from gateway.policy.document import MEMORY_NS

Missing = Literal["not recorded", "over the size limit", "of another contract version", "unreadable"]
PHASES: frozenset[str] = frozenset({"list", "request", "result"})


@dataclass(frozen=True, slots=True)
class Question:
    """One different question, and what was answered when it was asked first."""

    document: bytes  # `{"input": …}`
    phase: Phase
    items: tuple[str, ...]  # what each position is about, by id, URI or name
    backends: frozenset[str]
    subject: str
    scopes: tuple[str, ...]
    action: str
    decision_id: str
    time_ns: int
    stand_ins: tuple[tuple[str, ...], ...] = ()  # paths below `input` whose values are not the real ones
    answer: Json = None  # as it was recorded; None: it was not, or there was none
    revision: str | None = None
    cause: str | None = None  # why there was no answer
    times: int = 1  # recorded decisions that asked just this


@dataclass(slots=True)
class Traffic:
    """All questions of an audit."""

    questions: list[Question] = field(default_factory=list)
    decisions: int = 0  # recorded, kept or not
    missing: Counter[Missing] = field(default_factory=Counter)


def traffic(records: Iterable[JsonObject]) -> Traffic:
    """The questions in `records`, each different one once: equal but for ids, and for the time within ten seconds."""
    found: dict[bytes, Question] = {}
    times: Counter[bytes] = Counter()
    by_id: dict[str, bytes] = {}  # decision id -> key of its question
    named: Counter[str] = Counter()  # decisions without a document of their own
    lost: dict[str, Missing] = {}
    told = Traffic()
    for record in records:
        for one in _decisions(record):
            decision_id = str(one.get("decision_id", ""))
            read = _question(one)
            if not isinstance(read, Question) and "cause" in one and (not decision_id or decision_id in by_id):
                continue  # says of a decision that stands beside it why it was of no use
            told.decisions += 1
            if not isinstance(read, Question):
                named[decision_id] += 1
                if read != "not recorded" or decision_id not in lost:
                    lost[decision_id] = read
                continue
            key = _key(read, cast(JsonObject, one["document"]))
            by_id[decision_id] = key
            times[key] += 1
            found.setdefault(key, read)
    for decision_id, count in named.items():
        key = by_id.get(decision_id, b"")
        if key:
            times[key] += count
        else:
            told.missing[lost[decision_id]] += count
    told.questions = [each if times[key] == 1 else replace(each, times=times[key]) for key, each in found.items()]
    return told


def _decisions(record: JsonObject) -> list[JsonObject]:
    said = record.get("decisions")
    return [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []


def _question(one: JsonObject) -> Question | Missing:
    document = one.get("document")
    if not isinstance(document, dict):
        return "not recorded"
    if "omitted" in document:
        return "over the size limit"
    if document.get("version") != 1:
        return "of another contract version"
    try:
        return _read(one, document)
    except (KeyError, TypeError, AttributeError):
        return "unreadable"


def _read(one: JsonObject, document: JsonObject) -> Question:
    """Raises `KeyError`, `TypeError` or `AttributeError` for what the gateway did not write so."""
    action, subject, context = (cast(JsonObject, document[name]) for name in ("action", "subject", "context"))
    resources = cast(list[JsonObject], document["resources"])
    if action["phase"] not in PHASES or not isinstance(context["time_ns"], int):
        raise TypeError
    answer = one.get("answer")
    marks = one.get("stand_ins")
    return Question(
        document=msgspec.json.encode({"input": document}),
        phase=cast(Phase, action["phase"]),
        items=tuple(str(each.get("id") or each.get("uri") or each.get("public_name") or "?") for each in resources),
        backends=frozenset(str(each["backend"]) for each in resources if "backend" in each),
        subject=f"{subject.get('issuer', '')} {subject.get('id', subject['type'])}".strip(),
        scopes=tuple(str(each) for each in cast(list[Json], subject["scopes"])),
        action=str(action["name"]),
        decision_id=str(one.get("decision_id", "")),
        time_ns=context["time_ns"],
        stand_ins=tuple(_path(str(each)) for each in marks) if isinstance(marks, list) else (),
        answer=None if isinstance(answer, dict) and "omitted" in answer else answer,
        revision=cast(str | None, one.get("revision")),
        cause=cast(str | None, one.get("cause")),
    )


def _path(pointer: str) -> tuple[str, ...]:
    """RFC 6901, with `*` for any element of an array."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _key(question: Question, document: JsonObject) -> bytes:
    context = {**cast(JsonObject, document["context"]), "time_ns": question.time_ns - question.time_ns % MEMORY_NS}
    rest = {name: value for name, value in document.items() if name != "exchange"}
    whole = [{**rest, "context": context}, question.answer, question.revision, question.cause, question.stand_ins]
    return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).digest()

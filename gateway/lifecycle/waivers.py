"""Exceptions from refusals: which are in force, until when, and which of them anybody needed, as the audit tells.

A use is counted for the waiver that covered it when it happened. One that no waiver of these facts covers is told apart: its
waiver was changed or taken away since.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.adapters.opa import snapshot
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.snapshot import Source
from gateway.model import JsonObject
from gateway.policy import facts

State = Literal["in force", "expired"]
FACTS_SCHEMA = "facts.json"
SPEAKING = frozenset({"intent", "outcome", "exchange"})
APPROVING = "destructive_needs_approval"  # a rule of the library: what its settings approve are exceptions, too
APPROVED = "approved_in_facts"  # the code of the duty that a call has which they let through


@dataclass(frozen=True, slots=True)
class Use:
    """A refusal that was waived."""

    rule: str
    issuer: str
    subject: str
    backend: str
    time_ns: int
    tool: str = ""  # of a call that was approved


@dataclass(frozen=True, slots=True)
class Waiver:
    rule: str
    issuer: str
    subject: str
    backends: tuple[str, ...]
    until_ns: int
    reason: str
    state: State
    used: int = 0
    last_ns: int | None = None
    tool: str = ""  # of an approval: it is about this one

    def covers(self, use: Use) -> bool:
        return (
            (self.rule, self.issuer, self.subject, self.tool) == (use.rule, use.issuer, use.subject, use.tool)
            and use.backend in self.backends
            and use.time_ns < self.until_ns
        )


@dataclass(frozen=True, slots=True)
class Waivers:
    """Those in force first, the next to end at the top; then the expired ones, the newest at the top."""

    told: tuple[Waiver, ...]
    unexplained: tuple[Use, ...] = ()  # uses that no waiver of these facts covers


def reviewed(source: Source) -> JsonObject:
    """The facts of a policy set, or those that live apart from it, checked by their schema. Raises `PolicyRejected`."""
    if source.facts is not None:
        texts = dict(snapshot.facts(source.facts).texts)
        file = source.schemas / FACTS_SCHEMA
        schema = file.read_bytes() if file.is_file() else None
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = snapshot.take(source, Path(folder))
            schema = copy.schema(FACTS_SCHEMA)
        texts = {name: text for name, text in copy.texts.items() if name.startswith(facts.ROOT)}
    try:
        read = {name: text.decode() for name, text in texts.items()}
    except UnicodeDecodeError as error:
        raise PolicyRejected((Finding(facts.ROOT, 0, "holds a file that is not UTF-8"),)) from error
    if schema is None:
        raise PolicyRejected((Finding(FACTS_SCHEMA, 0, "is missing: it says what facts may be"),))
    if found := facts.facts(read, msgspec.json.decode(schema)):
        raise PolicyRejected(found)
    return facts.whole(read)


def waivers(told: JsonObject, records: Iterable[JsonObject], now_ns: int) -> Waivers:
    """What checked facts waive, and what of it the records used."""
    entries: Any = told.get("waivers", [])
    found = [
        Waiver(
            rule=one["rule"],
            issuer=one["issuer"],
            subject=one["subject"],
            backends=tuple(one["backends"]),
            until_ns=one["until_ns"],
            reason=one.get("reason", ""),
            state="in force" if now_ns < one["until_ns"] else "expired",
        )
        for one in entries
    ]
    found += _approvals(told, now_ns)
    unexplained = []
    for use in uses(records):
        at = next((position for position, one in enumerate(found) if one.covers(use)), None)
        if at is None:
            unexplained.append(use)
        else:
            last_ns = max(found[at].last_ns or 0, use.time_ns)
            found[at] = replace(found[at], used=found[at].used + 1, last_ns=last_ns)
    running = sorted((one for one in found if one.state == "in force"), key=lambda one: one.until_ns)
    over = sorted((one for one in found if one.state == "expired"), key=lambda one: -one.until_ns)
    return Waivers((*running, *over), tuple(unexplained))


def _approvals(told: JsonObject, now_ns: int) -> list[Waiver]:
    """Calls that the facts approve beforehand, each told like a waiver for one tool."""
    settings: Any = told.get("settings", {})
    return [
        Waiver(
            rule=f"org/{APPROVING}",
            issuer=one["issuer"],
            subject=one["subject"],
            backends=(one["backend"],),
            until_ns=one["until_ns"],
            reason=f"by {one['by']}" + (f": {one['reason']}" if "reason" in one else ""),
            state="in force" if now_ns < one["until_ns"] else "expired",
            tool=one["tool"],
        )
        for one in settings.get(APPROVING, {}).get("approved", [])
    ]


def uses(records: Iterable[JsonObject]) -> Iterator[Use]:
    """Every refusal that was waived, once for each exchange, rule and code: an intent and its outcome may both name it."""
    seen: set[tuple[str, str, str]] = set()
    for record in records:
        if record.get("type") not in SPEAKING:
            continue
        duties = [each for each in _list(record.get("duties")) if isinstance(each, dict) and each.get("code") == APPROVED]
        for one in (*_list(record.get("waived")), *duties):
            use = _use(record, one)
            key = (str(record.get("exchange_id")), use.rule, str(one.get("code"))) if use is not None else None
            if use is not None and key is not None and key not in seen:
                seen.add(key)
                yield use


def _use(record: Any, waived: Any) -> Use | None:
    """None: the record does not say who or what, as one that was cut to its limit."""
    try:
        subject, backend = record["subject"], record.get("backend") or record["item"]["backend"]
        tool = record["item"]["name"] if waived["code"] == APPROVED else ""
        return Use(waived["rule"], subject["issuer"], subject["id"], backend, record["time_ns"], tool)
    except (KeyError, TypeError):
        return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

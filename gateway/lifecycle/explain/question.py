"""What is to be explained: a question made of what a user says, one from a file, or one that the audit holds."""

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gateway.catalog.names import split_name, split_uri
from gateway.lifecycle.access.asked import METHODS, supposed
from gateway.lifecycle.access.items import items
from gateway.lifecycle.recorded import Reading, records
from gateway.model import Caller, ClientInfo, Identity, ItemType, Json, JsonObject, Resource, Subject
from gateway.policy import document
from gateway.policy.extract import declarations, extracted

SOON_LINES = 20_000  # after a decision's own line: a shadow answers within seconds
ID_CHARS = 32  # of a decision's id
MIN_BEGINNING = 6  # of its characters that may stand for it
ALIKE = 0.8  # of difflib's ratio: ids of one backend begin alike, and are not meant for that
MEANT = "did you mean "
ISSUER = "urn:mcp-gateway:explained"  # where nobody says who vouches for the subject


class Unanswerable(Exception):
    """There is nothing that could be explained: the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the audit says of one decision."""

    record: JsonObject
    revision: str | None
    cause: str | None  # why there was no decision
    question: JsonObject | None  # the input, where the level of the record keeps it
    stand_ins: tuple[str, ...] = ()  # JSON pointers to what in it is not what was sent
    shadows: tuple[JsonObject, ...] = ()  # what candidates would have done otherwise


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A request that somebody thinks of."""

    type: ItemType
    name: str  # its id: crm__search, or the URI as the gateway publishes it
    subject: str
    issuer: str = ISSUER
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    agent: str | None = None
    arguments: JsonObject | None = None
    surface: str = "default"


def question(asked: Hypothesis, facts: Json, time_ns: int) -> tuple[JsonObject, tuple[str, ...]]:
    """The input, and notes on what was assumed. The item's definition is taken to be the reviewed one; what the facts declare of
    its arguments is read in them, as the gateway would. Raises `Unanswerable`.
    """
    resource, notes = _resource(asked, facts)
    arguments = asked.arguments or {}
    try:
        declared = () if asked.type == "resource" else declarations(facts, "").of(resource)
    except ValueError as error:
        raise Unanswerable(f"the facts cannot be used: {error}") from error
    subject = Subject("user", Identity(asked.issuer, asked.subject), "jwt", asked.groups, asked.scopes)
    given = supposed(
        document.Question(
            caller=Caller(subject, asked.agent, "127.0.0.1"),
            action_name=METHODS[asked.type],
            phase="request",
            resources=(resource,),
            surface=asked.surface,
            protocol="2026-07-28",
            client=ClientInfo(),
            time_ns=time_ns,
            decision_id="",
            request_id="",
            trace_id=None,
            arguments=arguments,
            arguments_valid=True,
            extracted=extracted(declared, arguments) if declared else None,
        )
    )
    return given, notes


def parted(notes: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which name may be meant, as one wants to know before the answer for the other; and the rest."""
    meant = tuple(each for each in notes if each.startswith(MEANT))
    return meant, tuple(each for each in notes if each not in meant)


def from_file(path: Path) -> JsonObject:
    """The input in a JSON file: the document `{"input": …}`, or what is in it. Raises `Unanswerable`."""
    try:
        told = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise Unanswerable(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unanswerable(f"{path}: not JSON: {error}") from error
    given = told.get("input", told) if isinstance(told, dict) else None
    if not isinstance(given, dict) or not isinstance(given.get("resources"), list):
        raise Unanswerable(f"{path}: no input document (docs/input.md): it has no list of resources")
    return given


def recorded(decision_id: str, folder: Path) -> Recorded:
    """What the audit says of a decision, and what a shadow said of it. The first characters of its id do, where they suffice.

    Raises `Unanswerable` and `NoAudit`.
    """
    read = Reading()
    if MIN_BEGINNING <= len(decision_id) < ID_CHARS:
        decision_id = _whole(decision_id, folder)
    found: Recorded | None = None
    shadows: list[JsonObject] = []  # they stand before or after it: the call may have taken its time
    wanted_until = sys.maxsize
    for record in records(folder, read):
        if record.get("type") == "shadow" and record.get("decision_id") == decision_id:
            shadows.append(record)
        if found is None and (found := _decided(record, decision_id)) is not None:
            wanted_until = read.lines + SOON_LINES
        if read.lines > wanted_until:
            break
    if found is not None:
        return replace(found, shadows=tuple(shadows))
    bad = f" ({read.bad_lines} of them could not be read)" if read.bad_lines else ""
    raise Unanswerable(f"{folder}: no decision {decision_id} in {read.lines} lines of {read.files} files{bad}")


def _whole(beginning: str, folder: Path) -> str:
    """The only id that begins so, or `beginning` itself where there is none."""
    found = {
        id: None
        for record in records(folder, Reading())
        for one in _objects(record.get("decisions"))
        if (id := _text(one, "decision_id")) is not None and id.startswith(beginning)
    }
    if len(found) > 1:
        some = ", ".join(list(found)[:3])
        raise Unanswerable(f"{folder}: {len(found)} decisions begin with {beginning}: {some} …; give more of the id")
    return next(iter(found), beginning)


def _decided(record: JsonObject, decision_id: str) -> Recorded | None:
    for one in _objects(record.get("decisions")):
        if one.get("decision_id") == decision_id:
            held = one.get("document")
            given = held.get("input", held) if isinstance(held, dict) else None
            usable = isinstance(given, dict) and isinstance(given.get("resources"), list)
            marks = one.get("stand_ins")
            return Recorded(
                record=record,
                revision=_text(one, "revision"),
                cause=_text(one, "cause"),
                question=given if isinstance(given, dict) and usable else None,
                stand_ins=tuple(str(each) for each in marks) if isinstance(marks, list) else (),
            )
    return None


def _resource(asked: Hypothesis, facts: Json) -> tuple[Resource, tuple[str, ...]]:
    place = split_name(asked.name) if asked.type in ("tool", "prompt") else split_uri(asked.name)
    if place is None:
        raise Unanswerable(f"{asked.name}: no name of an item: a tool is named crm__search, a resource gw-crm+crm://price-list")
    backend, name = place
    pinned = _at(facts, "items", backend, asked.type, name)
    meant = difflib.get_close_matches(asked.name, _known(asked.type, facts), n=1, cutoff=ALIKE) if pinned is None else []
    fingerprint = pinned.get("fingerprint") if isinstance(pinned, dict) else None
    notes: tuple[str, ...] = ()
    if not isinstance(fingerprint, str):
        fingerprint = None
        notes = (f"the facts hold no reviewed definition of {asked.name}: it is asked about without a fingerprint",)
        notes += tuple(f"{MEANT}{id}?" for id in meant)
    by_uri = asked.type == "resource"
    return (
        Resource(
            type=asked.type,
            public_name=asked.name,
            backend=backend,
            name=name if asked.type in ("tool", "prompt") else None,
            uri=name if by_uri else None,
            id=asked.name,
            listed=fingerprint is not None,
            template=name if asked.type == "resource_template" else None,
            fingerprint=fingerprint,
        ),
        notes,
    )


def _known(type: ItemType, facts: Json) -> list[str]:
    """The ids of the items that the facts know."""
    return [each.public_name for each in items(facts, {}) if each.type == type]


def _at(whole: Json, *path: str) -> Json:
    for name in path:
        whole = whole.get(name) if isinstance(whole, dict) else None
    return whole


def _objects(said: Json) -> Sequence[JsonObject]:
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []


def _text(said: JsonObject, name: str) -> str | None:
    told = said.get(name)
    return told if isinstance(told, str) else None

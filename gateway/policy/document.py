"""What is asked: one input document per question. A fact that is not there is absent, never null.

A listing of N items and a call of one are the same question with N resources or one; so they meet the same rules. The words
of version 1 are here; those of another version are handed in (`contract`). What no version changes is how a document is put
together: `resources`, which answers name by position and lists keep serialised, and `exchange`, the last member.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, TypeVar

import msgspec

from gateway.model import Caller, ClientInfo, Identity, Json, JsonObject, Phase, Resource

VERSION = 1
OFFERED = ("redact", "rate_limit", "inspect_result", "audit")  # what this gateway can do; approvals it cannot ask for yet
CHUNK = 500  # resources per question: a list of 1,000 costs OPA 53 ms in one piece
MEMORY_NS = 10_000_000_000  # a remembered list decision may be this old: rules that look at the time must not go stale

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """Everything the policy is told. What was decided last is what is forwarded, so `arguments` are the final ones."""

    caller: Caller
    action_name: str  # the method; in a list the list's own
    phase: Phase
    resources: tuple[Resource, ...]
    surface: str
    protocol: str
    client: ClientInfo
    time_ns: int
    decision_id: str
    request_id: str
    trace_id: str | None  # None: the client sent none
    arguments: JsonObject | None = None  # None: phase list
    arguments_valid: bool | None = None
    unknown_arguments: tuple[str, ...] = ()  # JSON pointers into `arguments`
    extracted: JsonObject | None = None  # None: nothing is declared for the item
    result: JsonObject | None = None  # None: not phase result
    initiator: Literal["client", "server"] = "client"
    offered: tuple[str, ...] = OFFERED
    approvals: tuple[JsonObject, ...] = ()

    def __post_init__(self) -> None:
        if self.phase != "list" and (len(self.resources) != 1 or self.arguments is None or self.arguments_valid is None):
            raise ValueError(f"phase {self.phase} asks about exactly one resource, with arguments that were checked")
        if (self.phase == "result") != (self.result is not None):
            raise ValueError("a result belongs to phase result, and phase result to a result")
        if self.phase == "list" and self.arguments is not None:
            raise ValueError("phase list has no arguments")


@dataclass(frozen=True, slots=True)
class Words:
    """How one version of the contract says a question."""

    parts: Callable[[Question], JsonObject]  # all but `resources` (which may be serialised already) and `exchange`
    resource: Callable[[Resource], JsonObject]


@dataclass(frozen=True, slots=True)
class Fragments:
    """The resources of one question, serialised once and kept by whoever asks about the same items again."""

    array: bytes
    digest: bytes
    count: int
    words: Words


def document(question: Question, *, words: Words | None = None) -> JsonObject:
    """The whole document, `{"input": …}`, as plain values."""
    words = words or WORDS
    parts = words.parts(question)
    parts["resources"] = [words.resource(resource) for resource in question.resources]
    return {"input": {**parts, "exchange": _exchange(question)}}


def serialised(question: Question, *, resources: Fragments | None = None, words: Words | None = None) -> bytes:
    """The document as OPA gets it. `resources`, where given, are the question's own, serialised earlier."""
    words = words or WORDS
    listed = _own(question, resources, words)
    whole: dict[str, object] = dict(words.parts(question))
    whole["resources"] = msgspec.Raw(listed.array)
    whole["exchange"] = _exchange(question)
    return msgspec.json.encode({"input": whole})


def memory_key(question: Question, revision: str, *, resources: Fragments | None = None, words: Words | None = None) -> bytes:
    """SHA-256 over the policy revision and the whole document, less `exchange` and with the time rounded down."""
    if not revision:
        raise ValueError("without a policy revision nothing is remembered")
    words = words or WORDS
    rounded = replace(question, time_ns=question.time_ns - question.time_ns % MEMORY_NS)
    rest = msgspec.json.encode([revision, words.parts(rounded)], order="deterministic")
    return sha256(_own(question, resources, words).digest + rest).digest()


def fragments(resources: Sequence[Resource], words: Words | None = None) -> Fragments:
    """Several resources as they stand in the document; the same bytes as long as no item of them changes."""
    words = words or WORDS
    array = msgspec.json.encode([words.resource(each) for each in resources])
    return Fragments(array, sha256(array).digest(), len(resources), words)


def chunks(resources: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Parts of at most `size`, in order. No resources: no part, and so no question."""
    for start in range(0, len(resources), size):
        yield resources[start : start + size]


def _own(question: Question, given: Fragments | None, words: Words) -> Fragments:
    """What was serialised earlier, unless it was for a policy set of another version."""
    if given is None or given.words is not words:
        return fragments(question.resources, words)
    if given.count != len(question.resources):
        raise ValueError(f"{given.count} fragments for {len(question.resources)} resources: positions would be mistaken")
    return given


def _parts(question: Question) -> JsonObject:
    parts: JsonObject = {"version": VERSION, "subject": _subject(question.caller)}
    agent = _agent(question.caller, question.client)
    if agent:
        parts["agent"] = agent
    parts["action"] = {"name": question.action_name, "phase": question.phase, "initiator": question.initiator}
    if question.arguments is not None:
        parts["arguments"] = question.arguments
    if question.arguments_valid is not None:
        parts["arguments_valid"] = question.arguments_valid
        parts["unknown_arguments"] = [*question.unknown_arguments]
    if question.extracted is not None:
        parts["extracted"] = question.extracted
    if question.result is not None:
        parts["result"] = question.result
    parts["context"] = {
        "surface": question.surface,
        "protocol": question.protocol,
        "time_ns": question.time_ns,
        "source_ip": question.caller.source_ip,
        "approvals": [*question.approvals],
        "obligations": [*question.offered],
    }
    return parts


def _subject(caller: Caller) -> JsonObject:
    subject = caller.subject
    said: JsonObject = {"type": subject.type}
    said |= _present(("issuer", subject.identity.issuer or None), ("id", subject.identity.id or None))
    said["groups"] = [*subject.groups]
    said["scopes"] = [*subject.scopes]
    said["claims"] = dict(subject.claims)
    said["authentication"] = subject.authentication
    said |= _present(("credential", caller.credential or None))
    if subject.assurance:
        said["assurance"] = dict(subject.assurance)
    said["actors"] = [_identity(actor) for actor in subject.actors]
    return said


def _identity(identity: Identity) -> JsonObject:
    return {"issuer": identity.issuer, "id": identity.id}


def _agent(caller: Caller, client: ClientInfo) -> JsonObject:
    said = _present(("id", caller.agent_id))
    claimed = _present(("name", client.name), ("version", client.version))
    if claimed:
        said["claimed"] = claimed
    return said


def _resource(resource: Resource) -> JsonObject:
    annotations = None if resource.annotations is None else dict(resource.annotations)
    said: JsonObject = {"type": resource.type}
    said |= _present(
        ("backend", resource.backend),
        ("name", resource.name),
        ("uri", resource.uri),
        ("id", resource.id),
        ("public_name", resource.public_name or None),
    )
    said["listed"] = resource.listed
    said |= _present(
        ("template", resource.template),
        ("annotations", annotations),
        ("fingerprint", resource.fingerprint),
    )
    return said


def _exchange(question: Question) -> JsonObject:
    return _present(
        ("decision_id", question.decision_id or None),
        ("request_id", question.request_id or None),
        ("trace_id", question.trace_id or None),
    )


def _present(*facts: tuple[str, Json]) -> JsonObject:
    return {name: value for name, value in facts if value is not None}


WORDS = Words(_parts, _resource)  # of version 1

"""A document of version 1 is a question again: `document(question(asked))` says exactly what `asked` said.

So a recording, or a question that the live set was asked, can be put to a policy set of another version.
"""

from typing import Any, Literal

import msgspec

from gateway.model import Caller, ClientInfo, Identity, ItemType, JsonObject, Phase, Resource, Subject
from gateway.policy.document import Question


class _Identity(msgspec.Struct):
    issuer: str
    id: str


class _Subject(msgspec.Struct):
    type: Literal["user", "workload", "anonymous"]
    authentication: Literal["jwt", "api_key", "mtls", "asserted", "none"]
    groups: list[str]
    scopes: list[str]
    claims: dict[str, Any] = {}
    issuer: str = ""
    id: str = ""
    credential: str = ""
    assurance: dict[str, Any] = {}
    actors: list[_Identity] = []


class _Client(msgspec.Struct):
    name: str | None = None
    version: str | None = None


class _Agent(msgspec.Struct):
    id: str | None = None
    claimed: _Client = msgspec.field(default_factory=_Client)


class _Action(msgspec.Struct):
    name: str
    phase: Phase
    initiator: Literal["client", "server"] = "client"


class _Resource(msgspec.Struct):
    type: ItemType
    public_name: str = ""
    backend: str | None = None
    name: str | None = None
    uri: str | None = None
    id: str | None = None
    listed: bool = False
    template: str | None = None
    annotations: dict[str, Any] | None = None
    fingerprint: str | None = None


class _Context(msgspec.Struct):
    surface: str
    protocol: str
    time_ns: int
    source_ip: str
    approvals: list[dict[str, Any]] = []
    obligations: list[str] = []


class _Exchange(msgspec.Struct):
    decision_id: str = ""
    request_id: str = ""
    trace_id: str | None = None


class _Document(msgspec.Struct):
    version: Literal[1]
    subject: _Subject
    action: _Action
    resources: list[_Resource]
    context: _Context
    agent: _Agent = msgspec.field(default_factory=_Agent)
    exchange: _Exchange = msgspec.field(default_factory=_Exchange)
    arguments: dict[str, Any] | None = None
    arguments_valid: bool | None = None
    unknown_arguments: list[str] = []
    extracted: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


def question(asked: JsonObject) -> Question:
    """The question that a document (without the outer `input`) asks. Raises `ValueError` for anything but one of version 1."""
    said = msgspec.convert(asked, _Document)  # its error is a ValueError
    context = said.context
    return Question(
        caller=_caller(said),
        action_name=said.action.name,
        phase=said.action.phase,
        resources=tuple(Resource(**msgspec.structs.asdict(each)) for each in said.resources),
        surface=context.surface,
        protocol=context.protocol,
        client=ClientInfo(said.agent.claimed.name, said.agent.claimed.version),
        time_ns=context.time_ns,
        decision_id=said.exchange.decision_id,
        request_id=said.exchange.request_id,
        trace_id=said.exchange.trace_id,
        arguments=said.arguments,
        arguments_valid=said.arguments_valid,
        unknown_arguments=tuple(said.unknown_arguments),
        extracted=said.extracted,
        result=said.result,
        initiator=said.action.initiator,
        offered=tuple(context.obligations),
        approvals=tuple(context.approvals),
    )


def _caller(said: _Document) -> Caller:
    one = said.subject
    subject = Subject(
        one.type,
        Identity(one.issuer, one.id),
        one.authentication,
        groups=tuple(one.groups),
        scopes=tuple(one.scopes),
        claims=one.claims,
        assurance=one.assurance,
        actors=tuple(Identity(each.issuer, each.id) for each in one.actors),
    )
    return Caller(subject, said.agent.id, said.context.source_ip, credential=one.credential)

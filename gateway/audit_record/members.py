"""The parts that records are made of, each with its members as JSON. What is not there is absent, never null."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.model import Caller, ClientInfo, Decision, Denial, Era, Json, JsonObject, Message, Phase, Resource, Subject

Level = Literal["metadata", "arguments", "full"]
Outcome = Literal[
    "ok",
    "tool_error",  # the backend answered, with `isError`
    "denied",
    "invisible",  # exists, and was answered as unknown
    "unknown",
    "limited",
    "undecided",
    "unrecorded",
    "backend_failed",
    "backend_error",
    "withheld",  # carried out, and its result not handed over
    "refused",  # by the gateway itself: bad request, cap, missing capability
    "cancelled",
    "internal",
]
MAX_WORD_CHARS = 2048  # of text that a client or backend chose and that names something: a record must stay a line


UNCLAIMED = ClientInfo()


@dataclass(frozen=True, slots=True)
class Head:
    """Which exchange: the same members open every record of it."""

    exchange_id: str
    surface: str
    method: str
    era: Era
    protocol: str
    trace_id: str | None = None

    @classmethod
    def of(cls, message: Message, *, exchange_id: str, surface: str, trace_id: str | None = None) -> "Head":
        return cls(exchange_id, surface, message.method, message.era, message.version, trace_id)

    def members(self) -> JsonObject:
        return present(
            {
                "exchange_id": self.exchange_id,
                "surface": self.surface,
                "method": word(self.method),
                "era_client": self.era,
                "protocol": word(self.protocol),
                "trace_id": self.trace_id,
            }
        )


@dataclass(frozen=True, slots=True)
class Who:
    """Who asked, as far as the record must know to ask a policy again."""

    caller: Caller
    claimed: ClientInfo = UNCLAIMED

    def members(self) -> JsonObject:
        claimed = present({"name": word(self.claimed.name), "version": word(self.claimed.version)})
        return present(
            {
                "subject": subject(self.caller.subject),
                "agent": self.caller.agent_id,
                "credential": self.caller.credential or None,
                "claimed": claimed or None,
                "source_ip": self.caller.source_ip,
            }
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer of the policy, or the failure to get one (`cause`)."""

    decision_id: str
    phase: Phase
    revision: str | None = None
    cause: str | None = None  # one of `errors.UNDECIDED_CAUSES`
    remembered: bool = False  # the answer was given before, to the very same question
    kept: JsonObject | None = None  # `document`, `stand_ins` and `answer`, where what a replay needs is recorded

    @classmethod
    def of(cls, decision: Decision, phase: Phase, *, remembered: bool = False, kept: JsonObject | None = None) -> "Asked":
        return cls(decision.decision_id, phase, decision.revision, None, remembered, kept)

    def members(self) -> JsonObject:
        said = present(
            {
                "decision_id": self.decision_id,
                "phase": self.phase,
                "revision": self.revision,
                "cause": self.cause,
                **(self.kept or {}),
            }
        )
        if self.remembered:
            said["remembered"] = True
        return said


@dataclass(frozen=True, slots=True)
class Duty:
    """An obligation that was carried out, and how often it found something to do."""

    rule: str
    type: str
    code: str
    hits: int | None = None  # redactions: places changed

    def members(self) -> JsonObject:
        return present({"rule": self.rule, "type": self.type, "code": self.code, "hits": self.hits})


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy said over one exchange, phase by phase, and what was done about it."""

    asked: tuple[Asked, ...] = ()
    granted_by: tuple[str, ...] = ()
    hidden_by: tuple[str, ...] = ()
    denials: tuple[Denial, ...] = ()
    observed: Mapping[str, Json] = field(default_factory=dict)
    waived: tuple[JsonObject, ...] = ()
    duties: tuple[Duty, ...] = ()
    level: Level = "metadata"

    def members(self) -> JsonObject:
        said: JsonObject = {"level": self.level, "decisions": [one.members() for one in self.asked]}
        lists: dict[str, list[Json]] = {
            "granted_by": [*self.granted_by],
            "hidden_by": [*self.hidden_by],
            "denials": [denial(one) for one in self.denials],
            "waived": [*self.waived],
            "duties": [one.members() for one in self.duties],
        }
        said.update({name: values for name, values in lists.items() if values})
        if self.observed:
            said["observed"] = dict(self.observed)
        return said


@dataclass(frozen=True, slots=True)
class End:
    """How it ended, what it took, and on which way it went."""

    outcome: Outcome
    duration_ms: float
    cause: str | None = None  # one closed word
    status: int | None = None  # HTTP, where it is not 200
    code: int | None = None  # JSON-RPC, where it was an error
    decision_ms: float | None = None
    backend_ms: float | None = None
    bytes_in: int = 0  # of the client's message
    bytes_out: int = 0  # of the answer
    notices: int = 0  # relayed with it
    parts_withheld: int = 0  # of the answer and its messages: they could not be checked for what is to be redacted

    def members(self) -> JsonObject:
        said = present(
            {
                "outcome": self.outcome,
                "cause": self.cause,
                "status": self.status,
                "code": self.code,
                "duration_ms": round(self.duration_ms, 3),
                "decision_ms": None if self.decision_ms is None else round(self.decision_ms, 3),
                "backend_ms": None if self.backend_ms is None else round(self.backend_ms, 3),
                "bytes_in": self.bytes_in,
                "bytes_out": self.bytes_out,
            }
        )
        if self.notices:
            said["notices"] = self.notices
        if self.parts_withheld:
            said["parts_withheld"] = self.parts_withheld
        return said


def subject(one: Subject) -> JsonObject:
    said: JsonObject = {
        "type": one.type,
        "issuer": one.identity.issuer,
        "id": one.identity.id,
        "authentication": one.authentication,
        "groups": [*one.groups],
        "scopes": [*one.scopes],
    }
    if one.claims:
        said["claims"] = dict(one.claims)
    if one.assurance:
        said["assurance"] = dict(one.assurance)
    if one.actors:
        said["actors"] = [{"issuer": actor.issuer, "id": actor.id} for actor in one.actors]
    return said


def item(one: Resource) -> JsonObject:
    return present(
        {
            "type": one.type,
            "id": one.id,
            "name": word(one.name),
            "uri": word(one.uri),
            "public_name": word(one.public_name),
            "template": word(one.template),
            "fingerprint": one.fingerprint,
        }
    )


def denial(one: Denial) -> JsonObject:
    said: JsonObject = {"rule": one.rule, "code": one.code, "message": one.message}
    if one.details:
        said["details"] = dict(one.details)
    if one.scopes:
        said["scopes"] = [*one.scopes]
    return said


def present(members: JsonObject) -> JsonObject:
    return {name: value for name, value in members.items() if value is not None}


def word(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_WORD_CHARS else text[:MAX_WORD_CHARS] + "…"

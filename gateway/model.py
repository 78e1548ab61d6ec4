"""The nouns of one exchange. Frozen, without behaviour beyond reading themselves, the same for both eras.

A *subject* performs an *action* on a *resource* in a *context*; the gateway enforces, OPA decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, Json]

Era = Literal["modern", "legacy"]
"""`modern`: 2026-07-28 on, metadata with every request. `legacy`: 2025-06-18 and 2025-11-25, `initialize` and sessions."""

RequestId: TypeAlias = int | str
ItemType = Literal["tool", "prompt", "resource", "resource_template"]
Phase = Literal["list", "request", "result"]

MODERN_VERSIONS = ("2026-07-28",)
LEGACY_VERSIONS = ("2025-11-25", "2025-06-18")  # newest first: the first one is offered to a client that asks for another
SUPPORTED_VERSIONS = (*MODERN_VERSIONS, *LEGACY_VERSIONS)


# --- who asks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """An issuer and an id within it: only the pair names somebody."""

    issuer: str
    id: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Who performs the action, as verified. Nothing in it was merely claimed by the client."""

    type: Literal["user", "workload", "anonymous"]
    identity: Identity
    authentication: Literal["jwt", "api_key", "mtls", "asserted", "none"]
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    claims: Mapping[str, Json] = field(default_factory=dict)
    assurance: Mapping[str, Json] = field(default_factory=dict)
    actors: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """A subject, the agent that acts for it, and the address it came from."""

    subject: Subject
    agent_id: str | None  # verified OAuth client_id or workload id; None: there is none
    source_ip: str
    surfaces: frozenset[str] | None = None  # surfaces this credential is good for; None: every one
    expires_at_s: float | None = None  # Unix time after which the credential no longer counts
    credential: str = ""  # names the credential without revealing it ("key:ci"); "": none
    token: str | None = field(default=None, repr=False, compare=False)  # as sent (an asserted user's workload's); for its issuer
    dpop_algorithms: tuple[str, ...] = field(default=(), compare=False)  # its proofs may be signed with; (): it owes none

    @property
    def key(self) -> str:
        """Names the subject, how it was authenticated, its agent and who acts for it: what one obtained is never another's.

        A user whom a workload merely names shares nothing with the same user who came with a token. Every part says its
        own length, so no id, whatever characters it has, makes two callers' keys equal.
        """
        subject = self.subject
        parts = [subject.type, subject.authentication, subject.identity.issuer, subject.identity.id, self.agent_id]
        for actor in subject.actors:
            parts += (actor.issuer, actor.id)
        return "".join(["-" if part is None else f"{len(part)}:{part}" for part in parts])


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """What the client says of itself: untrusted, never a ground for a decision."""

    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request shows of whoever sent it, before anything is verified."""

    headers: Sequence[tuple[str, str]]
    method: str  # HTTP method: a proof of possession names it
    peer_ip: str
    certificate: bytes | None = None  # the client's, DER; verified by the listener's own CA


# --- what it says -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """One client message, of either era, after parsing and the rejection ladder."""

    era: Era
    version: str  # a legacy message takes its session's version; "" until the session is known
    method: str
    params: JsonObject  # as sent, `_meta` included; {} where absent
    id: RequestId | None = None  # None: a notification
    session_id: str | None = None  # legacy only
    client: ClientInfo = ClientInfo()
    capabilities: Mapping[str, Json] = field(default_factory=dict)
    param_headers: tuple[tuple[str, str], ...] = ()  # every `Mcp-Param-*` line as received, lower-case names
    body_bytes: int = 0

    @property
    def meta(self) -> JsonObject:
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}


# --- what exists ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """A tool, prompt, resource or resource template, as its backend offers it and as a surface shows it.

    `name` is the backend's own: a tool's or prompt's name, a resource's URI, a template's URI template.
    `id` is unique in the gateway and stable; `public_name` is what one surface calls it (equal to `id` by default).
    """

    backend: str
    type: ItemType
    name: str
    id: str
    public_name: str
    definition: Mapping[str, Json]  # as clients see it: public name in place, gateway-only parts gone
    fingerprint: str  # "sha256:<hex>" of the backend's own definition
    annotations: Mapping[str, Json] = field(default_factory=dict)
    header_map: Mapping[tuple[str, ...], str] = field(default_factory=dict)  # property path -> `x-mcp-header` token
    modern: bytes = b""  # the definition, serialised once for each era
    legacy: bytes = b""


@dataclass(frozen=True, slots=True)
class Resource:
    """What a decision is asked about: a catalog item, or a name or URI that no list shows."""

    type: ItemType
    public_name: str
    backend: str | None = None  # None: the name belongs to no backend
    name: str | None = None  # the backend's own name (tool, prompt); a resource has `uri` instead
    uri: str | None = None
    id: str | None = None
    listed: bool = False
    template: str | None = None
    annotations: Mapping[str, Json] | None = None
    fingerprint: str | None = None


# --- what is decided --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Denial:
    rule: str  # path of the rule's package below `mcp`, e.g. "servers/github/merging"
    code: str
    message: str  # may carry {names} that `details` fill
    details: Mapping[str, Json] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()  # a token with these would not have met this denial


@dataclass(frozen=True, slots=True)
class Obligation:
    rule: str
    type: str
    code: str
    properties: Mapping[str, Json]
    positions: frozenset[int] | None = None  # None: every position of its author


@dataclass(frozen=True, slots=True)
class Decision:
    """The policy's answer, validated: `allowed` ⊆ `visible` ⊆ the positions asked about."""

    visible: frozenset[int]
    allowed: frozenset[int]
    granted_by: Mapping[str, tuple[int, ...]]
    hidden_by: Mapping[str, tuple[int, ...]]
    denials: tuple[Denial, ...]
    obligations: tuple[Obligation, ...]
    observed: Mapping[str, Json]
    waived: tuple[JsonObject, ...]
    revision: str
    decision_id: str
    duties_key: bytes = field(default=b"", compare=False)  # of the obligations and the count asked about: plans are kept by it


# --- what goes to a backend, and what comes back ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request to one backend, in the backend's own names; the adapter adds era, ids, `_meta` and headers."""

    backend: str
    method: str
    params: JsonObject  # without `_meta`
    owner: str  # Caller.key, or "" for the gateway itself: backend sessions are never shared between owners
    meta: Mapping[str, Json] = field(default_factory=dict)  # what may pass in `_meta` (trace context)
    progress: bool = False  # the client asked for progress
    log_level: str | None = None  # None: no log messages wanted
    param_headers: Mapping[str, str] = field(default_factory=dict)  # `Mcp-Param-*`, built from the final arguments
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the client's, those that may pass; lower-case names
    caller: Caller | None = None  # for whom; None: the gateway itself
    item_id: str = ""  # what was decided about, and by which decision
    decision_id: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    params: JsonObject  # progress, total?, message?; no token: the exchange puts the client's own in


@dataclass(frozen=True, slots=True)
class Log:
    params: JsonObject  # level, logger?, data


@dataclass(frozen=True, slots=True)
class Answer:
    """A backend's result: its last message."""

    result: JsonObject
    era: Era
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A backend's JSON-RPC error: its last message."""

    code: int
    message: str
    data: Json
    era: Era


BackendMessage: TypeAlias = Progress | Log | Answer | Fault


@dataclass(frozen=True, slots=True)
class Change:
    """Something a backend told of its own accord. `uri` (the backend's own) only for an updated resource."""

    backend: str
    kind: Literal["tools", "prompts", "resources", "updated"]
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All items of one type at one backend, raw; or one page of them when `next_cursor` is set."""

    backend: str
    type: ItemType
    definitions: tuple[JsonObject, ...]
    era: Era
    ttl_ms: int = 0  # freshness the backend granted; 0: none
    next_cursor: str | None = None


# --- what goes to the client ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification to the client, on the stream of the request it belongs to."""

    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Reply:
    """A result to the client: an object, or one already serialised."""

    result: JsonObject | bytes

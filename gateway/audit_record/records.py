"""One noun per type of record; `record()` is the line without its envelope, which the writer adds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.audit_record.members import End, Head, Level, Ruling, Who, item, present, word
from gateway.model import Era, ItemType, JsonObject, Resource

Subsystem = Literal["settings", "policy", "shadow", "facts", "catalog", "audit", "keys"]

UNRULED = Ruling()


@dataclass(frozen=True, slots=True)
class Intent:
    """Written before anything is forwarded: what will be sent, for whom, and why it may."""

    head: Head
    who: Who
    item: Resource
    backend: str
    ruling: Ruling
    arguments: JsonObject | None = None  # as forwarded (so redacted), at level arguments or full
    era_backend: Era | None = None

    def record(self) -> JsonObject:
        return {
            "type": "intent",
            **self.head.members(),
            **self.who.members(),
            "item": item(self.item),
            "backend": self.backend,
            **present({"era_backend": self.era_backend}),
            **self.ruling.members(),
            **_leveled(self.ruling.level, self.arguments, None),
        }


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of a forwarded exchange: closes its intent. Its ruling holds what was decided since the intent."""

    head: Head
    who: Who
    item: Resource
    backend: str
    ruling: Ruling
    end: End
    result: JsonObject | None = None  # as answered (so redacted), at level full
    era_backend: Era | None = None

    def record(self) -> JsonObject:
        return {
            "type": "outcome",
            **self.head.members(),
            **self.who.members(),
            "item": item(self.item),
            "backend": self.backend,
            **present({"era_backend": self.era_backend}),
            **self.ruling.members(),
            **self.end.members(),
            **_leveled(self.ruling.level, None, self.result),
        }


@dataclass(frozen=True, slots=True)
class Exchange:
    """The one line of an exchange of which nothing was forwarded: answered by the gateway, denied, unknown, undecided."""

    head: Head
    who: Who
    end: End
    ruling: Ruling = UNRULED
    item: Resource | None = None
    backend: str | None = None
    arguments: JsonObject | None = None

    def record(self) -> JsonObject:
        return {
            "type": "exchange",
            **self.head.members(),
            **self.who.members(),
            **present({"item": None if self.item is None else item(self.item), "backend": self.backend}),
            **self.ruling.members(),
            **self.end.members(),
            **_leveled(self.ruling.level, self.arguments, None),
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """The one line of a list: how many items were shown and hidden, and by which rule."""

    head: Head
    who: Who
    end: End
    ruling: Ruling
    shown: int
    hidden: int  # not shown, for whatever reason: also what nobody granted
    hidden_by: Mapping[str, int] = field(default_factory=dict)  # rule -> how many it hid
    missing: tuple[str, ...] = ()  # backends whose part was not there
    backend: str | None = None  # of a list page that came from one backend
    items: tuple[str, ...] | None = None  # ids of the shown ones, at level full

    def record(self) -> JsonObject:
        counts: JsonObject = {"shown": self.shown, "hidden": self.hidden}
        if self.hidden_by:
            counts["hidden_by"] = dict(self.hidden_by)
        if self.missing:
            counts["missing"] = [*self.missing]
        if self.items is not None and self.ruling.level == "full":
            counts["ids"] = [*self.items]
        return {
            "type": "listing",
            **self.head.members(),
            **self.who.members(),
            **present({"backend": self.backend}),
            **{name: value for name, value in self.ruling.members().items() if name != "hidden_by"},
            "items": counts,
            **self.end.members(),
        }


@dataclass(frozen=True, slots=True)
class Fetch:
    """Written before a backend is asked for its lists with a subject's own credential.

    With a `head` it is for the page that one exchange asks for; without, for what the subject's exchanges see from now on.
    """

    who: Who
    backend: str
    lists: tuple[ItemType, ...]
    head: Head | None = None

    def record(self) -> JsonObject:
        head = self.head.members() if self.head is not None else {}
        return {"type": "fetch", **head, **self.who.members(), "backend": self.backend, "lists": [*self.lists]}


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of changes that ended, and why; or, where it goes on, the resources that it tells no more of."""

    head: Head
    who: Who
    cause: str
    duration_ms: float
    notices: int
    dropped: tuple[str, ...] = ()  # public URIs; the stream goes on without them

    def record(self) -> JsonObject:
        return {
            "type": "stream",
            **self.head.members(),
            **self.who.members(),
            "event": "narrowed" if self.dropped else "ended",
            "cause": self.cause,
            "duration_ms": round(self.duration_ms, 3),
            "notices": self.notices,
            **({"dropped": [word(uri) for uri in self.dropped]} if self.dropped else {}),
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """A message refused before it became an exchange: origin, credential, parse, ladder.

    Without `who` it is a stranger's: those are counted and summarised beyond the first few.
    """

    kind: str  # `errors.Kind` value
    cause: str
    status: int
    source_ip: str
    surface: str | None = None
    who: Who | None = None
    method: str | None = None  # as far as it could be read
    code: int | None = None
    bytes_in: int = 0
    exchange_id: str | None = None
    trace_id: str | None = None

    def record(self) -> JsonObject:
        said = present(
            {
                "type": "refusal",
                "exchange_id": self.exchange_id,
                "trace_id": self.trace_id,
                "surface": word(self.surface),
                "method": word(self.method),
                "kind": self.kind,
                "cause": self.cause,
                "status": self.status,
                "code": self.code,
                "source_ip": self.source_ip,
                "bytes_in": self.bytes_in,
            }
        )
        return said if self.who is None else {**said, **self.who.members()}


@dataclass(frozen=True, slots=True)
class Strangers:
    """Refusals without identity over one period, counted instead of written one by one."""

    period_s: float
    counts: tuple[tuple[str, str, int], ...]  # (source prefix, cause, how many), the most frequent first
    uncounted: int = 0  # of further sources, beyond what is kept apart

    def record(self) -> JsonObject:
        return {
            "type": "strangers",
            "period_s": round(self.period_s, 3),
            "counts": [{"source": source, "cause": cause, "count": count} for source, cause, count in self.counts],
            "others": self.uncounted,
        }


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that decisions depend on changed, or was refused as a change."""

    subsystem: Subsystem
    accepted: bool
    before: str | None = None  # revision, digest
    after: str | None = None
    detail: JsonObject = field(default_factory=dict)  # what a reader needs: names added and removed, findings

    def record(self) -> JsonObject:
        said = present({"type": "change", "subsystem": self.subsystem, "before": self.before, "after": self.after})
        return {**said, "accepted": self.accepted, **({"detail": self.detail} if self.detail else {})}


@dataclass(frozen=True, slots=True)
class Started:
    """The first line of a writer."""

    gateway_version: str
    settings_digest: str  # "sha256:…" of the settings as understood; secrets are not in them
    durability: str
    pid: int

    def record(self) -> JsonObject:
        return {
            "type": "start",
            "gateway": self.gateway_version,
            "settings": self.settings_digest,
            "durability": self.durability,
            "pid": self.pid,
        }


@dataclass(frozen=True, slots=True)
class Stopped:
    """The last line of a writer that ended in order."""

    cause: str

    def record(self) -> JsonObject:
        return {"type": "stop", "cause": self.cause}


Record = Intent | Settled | Exchange | Listing | Fetch | Stream | Refused | Strangers | Changed | Started | Stopped


def _leveled(level: Level, arguments: JsonObject | None, result: JsonObject | None) -> JsonObject:
    """Arguments and result as far as the level lets them into the log: metadata neither, arguments not the result."""
    said: JsonObject = {}
    if arguments is not None and level != "metadata":
        said["arguments"] = arguments
    if result is not None and level == "full":
        said["result"] = result
    return said

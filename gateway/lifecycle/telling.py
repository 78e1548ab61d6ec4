"""Parts of audit records, read without trust in their shape: whoever wrote them may be a newer or an older gateway."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.lifecycle.printing import plain
from gateway.model import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Example:
    """One decision that shows what is meant, and where the audit has the rest of it."""

    time_ns: int
    decision_id: str
    subject: str
    method: str
    item: str

    @classmethod
    def of(cls, record: JsonObject, item: str) -> "Example":
        time_ns = record.get("time_ns")
        return cls(
            time_ns if isinstance(time_ns, int) else 0, decision_id(record), named(record), str(record.get("method", "")), item
        )

    def sentence(self) -> str:
        """In two lines that are set in below their heading: who did what, and where the audit has it. To be printed as it is."""
        lines = (f"    {self.subject}, {self.method} {self.item}", f"    {when(self.time_ns)} decision {self.decision_id}")
        return "".join(f"\n{plain(line)}" for line in lines)

    def members(self) -> JsonObject:
        return {
            "time_ns": self.time_ns,
            "decision_id": self.decision_id,
            "subject": self.subject,
            "method": self.method,
            "item": self.item,
        }


def decision_id(record: JsonObject) -> str:
    """Of a record about one decision, or of the first one of several."""
    if isinstance(said := record.get("decision_id"), str):
        return said
    return next((str(each["decision_id"]) for each in objects(record.get("decisions")) if "decision_id" in each), "")


def named(record: JsonObject) -> str:
    """Who asked: a subject is named by its issuer and its id."""
    subject = record.get("subject")
    if not isinstance(subject, dict):
        return "somebody"
    if subject.get("type") == "anonymous":
        return "anonymous"
    return f"{subject.get('id', '')} ({subject['issuer']})" if subject.get("issuer") else str(subject.get("id", ""))


def objects(said: Json) -> Iterator[JsonObject]:
    """Those of a list that are objects; none of what is no list."""
    yield from (each for each in (said if isinstance(said, list) else ()) if isinstance(each, dict))


def texts(said: Json) -> tuple[str, ...]:
    return tuple(each for each in (said if isinstance(said, list) else ()) if isinstance(each, str))


def when(time_ns: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):  # no time that there is
        return str(time_ns)

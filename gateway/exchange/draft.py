"""What one exchange's audit record will say, gathered while the exchange goes. The only mutable noun of the pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.exchange.target import Target
from gateway.model import Decision, Era, JsonObject, Phase
from gateway.policy.obligations import Duties, ListDuties
from gateway.policy.redact import Hit


@dataclass(slots=True)
class Draft:
    target: Target | None = None
    decisions: list[tuple[Phase, Decision]] = field(default_factory=list)
    undecided_by: list[tuple[str, Phase, str]] = field(default_factory=list)  # (decision id, phase, cause)
    settled_from: int = 0  # decisions before this one stand in the intent
    duties: Duties | None = None  # what is carried out
    tightened: Duties | None = None  # what is to be from the next message on: the policy changed after it was forwarded
    list_duties: list[ListDuties] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    parts_withheld: int = 0  # of the answer and its messages, because they could not be checked
    intent_written: bool = False
    closed: bool = False  # its last record is written
    carried_out: bool = False  # the backend answered, or may have acted
    decision_s: float = 0.0
    backend_s: float = 0.0
    backend: str = ""
    era_backend: Era | None = None
    bytes_out: int = 0
    notices: int = 0
    shown: int | None = None  # lists only
    not_shown: int = 0
    hidden: Mapping[str, int] | None = None  # rule -> how many it hid
    missing: tuple[str, ...] = ()
    arguments: JsonObject | None = None  # as forwarded
    result: JsonObject | None = None  # as answered
    kept: dict[str, JsonObject] = field(default_factory=dict)  # decision id -> what a replay needs, where that is recorded

    def decided(self, phase: Phase, decision: Decision) -> None:
        self.decisions.append((phase, decision))

    def undecided(self, decision_id: str, phase: Phase, cause: str) -> None:
        self.undecided_by.append((decision_id, phase, cause))

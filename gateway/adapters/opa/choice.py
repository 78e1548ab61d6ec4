"""Which set should decide: the newest, one that was gone back to, or, where the newest is refused, the last good one.

A restart changes nothing: what was in force stays until something newer is good. What somebody went back from never comes back
by itself; whatever comes from the history is checked and verified again, so nothing that is too old or signed by a key that
counts no more. Facts that come apart go on rolling out while the newest rules are refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.adapters.opa import snapshot
from gateway.adapters.opa.findings import Finding, PolicyRejected
from gateway.adapters.opa.history import History, Pin
from gateway.adapters.opa.snapshot import Part, Snapshot, Source, Stamp
from gateway.adapters.opa.status import Piece


@dataclass(frozen=True, slots=True)
class Wanted:
    """A set that should decide: of each part the revision in the history, or None for the newest."""

    rules: str | None = None
    facts: str | None = None
    fallback: tuple[Piece, ...] = ()  # what is from the history though nobody went back to it


@dataclass(frozen=True, slots=True)
class Choice:
    """`history`: None: there is only the newest. Everything here reads files: not for the event loop."""

    source: Source
    history: History | None

    def stamp(self) -> Stamp:
        """Differs when another set might be wanted."""
        kept = [history.stamp() for _, history in self._histories()]
        return snapshot.stamp(self.source) + tuple(entry for each in kept for entry in each)

    def newest(self) -> Wanted:
        """The newest, but for what somebody went back to. Raises `PolicyRejected`."""
        pins = {piece: pin.revision for piece, history in self._histories() if (pin := history.pin()) is not None}
        return Wanted(pins.get("rules"), pins.get("facts"))

    def instead(self, refused: Wanted, *, starting: bool) -> Iterator[Wanted]:
        """What to try where that was refused, the best first. Raises `PolicyRejected`."""
        before = {piece: history.index().in_force for piece, history in self._histories()}
        if "facts" in before and refused.rules is None and before["rules"] is not None:
            yield Wanted(before["rules"], refused.facts, ("rules",))
        if not starting:
            return  # what is in force stays, which is the same
        rules, facts = refused.rules or before.get("rules"), refused.facts or before.get("facts")
        fallback: list[Piece] = ["rules"] if refused.rules is None else []
        if "facts" in before and refused.facts is None:
            fallback.append("facts")
        if fallback and rules is not None and ("facts" not in before or facts is not None):
            yield Wanted(rules, facts, tuple(fallback))

    def taken(self, wanted: Wanted, into: Path) -> Snapshot:
        """A copy of it. Raises `PolicyRejected`."""
        source = self.source
        if self.history is not None and wanted.rules is not None:
            source = replace(source, folder=self.history.kept_bundle(wanted.rules))
        if self.history is not None and wanted.facts is not None:
            source = replace(source, facts=self.history.of_facts().kept_bundle(wanted.facts))
        copy = snapshot.take(source, into)
        for piece, history, part, revision in self._parts(copy, wanted):
            if revision is None:
                history.refuse_older(part, "the bundle" if piece == "rules" else "the bundle of facts")
            elif part.revision != revision:
                where = str(history.kept_bundle(revision))
                raise PolicyRejected((Finding(where, 0, f"is revision {part.revision}, kept as {revision}"),))
        return copy

    def keep(self, copy: Snapshot, wanted: Wanted, now_s: float) -> None:
        """Before it decides, so that it can be gone back to. Raises `OSError` or `PolicyRejected`; then it does not decide."""
        for _, history, part, revision in self._parts(copy, wanted):
            history.accept(part, now_s, known=revision is not None)

    def refuse(self, findings: Sequence[Finding], wanted: Wanted, now_s: float) -> None:
        """Tell whoever went back to something in it. Raises `OSError` or `PolicyRejected`."""
        pinned: dict[Piece, str | None] = {"rules": wanted.rules, "facts": wanted.facts}
        for piece, history in self._histories():
            if (revision := pinned[piece]) is not None:
                history.refuse(findings, Pin(revision, now_s), now_s)

    def _histories(self) -> Iterator[tuple[Piece, History]]:
        if self.history is not None:
            yield "rules", self.history
            if self.source.facts is not None:
                yield "facts", self.history.of_facts()

    def _parts(self, copy: Snapshot, wanted: Wanted) -> Iterator[tuple[Piece, History, Part, str | None]]:
        for piece, history in self._histories():
            if piece == "rules":
                yield piece, history, copy.rules, wanted.rules
            elif copy.facts is not None:
                yield piece, history, copy.facts, wanted.facts

"""Contract versions side by side: a policy set is asked, and its answer read, in the version that its facts say.

What all versions have in common is the model: a version says how a question of the model becomes its document and back, and
how its answer becomes a decision. Nobody else knows which version a set speaks. What is kept or compared is told in the words
of version 1 (`restated`, `told`), so that a recording reads alike whoever decided.
What no version changes: the document has `version`, `resources` and, as its last member, `exchange`; the answer has
`version`, `visible` and `allowed`; the facts have `version`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from gateway.model import Decision, Denial, Json, JsonObject, Obligation, Phase
from gateway.policy import decision, document, structure
from gateway.policy.document import Question, Words
from gateway.policy.extract import Extractions, declarations
from gateway.policy.rego import Path
from gateway.policy.restating import question


class Reader(Protocol):
    """Reads an answer. Raises `Undecided`, and nothing else, for anything but a proper one."""

    def __call__(self, answer: Json, /, *, asked: int, phase: Phase, revision: str, decision_id: str) -> Decision: ...


@dataclass(frozen=True, slots=True)
class Contract:
    """One version of what a policy set is asked, and of what it answers."""

    version: int
    words: Words
    question: Callable[[JsonObject], Question]  # that a document, without the outer `input`, asks. Raises `ValueError`
    read: Reader
    of_the_call: tuple[Path, ...]  # of the document: `allow` and `hide` may not reach it, and recordings hold stand-ins in it
    declarations: Callable[[Json, str], Extractions]  # of checked facts, and their set's revision
    schemas: str = "."  # the folder below schemas/ that describes it


VERSION_1: Final = Contract(1, document.WORDS, question, decision.read, structure.OF_THE_CALL, declarations)

Contracts: TypeAlias = Mapping[int, Contract]
SERVED: Final[Contracts] = MappingProxyType({VERSION_1.version: VERSION_1})
"""Every version that a policy set may say. A test may serve one more; users never meet one that is not here."""


def not_served(version: Json, contracts: Contracts) -> str:
    """Why a policy set with these facts cannot be asked, and what to do."""
    known = ", ".join(map(str, sorted(contracts)))
    return (
        f"version {version!s:.20} of the contract is not served by this gateway, which serves {known}: write the rules and facts "
        f"for one of these, or use a gateway that serves it (docs/input.md)"
    )


def restated(asked: JsonObject, source: Contract, target: Contract) -> JsonObject:
    """The same question (a document without the outer `input`) in the words of another version. Raises `ValueError`."""
    if source is target:
        return asked
    whole = document.document(source.question(asked), words=target.words)["input"]
    assert isinstance(whole, dict)
    return whole


def told(said: Decision) -> JsonObject:
    """A decision as an answer of version 1."""
    return {
        "version": VERSION_1.version,
        "visible": [*sorted(said.visible)],
        "allowed": [*sorted(said.allowed)],
        "granted_by": {rule: [*positions] for rule, positions in said.granted_by.items()},
        "hidden_by": {rule: [*positions] for rule, positions in said.hidden_by.items()},
        "denials": [_denial(each) for each in said.denials],
        "observed": {**said.observed},
        "waived": [*said.waived],
        "obligations": [_obligation(each) for each in said.obligations],
    }


def _denial(said: Denial) -> JsonObject:
    denial: JsonObject = {"rule": said.rule, "code": said.code, "message": said.message, "details": {**said.details}}
    return denial | ({"scopes": [*said.scopes]} if said.scopes else {})


def _obligation(said: Obligation) -> JsonObject:
    duty: JsonObject = {"rule": said.rule, "type": said.type, "code": said.code, "properties": {**said.properties}}
    return duty | ({"positions": [*sorted(said.positions)]} if said.positions is not None else {})

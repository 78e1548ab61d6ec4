"""A second version of the contract that only tests know: some members have other names, one is new.

Run as a module it is the shadow's other side, serving both.
"""

from typing import cast

from gateway.adapters.opa import comparing
from gateway.model import Decision, Json, JsonObject, Phase, Resource
from gateway.policy import decision, document, restating
from gateway.policy.contract import SERVED, VERSION_1, Contract, Contracts
from gateway.policy.document import Question, Words
from gateway.policy.structure import OF_THE_CALL

RENAMED = {"subject": "caller", "arguments": "parameters"}
OLD = {new: old for old, new in RENAMED.items()}


def _parts(question: Question) -> JsonObject:
    told = {RENAMED.get(name, name): value for name, value in document.WORDS.parts(question).items()}
    return {**told, "version": 2, "asked": len(question.resources)}


def _resource(resource: Resource) -> JsonObject:
    return {("shown_as" if name == "public_name" else name): said for name, said in document.WORDS.resource(resource).items()}


def _question(said: JsonObject) -> Question:
    told = {OLD.get(name, name): value for name, value in said.items() if name != "asked"}
    resources = cast(list[JsonObject], said["resources"])
    old = [{("public_name" if name == "shown_as" else name): value for name, value in each.items()} for each in resources]
    return restating.question({**told, "version": 1, "resources": [*old]})


def _read(answer: Json, /, *, asked: int, phase: Phase, revision: str, decision_id: str) -> Decision:
    if isinstance(answer, dict) and answer.get("version") == 2 and "refusals" in answer:
        answer = {("denials" if name == "refusals" else name): value for name, value in answer.items()} | {"version": 1}
    elif answer is not None:
        answer = {}  # misshapen
    return decision.read(answer, asked=asked, phase=phase, revision=revision, decision_id=decision_id)


VERSION_2 = Contract(
    version=2,
    words=Words(_parts, _resource),
    question=_question,
    read=_read,
    of_the_call=tuple((root, RENAMED.get(name, name), *rest) for root, name, *rest in OF_THE_CALL),
    declarations=VERSION_1.declarations,
    schemas="v2",
)
BOTH: Contracts = {**SERVED, 2: VERSION_2}

if __name__ == "__main__":
    comparing.main(BOTH)

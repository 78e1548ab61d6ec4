"""What version 1 keeps is a question again, and what a decision tells is the answer that it was read from."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gateway.errors import Undecided
from gateway.model import Caller, ClientInfo, Identity, Resource, Subject
from gateway.policy import restating
from gateway.policy.contract import SERVED, VERSION_1, told
from gateway.policy.document import Question, document
from tests.policy.test_document import CALL, QUESTIONS

TEXTS = some.text(max_size=8)
MAYBE = some.none() | TEXTS
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = some.dictionaries(TEXTS, JSON, max_size=3)
SEVERAL = some.lists(TEXTS, max_size=3).map(tuple)
IDENTITIES = some.builds(Identity, TEXTS, TEXTS)
SUBJECTS = some.builds(
    Subject,
    some.sampled_from(["user", "workload", "anonymous"]),
    IDENTITIES,
    some.sampled_from(["jwt", "api_key", "mtls", "asserted", "none"]),
    SEVERAL,
    SEVERAL,
    OBJECTS,
    OBJECTS,
    some.lists(IDENTITIES, max_size=2).map(tuple),
)
RESOURCES = some.builds(
    Resource,
    some.sampled_from(["tool", "prompt", "resource", "resource_template"]),
    TEXTS,
    backend=MAYBE,
    name=MAYBE,
    uri=MAYBE,
    id=MAYBE,
    listed=some.booleans(),
    template=MAYBE,
    annotations=some.none() | OBJECTS,
    fingerprint=MAYBE,
)
ASKED = some.builds(
    Question,
    caller=some.builds(Caller, SUBJECTS, MAYBE, TEXTS, credential=TEXTS),
    action_name=TEXTS,
    phase=some.just("result"),
    resources=some.tuples(RESOURCES),
    surface=TEXTS,
    protocol=TEXTS,
    client=some.builds(ClientInfo, MAYBE, MAYBE),
    time_ns=some.integers(min_value=0, max_value=2**62),
    decision_id=TEXTS,
    request_id=TEXTS,
    trace_id=MAYBE,
    arguments=OBJECTS,
    arguments_valid=some.booleans(),
    unknown_arguments=SEVERAL,
    extracted=some.none() | OBJECTS,
    result=OBJECTS,
    initiator=some.sampled_from(["client", "server"]),
    offered=SEVERAL,
    approvals=some.lists(OBJECTS, max_size=2).map(tuple),
)
ANSWER: dict[str, Any] = {
    "version": 1,
    "visible": [0, 2],
    "allowed": [2],
    "granted_by": {"servers/crm/access": [0, 2]},
    "hidden_by": {"org/review": [1]},
    "denials": [
        {"rule": "org/a", "code": "b", "message": "no {x}", "details": {"x": 1}, "scopes": ["s"]},
        {"rule": "org/a", "code": "c", "message": "no", "details": {}},
    ],
    "observed": {"org/o": {"deny": []}},
    "waived": [{"rule": "org/w"}],
    "obligations": [
        {"rule": "org/a", "type": "audit", "code": "m", "properties": {"level": "full"}},
        {"rule": "org/a", "type": "audit", "code": "m", "properties": {"level": "full"}, "positions": [0, 1]},
    ],
}


def input_of(asked: Question) -> Any:
    return document(asked)["input"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_kind_of_document_is_its_question_again(name: str) -> None:
    assert restating.question(input_of(QUESTIONS[name])) == QUESTIONS[name]


@settings(max_examples=60)
@given(ASKED)
def test_any_document_is_a_question_that_says_the_same(asked: Question) -> None:
    assert input_of(restating.question(input_of(asked))) == input_of(asked)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": True},
        {"subject": {}},
        {"action": {"name": "x", "phase": "before"}},
        {"resources": []},
        {"resources": None},
        {"arguments": []},
        {"arguments_valid": None},
        {"context": {}},
    ],
)
def test_what_is_no_document_of_version_1_is_no_question(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        restating.question({**input_of(CALL), **changes})


def test_a_decision_tells_the_answer_that_it_was_read_from() -> None:
    said = VERSION_1.read(ANSWER, asked=3, phase="request", revision="r", decision_id="d")
    assert told(said) == ANSWER


def test_there_is_one_version_for_users_and_an_answer_of_another_is_none() -> None:
    assert SERVED == {1: VERSION_1}
    with pytest.raises(Undecided, match="version is not 1"):
        VERSION_1.read({**ANSWER, "version": 2}, asked=3, phase="request", revision="r", decision_id="d")


def test_a_question_of_another_phase_keeps_what_is_not_there_absent() -> None:
    listing = replace(CALL, phase="list", arguments=None, arguments_valid=None, trace_id=None, client=ClientInfo())
    assert restating.question(input_of(listing)) == listing

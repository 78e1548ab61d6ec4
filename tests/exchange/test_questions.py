"""A record with stand-ins in its questions holds no value beside them."""

from typing import Any

from gateway.exchange.questions import QuestionRecorder
from gateway.policy.stand_ins import stand_ins

KEY = b"k" * 32


def test_what_refusals_quote_has_the_same_stand_ins_as_the_question_of_the_record() -> None:
    arguments: Any = {"region": "Ada Lovelace", "statement": "Explain 1"}
    read = [{"argument": "statement", "at": "/statement", "unreadable": True, "why": "it is no SQL of this dialect"}]
    question: Any = {"arguments": arguments, "extracted": {"sql": read}}
    kept: Any = stand_ins(question, KEY).document
    refusal: Any = {"rule": "org/a", "code": "a", "message": "not {region}"}
    quoting: Any = refusal | {"details": {"region": "Ada Lovelace", "why": "it is no SQL of this dialect"}}
    quoted: Any = refusal | {"details": {"region": kept["arguments"]["region"], "why": "it is no SQL of this dialect"}}
    record: Any = {
        "type": "exchange",
        "decisions": [{"decision_id": "1", "document": kept}],
        "denials": [quoting],
        "waived": [quoting],
        "observed": {"org/b": {"deny": [quoting]}},
    }
    assert QuestionRecorder(KEY).quoted(record) == {
        "type": "exchange",
        "decisions": [{"decision_id": "1", "document": kept}],
        "denials": [quoted],
        "waived": [quoted],
        "observed": {"org/b": {"deny": [quoted]}},
    }
    assert kept["arguments"]["region"] != "Ada Lovelace"


def test_a_record_without_a_decision_stays_as_it_is() -> None:
    assert QuestionRecorder(KEY).quoted({"type": "exchange"}) == {"type": "exchange"}

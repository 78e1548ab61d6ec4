"""Keeps what a replay needs of each question: the whole document and its answer, with stand-ins for what must not be recorded."""

from dataclasses import dataclass, field

from gateway.model import Json, JsonObject
from gateway.policy import document
from gateway.policy.document import Question
from gateway.policy.stand_ins import of_answer, own_words, stand_ins


@dataclass(frozen=True, slots=True)
class QuestionRecorder:
    """`key` makes the stand-ins: the same one, the same stand-ins."""

    key: bytes = field(repr=False)

    def kept(self, asked: Question, answer: Json) -> JsonObject:
        """Members of the record's decision: `document`, `stand_ins` and, unless there was none, `answer`."""
        asked_then = document.document(asked)["input"]
        assert isinstance(asked_then, dict)
        shown = stand_ins(asked_then, self.key)
        kept: JsonObject = {"document": shown.document}
        if shown.places:
            kept["stand_ins"] = [*shown.places]
        if answer is not None:
            kept["answer"] = of_answer(answer, self.key, own_words(asked_then))
        return kept

    def quoted(self, record: JsonObject) -> JsonObject:
        """A record with stand-ins in what its refusals quote; the same ones as in its questions."""
        decisions = record.get("decisions")
        questions = [each.get("document") for each in decisions if isinstance(each, dict)] if isinstance(decisions, list) else []
        own = frozenset().union(*(own_words(each) for each in questions if isinstance(each, dict)))
        quoted = of_answer(record, self.key, own)
        assert isinstance(quoted, dict)
        return quoted

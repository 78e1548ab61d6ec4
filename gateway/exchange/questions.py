"""Keeps what a replay needs of each question: the whole document and its answer, with stand-ins for what must not be recorded."""

from dataclasses import dataclass, field

from gateway.model import Json, JsonObject
from gateway.policy import document
from gateway.policy.document import Question
from gateway.policy.stand_ins import of_answer, stand_ins


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
            kept["answer"] = of_answer(answer, self.key)
        return kept

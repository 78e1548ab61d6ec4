"""What a question came to and what it would come to: the recording or a base on the one side, the candidate on the other.

What both sets say in the same words is asked of one of them only, and two equal answers are no difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from gateway.errors import Undecided
from gateway.lifecycle.replay import compare
from gateway.lifecycle.replay.compare import Difference, Unknown
from gateway.lifecycle.replay.declared import Put, put
from gateway.lifecycle.replay.policy import Policy
from gateway.lifecycle.replay.standing import Reading, hearing, read, standing
from gateway.lifecycle.replay.traffic import Question
from gateway.model import Decision, JsonObject, Phase
from gateway.policy.bundle import same_contents
from gateway.policy.extract import Extractions
from gateway.ports import Verdict


def sides(candidate: Policy, base: Policy | None) -> "Sides":
    sets = (candidate,) if base is None else (base, candidate)
    return Sides(candidate, base, {each.revision: each.extractions for each in sets})


@dataclass(frozen=True, slots=True)
class Sides:
    candidate: Policy
    base: Policy | None  # None: what was recorded
    declared: Mapping[str, Extractions]  # by the sets, under their revisions
    _alike: dict[tuple[Phase, frozenset[str]], bool] = field(default_factory=dict, repr=False)

    async def differences(self, question: Question) -> list[Difference | Unknown]:
        """What differs. Where an answer was recorded under the base's own revision, it counts: it knew the real values.

        Raises `Unanswered`.
        """
        document: JsonObject = msgspec.json.decode(question.document)["input"]
        then, now = self._put(question, document, self.base), self._put(question, document, self.candidate)
        new = await self.candidate.judged(now.question, now.document)
        asked = None if self.base is None or _recorded_under(self.base, question) else self.base
        old: Verdict | Undecided | None = None  # nobody answered then
        if asked is not None:
            alike = self._same(asked, question)
            old = new if alike else await asked.judged(then.question, then.document)
        elif question.answer is not None:
            old = Verdict(question.answer, question.revision or "")
        if not now.question.stand_ins and not then.question.stand_ins and _equal(old, new):
            return []  # so it is with most: what is equal need not be read
        how = Reading() if asked is None else self._heard(then.question, asked)
        before = standing(then.question, question.cause or "" if old is None else _said(question, old), how)
        after = standing(now.question, _said(now.question, new), self._heard(now.question, self.candidate))
        return compare.differences(question, before, after)

    def _put(self, question: Question, document: JsonObject, asked: Policy | None) -> Put:
        """The question as a set hears it; as it was recorded, where that is what counts."""
        if asked is None:
            return Put(question, document)
        return put(question, document, asked.extractions, self.declared)

    def _same(self, base: Policy, question: Question) -> bool:
        about = (question.phase, question.backends)
        known = self._alike.get(about)
        if known is None:
            known = self._alike[about] = base.dependence.alike(self.candidate.dependence, *about)
        return known

    def _heard(self, question: Question, policy: Policy) -> Reading:
        """Which rules of a set heard stand-ins, and what was said of the real values by those that are still the same."""
        how = Reading(hearing(question, policy.rules), policy.rules)
        if not how.hearing or question.answer is None:
            return how
        then = read(question, question.answer)
        if not isinstance(then, Decision):
            return how
        return replace(how, taken=self._unchanged(question, how.hearing, policy), recorded=then)

    def _unchanged(self, question: Question, heard: frozenset[str], policy: Policy) -> frozenset[str]:
        """Rules that are the same, with all they hang on, as when the question was recorded, under either of the sets."""
        if same_contents(question.revision, policy.revision):
            return heard
        sets = (self.candidate,) if self.base is None else (self.base, self.candidate)
        recorded = next((each for each in sets if same_contents(question.revision, each.revision)), None)
        if recorded is None or recorded.rules.frame != policy.rules.frame:
            return frozenset()
        old, new = recorded.rules.packages, policy.rules.packages
        return frozenset(rule for rule in heard if rule in old and old[rule].digest == new[rule].digest)


def _recorded_under(base: Policy, question: Question) -> bool:
    return question.answer is not None and same_contents(question.revision, base.revision)


def _equal(old: Verdict | Undecided | None, new: Verdict | Undecided) -> bool:
    return isinstance(old, Verdict) and isinstance(new, Verdict) and old.result == new.result


def _said(question: Question, answer: Verdict | Undecided) -> Decision | str:
    return str(answer) if isinstance(answer, Undecided) else read(question, answer.result, revision=answer.revision)

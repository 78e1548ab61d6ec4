"""One walk over one JSON value: pointers strike whole values, patterns cut texts, and what is untouched stays the same
object, so that nothing needs to be serialised again.

Keys are text too: one that a pattern matches is renamed, or its member removed. A number is matched by its digits and
goes whole. JSON inside a text is read as JSON: escapes hide nothing there, and pointers reach into it.
"""

import re

import msgspec

from gateway.model import Json
from gateway.policy.redact.marker import REDACTED, WITHHELD_DEPTH, WITHHELD_MUCH, WITHHELD_TEXT
from gateway.policy.redact.plan import Plan, PointerDuty
from gateway.policy.redact.pointer import NOWHERE, States
from gateway.policy.redact.steps import MAX_STEPS, Steps
from gateway.policy.redact.text import BLANKS, RANKS, Tally

MAX_DEPTH = 128  # the wire refuses more than half of this; JSON inside texts may bring its own
SLICE = 256  # members of a large object or array that are asked about together
MAX_NESTED_TEXTS = 4  # JSON in a text in JSON in a text …
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)  # of a text that was parsed as JSON: each ends, so this is linear
MAX_SHORT = 10**18  # Python writes any number below it as JSON does
MAX_EXACT_FLOAT = 1e22  # integral floats below it are also matched by all their digits


class Removed:
    """The answer of a walk where a member is to go."""


REMOVED = Removed()


class Walk:
    """The state of one redaction of one value. `typed`: what goes is replaced by something of its own JSON type."""

    def __init__(self, plan: Plan, steps: int, *, typed: bool = False, withhold_prose: bool = False) -> None:
        self.plan = plan
        self.typed = typed
        self.withhold_prose = withhold_prose
        self.tally = Tally(plan.size, steps)
        self.pointer_hits = 0
        self.payloads = 0  # objects and arrays in which pointers were looked for
        self.unread = 0  # texts in which they could not be
        self.withheld = 0
        self._nested = 0
        self._depth = 0  # over all nested texts together: each level is three frames of Python's thousand
        self._clean = False  # no pattern matches anywhere below here
        self._below: dict[tuple[States, str], States] = {}

    # --- anything ---

    def value(self, value: Json, states: States) -> "Json | Removed":
        """`value` redacted; `states` says where the pointers stand."""
        if self._clean and not states and not self.plan.pointers_reach_into_texts:
            return value
        if states and (duty := self.struck(states)) is not None:
            return self.strike(value, duty)
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, dict | list):
            return self._container(value, states)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value)
        return value

    def _container(self, value: dict[str, Json] | list[Json], states: States) -> Json:
        if self._depth > MAX_DEPTH:
            self.withheld += 1
            return WITHHELD_DEPTH
        if self.tally.steps.spent and not self._clean:
            return self._beyond(value)
        found_clean = not self._clean and len(value) <= SLICE and self._asks_here() and self._is_clean(value)
        if found_clean and not states and not self.plan.pointers_reach_into_texts:
            return value
        self._clean = self._clean or found_clean
        self._depth += 1
        new = self._object(value, states) if isinstance(value, dict) else self._array(value, states)
        self._depth -= 1
        self._clean = self._clean and not found_clean
        return new

    def _asks_here(self) -> bool:
        """At few depths: at all of them, what is nested deep would be asked about as often as it is deep."""
        return self._depth & (self._depth - 1) == 0

    def _beyond(self, value: Json) -> Json:
        """What stands for a value that nobody has looked at, since the steps are spent."""
        return blank(value) if self.typed and not isinstance(value, str) else self._unseen()

    def _is_clean(self, value: Json) -> bool:
        """Whether all texts below `value`, asked at once, hold no match: sound, but it may see one that is none."""
        if not self.plan.texts.duties:
            return True
        texts: list[str] = []
        waiting: list[Json] = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                texts.append(one)
            elif isinstance(one, dict):
                texts.extend(one)
                waiting.extend(one.values())
            elif isinstance(one, list):
                waiting.extend(one)
            elif type(one) is int and -MAX_SHORT < one < MAX_SHORT:
                texts.append(str(one))
            elif isinstance(one, int | float) and not isinstance(one, bool):
                texts.extend(digits.decode() for digits in _digits(one))
        return not self.plan.texts.may_match_any(texts)

    def below(self, states: States, key: str) -> States:
        """Where the pointers stand one member further down."""
        if not states:
            return NOWHERE
        step = (states, key)
        found = self._below.get(step)
        if found is None:
            found = self._below[step] = self.plan.paths.below(states, key)
        return found

    def payload(self, value: Json, states: States) -> "Json | Removed":
        """A value that is a root for pointers."""
        if isinstance(value, dict | list):
            self.payloads += 1
        return self.value(value, states | self.plan.start)

    def _object(self, value: dict[str, Json], states: States) -> Json:
        changed: dict[str, Json] = {}
        same = True
        clean, slices = self._clean, len(value) > SLICE and not self._clean and self._asks_here()
        members = list(value.items()) if slices else []
        for index, (key, member) in enumerate(value.items()):
            if self.tally.steps.spent and not clean:
                self._clean = clean
                return self._beyond(value)
            if slices and index % SLICE == 0:
                self._clean = self._is_clean(dict(members[index : index + SLICE]))
            new_key = self.key(key)
            new = self.value(member, self.below(states, key))
            same = same and new is member and new_key is key
            if not isinstance(new, Removed) and not isinstance(new_key, Removed):
                changed[new_key if new_key is key else self.free_key(key, new_key, changed, value)] = new
        self._clean = clean
        return value if same else changed

    def _array(self, value: list[Json], states: States) -> Json:
        changed: list[Json] = []
        same = True
        clean, slices = self._clean, len(value) > SLICE and not self._clean and self._asks_here()
        for index, member in enumerate(value):
            if self.tally.steps.spent and not clean:
                self._clean = clean
                return self._beyond(value)
            if slices and index % SLICE == 0:
                self._clean = self._is_clean(value[index : index + SLICE])
            new = self.value(member, self.below(states, str(index) if self.plan.paths.count_elements else "0"))
            same = same and new is member
            if not isinstance(new, Removed):
                changed.append(new)
        self._clean = clean
        return value if same else changed

    # --- texts ---

    def string(self, text: str) -> str:
        """A text within a value. Where it holds JSON, that is looked into as well."""
        if self.plan.nothing or not text:
            return text
        if not self._looks(text):
            return self._unseen()
        cut = self._inside(text, self.plan.start if self.plan.pointers_reach_into_texts else NOWHERE)
        if cut is None and self._clean:
            return text
        return self._cut(text, cut)

    def prose(self, text: str, states: States) -> str:
        """A text on its own: pointers apply to the JSON in it; where there is none it may have to be withheld."""
        if states and (duty := self.struck(states)) is not None:
            return _as_text(self.strike(text, duty))
        if not self._looks(text):
            return self._unseen()
        cut = self._inside(text, states | self.plan.start)
        if cut is None and self.plan.has_pointers and text.strip() and text not in self.plan.constants:
            self.unread += 1
            if self.withhold_prose:
                self.withheld += 1
                return WITHHELD_TEXT
        return self._cut(text, cut)

    def _cut(self, text: str, inside: str | None) -> str:
        """`text` without what patterns match; `inside` is what is left of it as JSON, None where it was not read as that."""
        if inside is None and self.plan.texts.escaped(text, self.tally):
            return REDACTED
        return self.plan.texts.redacted(text if inside is None else inside, self.tally)

    def _looks(self, text: str) -> bool:
        """Takes the step that looking at one text costs; False: nobody can, any more. What is ours needs no look."""
        return self._clean or not self.plan.texts.duties or self.tally.steps.take(1) or text in self.plan.constants

    def _unseen(self) -> str:
        self.withheld += 1
        return WITHHELD_MUCH

    def _inside(self, text: str, states: States) -> str | None:
        """`text` with the JSON in it redacted; None where it holds none, or none that a pattern could see only there."""
        if text.lstrip(BLANKS)[:1] not in ("{", "["):
            return None
        if self._clean and not states:
            return None
        if not states and "\\" not in text and not self.plan.texts.may_match(text.encode("utf-8", "replace")):
            return None
        if self._nested >= MAX_NESTED_TEXTS:
            self.withheld += 1
            return WITHHELD_DEPTH
        try:
            inner: Json = msgspec.json.decode(text.strip(BLANKS))
        except msgspec.DecodeError:
            return None
        except RecursionError:  # deeper than what can be decoded, so all of it is deeper than what is looked at
            self.withheld += 1
            return WITHHELD_DEPTH
        self._nested += 1
        self.payloads += 1
        outside, self._clean = self._clean, False
        new = self.value(inner, states)
        self._clean = outside
        self._nested -= 1
        if new is inner and not _says_twice(text, inner):
            return text
        return REDACTED if isinstance(new, Removed) else msgspec.json.encode(new).decode()

    def key(self, key: str) -> "str | Removed":
        """A member's name, renamed where a pattern matches it; removed where that is what the duty says."""
        if self._clean:
            return key
        if self.plan.texts.duties and not self.tally.steps.take(1):
            return REMOVED  # what it names is withheld unseen
        new = self.plan.texts.redacted(key, self.tally)
        if new is key:
            return key
        removes = any(
            duty.action == "remove" for *_, duty in self.plan.texts.found(key.encode("utf-8", "replace"), Steps(MAX_STEPS))
        )
        return REMOVED if removes and not self.typed else new

    def free_key(self, key: str, new_key: str, taken: dict[str, Json], original: dict[str, Json]) -> str:
        """`new_key`, or a hash of the old one where another member has it: two that are redacted alike stay two."""
        while new_key in taken or new_key in original:
            new_key = self.plan.markers.hashes.marker((key + new_key).encode("utf-8", "replace"))
        return new_key

    def _number(self, number: int | float) -> "Json | Removed":
        if self._clean:
            return number
        texts = self.plan.texts
        if texts.duties and not self.tally.steps.take(1):
            return self._beyond(number)
        for digits in _digits(number):
            found = texts.found(digits, self.tally.steps) if texts.may_match(digits) else []
            if found:
                for _, _, duty in found:
                    self.tally.add(duty.index)
                strictest = min((duty for *_, duty in found), key=lambda one: one.rank)
                return self._placed(number, texts.whole(digits, strictest), removed=strictest.action == "remove")
        return number

    # --- pointers ---

    def struck(self, states: States) -> PointerDuty | None:
        """The strictest of the duties whose pointer ends here."""
        reached = self.plan.paths.reached(states)
        if not reached:
            return None
        return min((self.plan.pointer_duties[index] for index in reached), key=lambda one: (RANKS[one.action], one.index))

    def strike(self, value: Json, duty: PointerDuty) -> "Json | Removed":
        """What stands for a whole value. Nothing under it is looked at: an ancestor wins."""
        self.pointer_hits += 1  # also when it was done before: prose beside it still cannot be checked
        if duty.action == "hash":
            data = value.encode("utf-8", "replace") if isinstance(value, str) else msgspec.json.encode(value, order="sorted")
            placed: Json = value if self._own_hash(value) else self.plan.markers.hashes.marker(data)
        else:
            placed = REDACTED if duty.value is None else duty.value
        new = self._placed(value, placed, removed=duty.action == "remove")
        if isinstance(new, Removed) or not _equal(new, value):
            self.tally.add(duty.index)
            return new
        return value

    def _own_hash(self, value: Json) -> bool:
        return isinstance(value, str) and value.startswith("[hash:") and self.plan.markers.hashes.is_own(value.encode())

    def _placed(self, value: Json, placeholder: Json, *, removed: bool) -> "Json | Removed":
        if not self.typed:
            return REMOVED if removed else placeholder
        return placeholder if not removed and _kind(placeholder) is _kind(value) else blank(value)


def blank(value: Json) -> Json:
    """The emptiest value of the same JSON type."""
    match value:
        case None:
            return None
        case bool():
            return False
        case int() | float():
            return 0
        case str():
            return REDACTED
        case list():
            return []
        case _:
            return {}


def _kind(value: Json) -> type:
    return int if isinstance(value, float) else type(value)


def _equal(left: Json, right: Json) -> bool:
    return type(left) is type(right) and left == right


def _as_text(value: "Json | Removed") -> str:
    if isinstance(value, Removed):
        return REDACTED
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _digits(number: int | float) -> tuple[bytes, ...]:
    """The texts by which a number may be read: as it is written, and an integral float also without its point."""
    written = msgspec.json.encode(number)
    if isinstance(number, float) and number.is_integer() and abs(number) < MAX_EXACT_FLOAT:
        return written, str(int(number)).encode()
    return (written,)


def _says_twice(text: str, inner: Json) -> bool:
    """Whether some member of an object stands twice in `text`, JSON that reads as `inner`: only the last one was looked at."""
    members, waiting = 0, [inner]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            members += len(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return _STRINGS.sub("", text).count(":") != members

"""Where in a JSON value a pointer leads: RFC 6901, with `*` for any one member and `**` for any depth.

Several pointers are followed at once, as a set of states that goes down the tree with the walk, so that the cost does
not grow with the number of places that a wildcard could mean.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from gateway.policy.redact.marker import BadRedaction

MAX_POINTER_CHARS = 1_024
MAX_DEEP_TOKENS = 4  # each doubles what has to be remembered at a node


class Wild(Enum):
    ANY = "*"
    DEEP = "**"


Token: TypeAlias = str | Wild
State: TypeAlias = tuple[int, int]  # (which duty, how many of its tokens are behind us)
States: TypeAlias = frozenset[State]

NOWHERE: States = frozenset()


def tokens(pointer: str) -> tuple[Token, ...]:
    """The reference tokens of `pointer`; the empty pointer is the whole value. Raises `BadRedaction`."""
    if len(pointer) > MAX_POINTER_CHARS:
        raise BadRedaction(f"a pointer may have {MAX_POINTER_CHARS} characters, not {len(pointer)}")
    if pointer and not pointer.startswith("/"):
        raise BadRedaction(f"pointer {pointer!r} is neither empty nor does it start with '/'")
    found = tuple(_token(raw, pointer) for raw in pointer.split("/")[1:])
    if found.count(Wild.DEEP) > MAX_DEEP_TOKENS:
        raise BadRedaction(f"pointer {pointer!r} has more than {MAX_DEEP_TOKENS} times '**'")
    return found


def _token(raw: str, pointer: str) -> Token:
    if raw in ("*", "**"):
        return Wild(raw)
    rest = raw.replace("~0", "").replace("~1", "")
    if "~" in rest:
        raise BadRedaction(f"pointer {pointer!r} has a '~' that is neither '~0' nor '~1'")
    return raw.replace("~1", "/").replace("~0", "~")  # in this order: RFC 6901, section 4


@dataclass(frozen=True, slots=True)
class Paths:
    """The pointers of several duties, followed together."""

    pointers: tuple[tuple[Token, ...], ...]
    count_elements: bool  # some pointer names an element by its index; if none does, all elements of an array are alike

    def start(self) -> States:
        """At the root of a value."""
        return self._closed({(duty, 0) for duty in range(len(self.pointers))})

    def below(self, states: States, key: str) -> States:
        """One member further down; an array's members are named by their index."""
        moved: set[State] = set()
        for duty, position in states:
            pointer = self.pointers[duty]
            if position == len(pointer):
                continue
            token = pointer[position]
            if token is Wild.DEEP:
                moved.add((duty, position))
            elif token is Wild.ANY or token == key:
                moved.add((duty, position + 1))
        return self._closed(moved) if moved else NOWHERE

    def reached(self, states: States) -> list[int]:
        """The duties whose pointer ends here."""
        return [duty for duty, position in states if position == len(self.pointers[duty])]

    def _closed(self, states: set[State]) -> States:
        waiting = list(states)
        while waiting:
            duty, position = waiting.pop()
            pointer = self.pointers[duty]
            skipped = (duty, position + 1)  # `**` may also mean no level at all
            if position < len(pointer) and pointer[position] is Wild.DEEP and skipped not in states:
                states.add(skipped)
                waiting.append(skipped)
        return frozenset(states)

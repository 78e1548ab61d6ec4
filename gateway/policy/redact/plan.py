"""The duties of one target, compiled: which pointers, which patterns, which markers are ours."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gateway.model import Json
from gateway.policy.duty import Redaction
from gateway.policy.redact.checks import checked
from gateway.policy.redact.marker import CONSTANTS, MIN_KEY_BYTES, REDACTED, BadRedaction, Hashes, Markers
from gateway.policy.redact.pointer import Paths, States, Token, tokens
from gateway.policy.redact.regexp import regexp
from gateway.policy.redact.text import RANKS, PatternDuty, TextRedactor, text_redactor

MAX_DUTIES = 64
WRAPPED = "structuredContent"  # rules see it as a member of the result; a pointer may name it so, or start within it


@dataclass(frozen=True, slots=True)
class PointerDuty:
    index: int
    action: str
    value: Json  # for replace; None: the default marker


@dataclass(frozen=True, slots=True)
class Plan:
    """What one target owes. `names` has rule and code of each duty, in the order of their indices."""

    names: tuple[tuple[str, str], ...]
    paths: Paths
    pointer_duties: tuple[PointerDuty, ...]  # one for each of the paths' pointers
    start: States
    texts: TextRedactor
    markers: Markers
    constants: frozenset[str]
    keeps_binary: bool
    pointers_reach_into_texts: bool

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def nothing(self) -> bool:
        return not self.names

    @property
    def has_pointers(self) -> bool:
        return bool(self.pointer_duties)


def compiled(duties: Sequence[Redaction], hash_key: bytes) -> Plan:
    """The plan for `duties`, which all have one target. Raises `BadRedaction`."""
    if len(duties) > MAX_DUTIES:
        raise BadRedaction(f"{len(duties)} redactions at once; {MAX_DUTIES} may apply")
    if duties and len(hash_key) < MIN_KEY_BYTES:
        raise BadRedaction(f"the hash key must have at least {MIN_KEY_BYTES} bytes, not {len(hash_key)}")
    values = [value for duty in duties if (value := _text(duty.value))]
    constants = (*CONSTANTS, *values)
    markers = Markers(tuple(dict.fromkeys(constant.encode() for constant in constants)), Hashes(hash_key))
    pointers: list[tuple[Token, ...]] = []
    pointer_duties: list[PointerDuty] = []
    patterns: list[PatternDuty] = []
    for index, duty in enumerate(duties):
        _check(duty)
        if duty.pointer is not None:
            for path in _readings(tokens(duty.pointer), duty.target):
                pointers.append(path)
                pointer_duties.append(PointerDuty(index, duty.action, duty.value))
        if duty.pattern is not None:
            keeps = regexp(duty.except_pattern) if duty.except_pattern is not None else None
            marker = REDACTED if duty.value is None else _text(duty.value)
            check = checked(duty.check, duty.ours) if duty.check is not None else None
            patterns.append(PatternDuty(index, regexp(duty.pattern), keeps, duty.action, marker, check))
    numbered = any(isinstance(token, str) and token.isdecimal() for path in pointers for token in path)
    paths = Paths(tuple(pointers), numbered)
    return Plan(
        names=tuple((duty.rule, duty.code) for duty in duties),
        paths=paths,
        pointer_duties=tuple(pointer_duties),
        start=paths.start(),
        texts=text_redactor(tuple(patterns), [duty.pattern for duty in duties if duty.pattern is not None], markers),
        markers=markers,
        constants=frozenset(constants),
        keeps_binary=all(duty.binary == "keep" for duty in duties),
        pointers_reach_into_texts=bool(pointers) and duties[0].target == "result",
    )


def _check(duty: Redaction) -> None:
    if (duty.pointer is None) == (duty.pattern is None):
        raise BadRedaction("a redaction names either a pointer or a pattern")
    if duty.except_pattern is not None and duty.pattern is None:
        raise BadRedaction("'except' belongs to a pattern")
    if duty.check is not None and duty.pattern is None:
        raise BadRedaction("'check' belongs to a pattern")
    if duty.ours is not None and duty.check is None:
        raise BadRedaction("'ours' belongs to a check")
    if duty.action not in RANKS:
        raise BadRedaction(f"action {duty.action!r} is none of {', '.join(RANKS)}")
    if duty.value is not None and duty.action != "replace":
        raise BadRedaction(f"'value' belongs to the action replace, not {duty.action}")
    if duty.target == "item" and duty.pointer in _ITEM_NEEDS:
        raise BadRedaction(f"pointer {duty.pointer!r} would take from a definition what makes it one")


_ITEM_NEEDS = ("", "/name", "/uri", "/uriTemplate", "/inputSchema")


def _readings(path: tuple[Token, ...], target: str) -> list[tuple[Token, ...]]:
    """Rules see `input.result.structuredContent`; a pointer that says so is also read from within it."""
    if target == "result" and len(path) > 1 and path[0] == WRAPPED:
        return [path, path[1:]]
    return [path]


def _text(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

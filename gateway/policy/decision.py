"""The policy's answer, read strictly. Whatever is not exactly an answer of contract version 1 is undecided, and so denied.

By hand, not by a schema library: it stands on the path of every exchange, and each refusal must name its reason.
"""

from functools import lru_cache
from typing import NoReturn

import msgspec

from gateway.errors import Undecided
from gateway.model import Decision, Denial, Json, JsonObject, Obligation, Phase

VERSION = 1
MAX_ENTRIES = 1_000  # of each kind; one rule that speaks once per argument must not flood the record
MAX_NAME = 256  # characters of a rule or code
MAX_MESSAGE = 4_096

MEMBERS = frozenset({"version", "visible", "allowed", "granted_by", "hidden_by", "denials", "observed", "waived", "obligations"})
DENIAL_MEMBERS = frozenset({"rule", "code", "message", "details", "scopes"})
OBLIGATION_MEMBERS = frozenset({"rule", "type", "code", "properties", "positions"})


def read(answer: Json, *, asked: int, phase: Phase, revision: str, decision_id: str) -> Decision:
    """The decision about `asked` positions. Raises `Undecided`, and nothing else, for anything but a proper answer."""
    if answer is None:
        raise Undecided("undefined", "the policy has no mcp.authz.decision, or it is undefined for this input")
    if not isinstance(answer, dict):
        _misshapen("the answer", "is not an object")
    if type(answer.get("version")) is not int or answer["version"] != VERSION:
        _misshapen("version", f"is not {VERSION}")
    _only(answer, MEMBERS, required=MEMBERS, what="the answer")
    visible = frozenset(_positions(answer["visible"], asked, "visible"))
    allowed = frozenset(_positions(answer["allowed"], asked, "allowed"))
    if not allowed <= visible:
        _misshapen("allowed", "names positions that are not visible")
    hidden_by = _by_rule(answer["hidden_by"], asked, "hidden_by")
    if any(not visible.isdisjoint(positions) for positions in hidden_by.values()):
        _misshapen("hidden_by", "names positions that are visible")
    denials = tuple(_denial(said, f"denials[{index}]") for index, said in enumerate(_entries(answer["denials"], "denials")))
    if denials and phase == "list":
        _misshapen("denials", "are not asked for in phase list")
    duties_key = msgspec.json.encode([asked, answer["obligations"]])
    return Decision(
        visible=visible,
        allowed=allowed,
        granted_by=_by_rule(answer["granted_by"], asked, "granted_by"),
        hidden_by=hidden_by,
        denials=denials,
        obligations=_obligations(duties_key),
        observed=_observed(answer["observed"]),
        waived=tuple(_object(said, f"waived[{index}]") for index, said in enumerate(_entries(answer["waived"], "waived"))),
        revision=revision,
        decision_id=decision_id,
        duties_key=duties_key,
    )


@lru_cache(maxsize=1024)
def _obligations(duties_key: bytes) -> tuple[Obligation, ...]:
    """Kept, since a policy owes the same duties in almost every answer, and reading them is the larger part of the work."""
    asked, said = msgspec.json.decode(duties_key)
    entries = _entries(said, "obligations")
    return tuple(_obligation(each, asked, f"obligations[{index}]") for index, each in enumerate(entries))


def _misshapen(where: str, why: str) -> NoReturn:
    raise Undecided("misshapen", f"{where} {why}")


def _only(said: JsonObject, known: frozenset[str], *, required: frozenset[str], what: str) -> None:
    if said.keys() == required:
        return
    for name in said:
        if name not in known:
            _misshapen(what, f"has an unknown member {name[:80]!r}")
    for name in sorted(required):
        if name not in said:
            _misshapen(what, f"lacks {name!r}")


def _object(said: Json, where: str) -> JsonObject:
    if not isinstance(said, dict):
        _misshapen(where, "is not an object")
    return said


def _entries(said: Json, where: str) -> list[Json]:
    if not isinstance(said, list):
        _misshapen(where, "is not a list")
    if len(said) > MAX_ENTRIES:
        _misshapen(where, f"has more than {MAX_ENTRIES} entries")
    return said


def _positions(said: Json, asked: int, where: str) -> list[int]:
    """Each at most once. `type`, not `isinstance`: true is no position."""
    if not isinstance(said, list):
        _misshapen(where, "is not a list of positions")
    positions: list[int] = []
    for position in said:
        if type(position) is not int or not 0 <= position < asked:
            _misshapen(where, f"holds something that is not a position from 0 to {asked - 1}")
        positions.append(position)
    if len(set(positions)) != len(positions):
        _misshapen(where, "names a position twice")
    return positions


def _by_rule(said: Json, asked: int, where: str) -> dict[str, tuple[int, ...]]:
    rules = _object(said, where)
    if len(rules) > MAX_ENTRIES:
        _misshapen(where, f"has more than {MAX_ENTRIES} entries")
    return {
        _text(rule, MAX_NAME, f"a rule in {where}"): tuple(_positions(positions, asked, f"{where}[{rule!r}]"))
        for rule, positions in rules.items()
    }


def _text(said: Json, longest: int, where: str) -> str:
    if not isinstance(said, str) or not said or len(said) > longest:
        _misshapen(where, f"is not a text of 1 to {longest} characters")
    return said


def _denial(entry: Json, where: str) -> Denial:
    said = _object(entry, where)
    _only(said, DENIAL_MEMBERS, required=frozenset({"rule", "code", "message"}), what=where)
    scopes: list[str] = []
    if "scopes" in said:
        listed = said["scopes"]
        if not isinstance(listed, list) or not 0 < len(listed) <= MAX_ENTRIES:
            _misshapen(f"{where}.scopes", "is not a list with at least one scope")
        scopes = [_text(scope, MAX_NAME, f"{where}.scopes[{index}]") for index, scope in enumerate(listed)]
    return Denial(
        rule=_text(said["rule"], MAX_NAME, f"{where}.rule"),
        code=_text(said["code"], MAX_NAME, f"{where}.code"),
        message=_text(said["message"], MAX_MESSAGE, f"{where}.message"),
        details=_object(said.get("details", {}), f"{where}.details"),
        scopes=tuple(scopes),
    )


def _obligation(entry: Json, asked: int, where: str) -> Obligation:
    """Its shape only: whether type and properties are understood is told by `obligations.plan`, position by position."""
    said = _object(entry, where)
    _only(said, OBLIGATION_MEMBERS, required=OBLIGATION_MEMBERS - {"positions"}, what=where)
    positions: frozenset[int] | None = None
    if "positions" in said:
        positions = frozenset(_positions(said["positions"], asked, f"{where}.positions"))
        if not positions:
            _misshapen(f"{where}.positions", "is empty")
    return Obligation(
        rule=_text(said["rule"], MAX_NAME, f"{where}.rule"),
        type=_text(said["type"], MAX_NAME, f"{where}.type"),
        code=_text(said["code"], MAX_NAME, f"{where}.code"),
        properties=_object(said["properties"], f"{where}.properties"),
        positions=positions,
    )


def _observed(said: Json) -> JsonObject:
    rules = _object(said, "observed")
    if len(rules) > MAX_ENTRIES:
        _misshapen("observed", f"has more than {MAX_ENTRIES} entries")
    for rule, verbs in rules.items():
        _object(verbs, f"observed[{rule[:80]!r}]")
    return rules

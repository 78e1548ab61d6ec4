"""Where text stands in the protocol's own shapes: each form is a table of its members, and a member that no table names
is redacted like any other value. So a member that a later revision adds is covered before anybody has heard of it.

What the protocol itself needs keeps its shape: a part that a pointer strikes there becomes empty of its own type, an
element of a list goes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import TypeAlias
from urllib.parse import unquote

from gateway.model import Json, JsonObject
from gateway.policy.redact.marker import REDACTED_URI, WITHHELD_BINARY, WITHHELD_MUCH, WITHHELD_TEXT, WITHHELD_UNKNOWN
from gateway.policy.redact.pointer import NOWHERE, States
from gateway.policy.redact.text import MAX_SPANS
from gateway.policy.redact.tree import REMOVED, Removed, Walk, blank

Reader: TypeAlias = "Callable[[Walk, Json, States], Json | Removed]"
Form: TypeAlias = Mapping[str, Reader]


def _fields(walk: Walk, value: Json, states: States, form: Form) -> "Json | Removed":
    """An object of the protocol, member by member; anything else is read as a plain value."""
    if not isinstance(value, dict):
        return walk.value(value, states)
    changed: JsonObject = {}
    same = True
    for key, member in value.items():
        below = walk.below(states, key)
        reader = form.get(key)
        new_key = key if reader is not None else walk.key(key)
        if reader is None:
            new = walk.value(member, below)
        elif (
            reader not in (_kept, _same, _code)
            and below
            and (duty := walk.struck(below)) is not None
            and not isinstance(member, str)
        ):
            walk.tally.add(duty.index)
            walk.pointer_hits += 1
            new = member if member == blank(member) else blank(member)
        else:
            new = reader(walk, member, below)
        same = same and new is member and new_key is key
        if not isinstance(new, Removed) and not isinstance(new_key, Removed):
            changed[new_key if new_key is key else walk.free_key(key, new_key, changed, value)] = new
    return value if same else changed


def _list(walk: Walk, value: Json, states: States, element: Reader) -> "Json | Removed":
    if not isinstance(value, list):
        return element(walk, value, states) if isinstance(value, dict) else walk.value(value, states)
    changed: list[Json] = []
    same = True
    for index, member in enumerate(value):
        below = walk.below(states, str(index))
        new: Json | Removed
        if below and (duty := walk.struck(below)) is not None:
            walk.tally.add(duty.index)
            walk.pointer_hits += 1
            new = REMOVED
        else:
            new = element(walk, member, below)
        same = same and new is member
        if not isinstance(new, Removed):
            changed.append(new)
    return value if same else changed


# --- members ----------------------------------------------------------------------------------------------------------


def _kept(walk: Walk, value: Json, states: States) -> "Json | Removed":
    """A word or number of the protocol itself; any other text in its place, or anything larger, is read as what it is."""
    if isinstance(value, dict | list):
        return walk.payload(value, states)
    return walk.string(value) if isinstance(value, str) and value not in _WORDS else value


def _same(walk: Walk, value: Json, states: States) -> Json:
    return value


_BLOCK_TYPES = frozenset({"text", "image", "audio", "resource", "resource_link"})
_WORDS = _BLOCK_TYPES | {"user", "assistant", "complete", "input_required", "public", "private"}
_WORDS |= {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}


_RESERVED_CODES = range(-32768, -31999)  # JSON-RPC 2.0, section 5.1
INTERNAL_ERROR = -32603


def _prose(walk: Walk, value: Json, states: States) -> "Json | Removed":
    return walk.prose(value, states) if isinstance(value, str) else walk.value(value, states)


def _label(walk: Walk, value: Json, states: States) -> "Json | Removed":
    """A short text that the protocol needs: struck, it becomes a marker and is never missing."""
    new = walk.value(value, states)
    return blank(value) if isinstance(new, Removed) else new


def _uri(walk: Walk, value: Json, states: States) -> "Json | Removed":
    """A URI goes whole: with a hole in it, it would name something else. Percent-encoding hides nothing."""
    if not isinstance(value, str):
        return walk.value(value, states)
    decoded = unquote(value)
    if walk.value(value, states) != value or walk.string(decoded) != decoded:
        return REDACTED_URI
    return value


def _code(walk: Walk, value: Json, states: States) -> "Json | Removed":
    """The code of an error: a number like any other but for those that the protocol reserves, and one stands in its place."""
    if not isinstance(value, int) or value in _RESERVED_CODES:
        return _kept(walk, value, states)
    return value if walk.value(value, NOWHERE) == value else INTERNAL_ERROR


def _payload(walk: Walk, value: Json, states: States) -> "Json | Removed":
    return walk.payload(value, states)


def _structured(walk: Walk, value: Json, states: States) -> "Json | Removed":
    new = walk.payload(value, states)
    if isinstance(value, dict) and not isinstance(new, dict):
        return {}  # a legacy client takes nothing but an object here
    return new


def _value(walk: Walk, value: Json, states: States) -> "Json | Removed":
    return walk.value(value, states)


# --- content ----------------------------------------------------------------------------------------------------------


def _block(walk: Walk, value: Json, states: States) -> "Json | Removed":
    if not isinstance(value, dict):
        return walk.value(value, states)
    match value.get("type"):
        case "text":
            return _fields(walk, value, states, _TEXT)
        case "resource_link":
            return _fields(walk, value, states, _LINK)
        case "resource":
            return _fields(walk, value, states, _EMBEDDED)
        case "image" | "audio":
            return _fields(walk, value, states, _BINARY) if walk.plan.keeps_binary else _withheld(walk, WITHHELD_BINARY)
        case _:
            return _withheld(walk, WITHHELD_UNKNOWN)


def _withheld(walk: Walk, marker: str) -> Json:
    walk.withheld += 1
    return {"type": "text", "text": marker}


def _contents(walk: Walk, value: Json, states: States) -> "Json | Removed":
    """What a resource holds: text, or a blob, which nobody looks into."""
    if isinstance(value, dict) and "blob" in value and not walk.plan.keeps_binary:
        walk.withheld += 1
        rest: JsonObject = {key: member for key, member in value.items() if key not in ("blob", "mimeType", "text")}
        cut = _fields(walk, rest, states, _RESOURCE)
        assert isinstance(cut, dict)
        return {**cut, "mimeType": "text/plain", "text": WITHHELD_BINARY}
    return _fields(walk, value, states, _RESOURCE)


def _blocks(walk: Walk, value: Json, states: States) -> "Json | Removed":
    """Content blocks. A match that only their texts together make takes every block that it touches, whatever of it one of
    them holds alone: so the texts are matched together as they came, and once more as each of them was cut.
    """
    if not isinstance(value, list) or len(value) < 2 or not walk.plan.texts.duties:
        return _list(walk, value, states, _block)
    whole = _across(walk, value)
    if whole is not value and walk.plan.has_pointers:
        walk.pointer_hits += 1  # what a pointer would have found in a withheld block may stand in prose beside it
    new = _list(walk, whole, states, _block)
    return _across(walk, new) if new is not value and isinstance(new, list) else new


def _across(walk: Walk, blocks: list[Json]) -> list[Json]:
    """`blocks` without those that a match over their borders touches; the very same list where there is none."""
    texts = walk.plan.texts
    changed: list[Json] | None = None
    for run in _runs(blocks):
        parts = [text.encode("utf-8", "replace") for _, text in run]
        joined = b"".join(parts)
        if not texts.may_match(joined):
            continue
        ends = list(accumulate(len(part) for part in parts))
        touched: set[int] = set()
        found = texts.found(joined, walk.tally.steps)
        for start, end, duty in found:
            within = range(bisect_right(ends, start), bisect_left(ends, end) + 1)
            if len(within) > 1:
                walk.tally.add(duty.index)
                touched.update(within)
        unsure = len(found) > MAX_SPANS or walk.tally.steps.spent  # there may be more, and nobody knows where
        withheld = set(range(len(run))) if unsure else touched
        if withheld:
            changed = list(blocks) if changed is None else changed
            for number in withheld:
                changed[run[number][0]] = {"type": "text", "text": WITHHELD_MUCH if unsure else WITHHELD_TEXT}
            walk.withheld += len(withheld)
    return blocks if changed is None else changed


def _runs(blocks: list[Json]) -> list[list[tuple[int, str]]]:
    """Texts of neighbouring text blocks, with their positions; a withheld one ends a run."""
    runs: list[list[tuple[int, str]]] = [[]]
    for position, block in enumerate(blocks):
        text = block.get("text") if isinstance(block, dict) and block.get("type") == "text" else None
        if isinstance(text, str) and text not in (WITHHELD_TEXT, WITHHELD_MUCH):
            runs[-1].append((position, text))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _message(walk: Walk, value: Json, states: States) -> "Json | Removed":
    return _fields(walk, value, states, _MESSAGE)


_BASE: Form = {"type": _kept, "annotations": _value, "_meta": _payload}
_TEXT: Form = {**_BASE, "text": _prose}
_BINARY: Form = {**_BASE, "data": _same, "mimeType": _label}
_LINK: Form = {**_BASE, "uri": _uri, "name": _label, "mimeType": _label, "size": _value}
_RESOURCE: Form = {
    "uri": _uri,
    "mimeType": _label,
    "text": _prose,
    "blob": _same,  # reached only where every rule keeps it
    "_meta": _payload,
}
_EMBEDDED: Form = {**_BASE, "resource": _contents}
_MESSAGE: Form = {
    "role": _kept,
    "content": _blocks,
    "_meta": _payload,
}
_COMPLETION: Form = {
    "values": lambda walk, value, states: _list(walk, value, states, _label),
    "total": _kept,
    "hasMore": _kept,
}

RESULT: Form = {
    "content": _blocks,
    "structuredContent": _structured,
    "messages": lambda walk, value, states: _list(walk, value, states, _message),
    "contents": lambda walk, value, states: _list(walk, value, states, _contents),
    "completion": lambda walk, value, states: _fields(walk, value, states, _COMPLETION),
    "description": _prose,
    "_meta": _payload,
    "resultType": _kept,
    "isError": _kept,
    "ttlMs": _kept,
    "cacheScope": _kept,
}
ERROR: Form = {"code": _code, "message": _prose, "data": _payload}
PROGRESS: Form = {"progress": _kept, "total": _kept, "progressToken": _same, "message": _label}
LOG: Form = {"level": _kept, "logger": _label, "data": _payload}
ITEM: Form = {"name": _same, "uri": _same, "uriTemplate": _same}


def read(walk: Walk, value: JsonObject, form: Form) -> JsonObject:
    """`value`, an object of the protocol, redacted; the very same object where nothing was found."""
    new = _fields(walk, value, walk.plan.start, form)
    assert isinstance(new, dict)
    return new

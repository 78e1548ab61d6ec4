"""A comparison as people read it: in a terminal, and in Markdown for a pull request. Texts of backends are only ever shown."""

import json
from collections.abc import Iterator, Sequence

from gateway.lifecycle.catalog.comparing import Change
from gateway.lifecycle.catalog.differences import Absent, Difference, Side, shown_type
from gateway.lifecycle.catalog.words import bracketed, changed_words, visible
from gateway.model import JsonObject

MAX_VALUE = 200  # characters of a value that is not a text
MAX_LINE = 4_000
NOT_KEPT = "its reviewed definition was not kept, so what changed cannot be told: read the whole of it"


def plain(changes: Sequence[Change], accept: str, notes: Sequence[str]) -> Iterator[str]:
    """For a terminal, line by line."""
    for note in notes:
        yield f"note: {visible(note)}"
    for change in changes:
        yield f"{change.accepted.what:8} {change.key.type} {visible(change.key.id)}{_risk(change)}"
        for line in _lines(change):
            yield f"  {line}"
    yield from _ending(changes, accept)


def markdown(changes: Sequence[Change], accept: str, notes: Sequence[str]) -> Iterator[str]:
    """For a pull request: every text of a backend stands in a fence that it cannot close."""
    yield "## Catalog: what changed since review"
    yield ""
    for note in notes:
        yield f"> {_inline(note)}"
        yield ""
    for change in changes:
        yield f"### {change.accepted.what}: {change.key.type} {_inline(change.key.id)}"
        yield ""
        if change.signals:
            codes = ", ".join(f"`{code}`" for code in _codes(change))
            yield f"**Look twice:** {codes}"
            yield ""
        lines = list(_lines(change))
        if lines:
            fence = "`" * max(3, *(_longest_run(line) + 1 for line in lines))
            yield fence + "text"
            yield from lines
            yield fence
            yield ""
    yield from _ending(changes, accept)


def _risk(change: Change) -> str:
    return f"   LOOK TWICE: {', '.join(_codes(change))}" if change.signals else ""


def _codes(change: Change) -> list[str]:
    return list(dict.fromkeys(signal.code for signal in change.signals))


def _ending(changes: Sequence[Change], accept: str) -> Iterator[str]:
    counts = [(sum(change.accepted.what == what for change in changes), what) for what in ("new", "changed", "gone")]
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    yield f"{told}: hidden from all but reviewers until pinned" if told else "nothing changed since review"
    if changes:
        yield f"accept exactly this: {accept}"


def _lines(change: Change) -> Iterator[str]:
    for difference in change.differences:
        yield _difference(difference)
    if change.accepted.what == "changed" and change.before is None:
        yield NOT_KEPT
    if change.now is not None and change.before is None:
        yield from _whole(change.now)
    for signal in change.signals:
        yield f"look twice ({signal.code}) at {visible(signal.path)}: {signal.text}"


def _whole(definition: JsonObject) -> Iterator[str]:
    """A definition that has nothing to be compared with."""
    for name in ("title", "description"):
        told = definition.get(name)
        if isinstance(told, str):
            yield f"{name}: {visible(told)[:MAX_LINE]}"
    schema = definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        must = isinstance(required, list) and name in required
        said = inner.get("description") if isinstance(inner, dict) else None
        text = f"  {visible(said)[:MAX_LINE]}" if isinstance(said, str) else ""
        yield f"argument {visible(name)}: {visible(shown_type(inner))}{', required' if must else ''}{text}"
    if isinstance(definition.get("annotations"), dict):
        yield f"hints: {_value(definition['annotations'])}"


def _difference(told: Difference) -> str:
    about = f" {visible(told.about)}" if told.about else ""
    if told.area == "text":
        name = "arguments " * told.path.startswith("/arguments") + told.path.rsplit("/", 1)[-1]
        text = bracketed(changed_words(_text(told.before), _text(told.now)))[:MAX_LINE]
        return f"{name}{about if told.path.count('/') > 1 else ''}: {text}"
    if told.how in {"added", "removed"} and told.area in {"argument", "result"}:
        side = told.now if told.how == "added" else told.before
        return f"{told.area} {told.how}:{about} ({visible(shown_type(side))})"
    if told.how in {"required", "optional"}:
        return f"{told.area}{about}: {'now required' if told.how == 'required' else 'no longer required'}"
    return f"{told.area}{about} {told.how}: {_value(told.before)} → {_value(told.now)}"


def _text(side: Side) -> str:
    return side if isinstance(side, str) else ""


def _value(side: Side) -> str:
    if isinstance(side, Absent):
        return "(not there)"
    written = json.dumps(side, ensure_ascii=False, sort_keys=True)
    return visible(written if len(written) <= MAX_VALUE else written[:MAX_VALUE] + "…")


def _inline(text: str) -> str:
    shown = visible(text)
    fence = "`" * (_longest_run(shown) + 1)
    return f"{fence}{shown}{fence}" if not (shown.startswith("`") or shown.endswith("`")) else f"{fence} {shown} {fence}"


def _longest_run(text: str) -> int:
    longest = run = 0
    for each in text:
        run = run + 1 if each == "`" else 0
        longest = max(longest, run)
    return longest

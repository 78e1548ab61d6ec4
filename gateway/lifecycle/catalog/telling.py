"""A comparison as people read it: in a terminal, and in Markdown for a pull request. Texts of backends are only ever shown."""

from collections.abc import Iterator, Sequence

from gateway.lifecycle.catalog import whole
from gateway.lifecycle.catalog.comparing import Change
from gateway.lifecycle.catalog.differences import Absent, Difference, Side, shown_type
from gateway.lifecycle.catalog.words import bracketed, changed_words, shortened, visible

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
        yield from _difference(difference)
    if change.accepted.what == "changed" and change.before is None:
        yield NOT_KEPT
    if change.now is not None and change.before is None:
        yield from whole.whole(change.key, change.now)
    for signal in change.signals:
        yield f"look twice ({signal.code}) at {shortened(signal.path)}: {signal.text}"


def _difference(told: Difference) -> Iterator[str]:
    """One line, and below it what of the new side has no room in it."""
    about = f" {visible(told.about)}" if told.about else ""
    nested = told.path.count("/") > 1
    if told.area == "text":
        name = "arguments " * told.path.startswith("/arguments") + told.path.rsplit("/", 1)[-1]
        where = about or f" ({shortened(told.path)})"
        yield f"{name}{where if nested else ''}: {bracketed(changed_words(_text(told.before), _text(told.now)))}"
    elif told.how == "removed" and told.area in {"argument", "result"}:
        yield f"{told.area} removed:{about} ({shortened(shown_type(told.before), whole.MAX_VALUE)})"
    elif told.how == "added" and told.area in {"argument", "result"} and not isinstance(told.now, Absent):
        type, text, rest = whole.argument(told.now)
        yield f"{told.area} added:{about} ({type}){text}"
        if rest is not None:
            yield from whole.by_pointer(rest, shortened(told.path))
    elif told.how in {"required", "optional"}:
        yield f"{told.area}{about}: {'now required' if told.how == 'required' else 'no longer required'}"
    else:
        yield f"{told.area}{about} {told.how}: {_value(told.before)} → {_value(told.now)}"
        if not isinstance(told.now, Absent) and not whole.short(told.now):
            yield from whole.by_pointer(told.now, shortened(told.path))


def _text(side: Side) -> str:
    return side if isinstance(side, str) else ""


def _value(side: Side) -> str:
    return "(not there)" if isinstance(side, Absent) else whole.value(side)


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

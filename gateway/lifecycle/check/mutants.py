"""The ways in which a rule could be wrong by one word: each a copy of its source in which one condition says something else.

A condition is dropped or negated, a comparison turned or moved by one, a literal exchanged. What holds the place of a condition
stays in its line. Left alone are what binds a name (`some`, `:=`), type guards (`is_string` …: what they prevent is an error of
a builtin, which `opa test` takes for "undefined" and service does not), and lines that say `# unmutated:` and why.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.lifecycle.check.places import Node, Place

UNMUTATED = b"# unmutated:"
OPERATORS = {
    b"==": (b"!=",),
    b"!=": (b"==",),
    b"<": (b"<=",),
    b"<=": (b"<",),
    b">": (b">=",),
    b">=": (b">",),
}
BINDING = frozenset({"assign", "eq"})
OTHER = b"_or_other"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed copy. `said` tells the change, in the words of the source."""

    row: int
    said: str
    source: bytes


@dataclass(frozen=True, slots=True)
class _Edit:
    place: Place
    text: bytes
    said: str


def mutants(source: bytes, tree: Node) -> tuple[Mutant, ...]:
    """All of them, by line; each changes one condition of one rule."""
    lines = source.split(b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    made: dict[tuple[int, bytes], Mutant] = {}
    for edit in _edits(tree):
        begin = starts[edit.place.row - 1] + edit.place.column - 1
        end = begin + len(edit.place.text)
        if source[begin:end] != edit.place.text or UNMUTATED in lines[edit.place.row - 1]:
            continue
        changed = source[:begin] + edit.text + source[end:]
        made.setdefault((edit.place.row, changed), Mutant(edit.place.row, edit.said, changed))
    return tuple(sorted(made.values(), key=lambda each: (each.row, each.said)))


def _edits(tree: Node) -> Iterator[_Edit]:
    for expression in conditions(tree):
        place = Place.of(expression)
        terms = expression.get("terms")
        if place is None or place.text.startswith(b"else"):  # OPA places the body of an `else` at the word
            continue
        if isinstance(terms, dict) and ("symbols" in terms or "domain" in terms or terms.get("type") == "boolean"):
            continue
        called = operator(terms)
        if called not in BINDING:
            yield from _whole(expression, place, called)
        yield from _within(terms)


def conditions(tree: Node) -> Iterator[Node]:
    """Every expression of every body, of rules and of comprehensions."""
    waiting: list[object] = [tree.get("rules")]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            waiting.extend(each for name, each in node.items() if name != "location")
            body = node.get("body")
            if isinstance(body, list):
                yield from (each for each in body if isinstance(each, dict) and "terms" in each)


def operator(terms: object) -> str:
    """What a condition calls: `startswith`, `equal` …; "" where it calls nothing."""
    if not isinstance(terms, list) or not terms or terms[0].get("type") != "ref":
        return ""
    return ".".join(str(part.get("value")) for part in terms[0]["value"])


def _whole(expression: Node, place: Place, called: str) -> Iterator[_Edit]:
    told = _told(place.text)
    if expression.get("negated"):
        positive = place.text.removeprefix(b"not").lstrip()
        yield _Edit(place, positive, f"{told} without its `not`")
        yield _Edit(place, b"true", f"{told} dropped")
    elif not called.startswith("is_"):
        yield _Edit(place, b"not " + place.text, f"{told} negated")
        yield _Edit(place, b"true", f"{told} dropped")


def _within(terms: object) -> Iterator[_Edit]:
    """Comparisons and literals in a condition, but not in the bodies of its comprehensions, which are conditions themselves."""
    waiting: list[object] = [terms]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            place, kind = Place.of(node), node.get("type")
            if kind == "ref":
                yield from _turned(place)
                continue  # what stands in a reference is a name
            if place is not None:
                yield from _exchanged(place, kind)
            waiting.extend(each for name, each in node.items() if name not in {"location", "body"})


def _turned(place: Place | None) -> Iterator[_Edit]:
    for other in OPERATORS.get(place.text, ()) if place is not None else ():
        assert place is not None
        yield _Edit(place, other, f"`{place.text.decode()}` turned into `{other.decode()}`")


def _exchanged(place: Place, kind: object) -> Iterator[_Edit]:
    text = place.text
    if kind == "string" and len(text) >= 2 and text[:1] in b'"`' and text[-1:] == text[:1]:
        yield _Edit(place, text[:-1] + OTHER + text[-1:], f"{_told(text)} exchanged for another")
    elif kind == "number" and text.isdigit():
        yield _Edit(place, str(int(text) + 1).encode(), f"{text.decode()} exchanged for {int(text) + 1}")
    elif kind == "boolean" and text in {b"true", b"false"}:
        other = b"false" if text == b"true" else b"true"
        yield _Edit(place, other, f"{text.decode()} exchanged for {other.decode()}")


def _told(text: bytes) -> str:
    words = " ".join(text.decode(errors="replace").split())
    return f"`{words if len(words) <= 80 else words[:79] + '…'}`"

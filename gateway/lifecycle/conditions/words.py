"""A condition in words that a reader of policies need not know Rego for. What has no words stays Rego, between backticks."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import RULED, All, Always, Any, Formula, Opaque, Some, Test, negated
from gateway.lifecycle.conditions.hours import WEEKDAY, hours, zone_of
from gateway.model import Json, JsonObject

MAX_CHARS = 400  # of one condition: what is longer is read in the rule
MAX_LISTED = 12
NANOSECONDS = 1_000_000_000

PLAIN = {  # op: when it holds, when it does not; {0} and {1} are its terms
    "eq": ("{0} is {1}", "{0} is not {1}"),
    "neq": ("{0} is given and not {1}", "{0} is {1} or absent"),
    "lt": ("{0} is below {1}", "{0} is not below {1}"),
    "lte": ("{0} is at most {1}", "{0} is not at most {1}"),
    "gt": ("{0} is above {1}", "{0} is not above {1}"),
    "gte": ("{0} is at least {1}", "{0} is not at least {1}"),
    "given": ("{0} is given", "{0} is absent"),
    "true": ("{0} is given and not false", "{0} is absent or false"),
    "startswith": ("{0} begins with {1}", "{0} does not begin with {1}"),
    "endswith": ("{0} ends with {1}", "{0} does not end with {1}"),
    "contains": ("{0} contains {1}", "{0} does not contain {1}"),
    "regex.match": ("{1} matches {0}", "{1} does not match {0}"),
    "glob.match": ("{2} matches {0}", "{2} does not match {0}"),
    "net.cidr_contains": ("{1} is in the network {0}", "{1} is not in the network {0}"),
    "is_string": ("{0} is a text", "{0} is no text"),
    "is_number": ("{0} is a number", "{0} is no number"),
    "is_array": ("{0} is a list", "{0} is no list"),
    "is_object": ("{0} is an object", "{0} is no object"),
    "is_boolean": ("{0} is true or false", "{0} is neither true nor false"),
}
HELD: dict[tuple[str, ...], str] = {
    ("subject", "groups"): "group",
    ("subject", "scopes"): "scope",
    ("context", "obligations"): "gateway duty",
}
TIMED = {  # of the moment of the call; negated, the one that is otherwise
    "lt": "the time is before {}",
    "lte": "the time is not after {}",
    "gt": "the time is after {}",
    "gte": "the time is not before {}",
}
OTHERWISE = {"lt": "gte", "lte": "gt", "gt": "lte", "gte": "lt"}
SPOKEN = {  # by a rule that is told by its name: where it does, where it does not
    "allow": ("grants it", "does not grant it"),
    "hide": ("hides it", "does not hide it"),
    "deny": ("refuses", "does not refuse"),
    "withhold": ("withholds", "does not withhold"),
    "oblige": ("asks for that", "does not ask for that"),
}
OF_TEXTS = frozenset({"regex.match", "startswith", "endswith", "contains", "glob.match"})
NOW = ("context", "time_ns")
FLIPPED = {"lt": "gt", "lte": "gte", "gt": "lt", "gte": "lte", "eq": "eq", "neq": "neq"}


def words(formula: Formula) -> str:
    """`arguments.environment is one of "staging", "test"`."""
    told = _words(formula, "some", top=True)
    return told if len(told) <= MAX_CHARS else told[: MAX_CHARS - 1] + "…"


def fits(formula: Formula) -> bool:
    """Whether all of it is said."""
    return len(_words(formula, "some", top=True)) <= MAX_CHARS


def _words(formula: Formula, element: str, *, top: bool = False) -> str:
    match formula:
        case Always(holds):
            return "always" if holds else "never"
        case Opaque(rego, holds):
            return f"`{rego}`" if holds else f"not `{rego}`"
        case Test():
            return _test(formula, element)
        case Some() if (told := hours(formula)) is not None:
            return told
        case Some(of, holds):
            return _words(of, "some", top=top) if holds else _words(negated(of), "every", top=top)
        case All(of):
            telling = _between(_without_types(of))
            said = " and ".join(each if isinstance(each, str) else _words(each, element) for each in telling)
        case Any(of):
            said = " or ".join(_words(each, element) for each in of)
    return said if top else f"({said})"


def _test(test: Test, element: str) -> str:
    op, given = test.op, test.terms
    if op == RULED:
        return f"{given[0]['value']} {SPOKEN[str(given[3]['value'])][0 if test.holds else 1]}"
    if op == "internal.member_2" and len(given) == 2:
        return _member(given[0], given[1], element, holds=test.holds)
    if op in FLIPPED and len(given) == 2 and terms.constant(given[0]) and not terms.constant(given[1]):
        op, given = FLIPPED[op], (given[1], given[0])
    if op not in PLAIN or (op == "glob.match" and len(given) != 3):
        said = f"`{op}({', '.join(terms.rego(term) for term in given)})`"
        return said if test.holds else f"not {said}"
    if (bound := _bound(test)) is not None:
        return TIMED[bound[0]].format(_moment(bound[1]))
    if op == "regex.match" and terms.kind(given[0]) == "string":
        how = "matches" if test.holds else "does not match"
        return f"{term_words(given[1], element)} {how} /{given[0]['value']}/"
    told = [term_words(term, element) for term in given]
    return PLAIN[op][0 if test.holds else 1].format(*told)


def _bound(test: Formula) -> tuple[str, JsonObject] | None:
    """How the time of the call is compared, and with which moment; None: it is not, or not with a number."""
    if not isinstance(test, Test) or test.op not in TIMED or len(test.terms) != 2:
        return None
    op, (one, other) = test.op, test.terms
    if terms.path(other) == NOW:
        op, one, other = FLIPPED[op], other, one
    if terms.path(one) != NOW or terms.kind(other) != "number":
        return None
    return op if test.holds else OTHERWISE[op], other


def _without_types(of: Sequence[Formula]) -> list[Formula]:
    """That something is a text goes without saying where it matches or begins with one."""
    texts = [part for part in of if isinstance(part, Test) and part.holds and part.op in OF_TEXTS]
    said = [term for part in texts for term in part.terms]
    return [
        part for part in of if not (isinstance(part, Test) and part.op == "is_string" and part.holds and part.terms[0] in said)
    ]


def _between(of: Sequence[Formula]) -> Iterator[Formula | str]:
    """A moment from which and one until which are said together."""
    bounds = [(each, bound) for each in of if (bound := _bound(each)) is not None]
    first = [(each, term) for each, (op, term) in bounds if op in ("gt", "gte")]
    last = [(each, term) for each, (op, term) in bounds if op in ("lt", "lte")]
    if len(first) != 1 or len(last) != 1:
        yield from of
        return
    for each in of:
        if each is first[0][0]:
            yield f"the time is between {_moment(first[0][1])} and {_moment(last[0][1])}"
        elif each is not last[0][0]:
            yield each


def _member(one: JsonObject, many: JsonObject, element: str, *, holds: bool) -> str:
    held = HELD.get(terms.path(many) or ())
    if held is not None and terms.constant(one):
        return f"{held} {terms.value(one)}" if holds else f"not {held} {terms.value(one)}"
    if terms.kind(many) in ("set", "array") and terms.constant(many):
        listed = [terms.rego(part) for part in terms.parts(many)]
        told = ", ".join(listed[:MAX_LISTED]) + (f" … ({len(listed)})" if len(listed) > MAX_LISTED else "")
        what = term_words(one, element)
        if len(listed) == 1:
            return f"{what} is {told}" if holds else f"{what} is not {told}"
        return f"{what} is one of {told}" if holds else f"{what} is none of {told}"
    what, where = term_words(one, element), term_words(many, element)
    return f"{where} has {what}" if holds else f"{where} does not have {what}"


def term_words(term: Json, element: str = "some") -> str:
    """`arguments.to` for `input.arguments.to`, `some arguments.to` for an element of it."""
    if terms.path(term) == NOW:
        return "the time"
    if terms.kind(term) == "ref" and (names := terms.parts(term)) and names[0].get("value") == "input":
        looked_for = any(terms.kind(name) == "var" for name in names[1:])
        steps = [str(name.get("value")) if terms.kind(name) == "string" else "" for name in names[1:]]
        if all((step and "." not in step) or terms.kind(name) == "var" for step, name in zip(steps, names[1:], strict=True)):
            said = ".".join(step for step in steps if step)
            return f"{element} {said}" if looked_for else said or "the whole input"
    if terms.kind(term) in terms.COMPREHENSIONS:
        whole = terms.elements(term)
        if whole is None:
            return f"`{terms.rego(term)}`"
        return f"the {'set' if terms.kind(term) == 'setcomprehension' else 'list'} of {term_words(whole, element)}"
    if terms.kind(term) == "call":
        called, *given = terms.parts(term)
        if terms.operator(called) == "object.get" and len(given) == 3 and terms.kind(given[1]) == "string":
            above = "" if terms.path(given[0]) == () else f"{term_words(given[0], element)}."
            name = f"{above}{given[1]['value']}"
            return f"{name} (else {terms.rego(given[2])})"
        if terms.operator(called) == "count" and len(given) == 1:
            return f"the number of {_counted(given[0], element)}"
        if terms.operator(called) == "minus" and len(given) == 2 and terms.kind(given[1]) == "set" and terms.constant(given[1]):
            return term_words(given[0], element) + _without(given[1])
        if (zone := zone_of(term, WEEKDAY)) is not None:
            return f"the weekday in {zone}"
        if terms.operator(called) == "json.marshal" and len(given) == 1:
            return f"{term_words(given[0], element)} as JSON"
    return terms.rego(term)


def _counted(term: JsonObject, element: str) -> str:
    """What has a number: in a set, equal ones are one."""
    called, *given = terms.parts(term) if terms.kind(term) == "call" else [term]
    if given and terms.operator(called) == "minus" and terms.kind(given[1]) == "set" and terms.constant(given[1]):
        return _counted(given[0], element) + _without(given[1])
    whole = terms.elements(term)
    if whole is None:
        return term_words(term, element)
    return f"{'different ' if terms.kind(term) == 'setcomprehension' else ''}{term_words(whole, element)}"


def _without(known: JsonObject) -> str:
    left = [terms.rego(part) for part in terms.parts(known)]
    return f" other than {', '.join(left)}" if left else ""


def _moment(term: JsonObject) -> str:
    try:
        at = datetime.fromtimestamp(int(str(term["value"])) // NANOSECONDS, UTC)
        return at.strftime("%Y-%m-%d %H:%M:%S UTC" if at.second else "%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return terms.rego(term)

"""Hours of a day and days of a week, as rules ask for them with `time.clock` and `time.weekday`; nothing else is read as such."""

from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import All, Some, Test
from gateway.model import Json, JsonObject

CLOCK, WEEKDAY = "time.clock", "time.weekday"
HOURS_AND_MINUTES = "%02d:%02d"
WORDS = {
    ("from", "until"): "between {} and {}",
    ("from",): "{} or later",
    ("until",): "before {}",
}


def hours(some: Some) -> str | None:
    """`the time of day in Europe/Berlin is between 08:00 and 18:00`; None: it says something else, or more."""
    if not isinstance(some.of, All):
        return None
    zone, clock, bounds = None, ("", ""), {}
    for test in some.of.of:
        if not isinstance(test, Test) or not test.holds or len(test.terms) != 2:
            return None
        one, other = test.terms
        if test.op == "eq" and zone is None and (told := zone_of(other, CLOCK)) is not None and terms.kind(one) == "array":
            names = [str(part.get("value")) for part in terms.parts(one) if terms.kind(part) == "var"]
            if len(names) != 3:
                return None
            zone, clock = told, (names[0], names[1])
        elif test.op in ("gte", "lt") and terms.kind(other) == "string":
            bounds["from" if test.op == "gte" else "until"] = (one, str(other["value"]))
        else:
            return None
    if (
        zone is None
        or not bounds
        or len(bounds) != len(some.of.of) - 1
        or any(_written(one) != clock for one, _ in bounds.values())
    ):
        return None
    named = tuple(name for name in ("from", "until") if name in bounds)
    said = WORDS[named].format(*(bounds[name][1] for name in named))
    return f"the time of day in {zone} is {'' if some.holds else 'not '}{said}"


def zone_of(term: Json, operator: str) -> str | None:
    """The zone in `time.clock([input.context.time_ns, "Europe/Berlin"])`; None: it is not of that form."""
    if terms.kind(term) != "call":
        return None
    called, *given = terms.parts(term)
    if terms.operator(called) != operator or len(given) != 1:
        return None
    if terms.path(given[0]) == ("context", "time_ns"):
        return "UTC"
    asked = terms.parts(given[0]) if terms.kind(given[0]) == "array" else []
    if len(asked) != 2 or terms.path(asked[0]) != ("context", "time_ns") or terms.kind(asked[1]) != "string":
        return None
    return str(asked[1]["value"])


def _written(term: JsonObject) -> tuple[str, str] | None:
    """The variables that are written as hours and minutes, in this order."""
    if terms.kind(term) != "call":
        return None
    called, *given = terms.parts(term)
    if terms.operator(called) != "sprintf" or len(given) != 2 or given[0].get("value") != HOURS_AND_MINUTES:
        return None
    names = [str(part.get("value")) for part in terms.parts(given[1]) if terms.kind(part) == "var"]
    return (names[0], names[1]) if len(names) == 2 else None

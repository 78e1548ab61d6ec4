"""Terms of OPA's syntax tree: constants, references, calls; and how they are written in Rego."""

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile

from gateway.model import Json, JsonObject

UNDEFINED: JsonObject = {"type": "undefined"}
CONSTANTS = frozenset({"null", "boolean", "number", "string"})
TOTAL_CALLS = frozenset({"object.get", "object.union", "sprintf", "json.marshal"})  # defined whatever was sent
COMPREHENSIONS = frozenset({"setcomprehension", "arraycomprehension", "objectcomprehension"})
ALWAYS_MADE = frozenset({"setcomprehension", "arraycomprehension"})  # an object's may have two values for one key
PLAIN = frozenset({"index", "terms", "location", "generated"})  # members of an expression that asks just what its terms say
NAMES = "xyzuvw"
INFIX = {
    "eq": "=",
    "equal": "==",
    "assign": ":=",
    "neq": "!=",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
    "internal.member_2": "in",
}
OPERANDS = {
    **dict.fromkeys(("abs", "ceil", "count", "floor", "lower", "max", "min", "round", "sum", "type_name", "upper"), 1),
    **dict.fromkeys(("concat", "indexof", "object.union", "split", "sprintf", "trim", "trim_prefix", "trim_suffix"), 2),
    **dict.fromkeys(("div", "minus", "mul", "plus", "rem"), 2),
    **dict.fromkeys(("object.get", "replace", "substring"), 3),
    **dict.fromkeys(("time.clock", "time.date", "time.weekday"), 1),
}  # of calls whose value is often compared
ALWAYS_THERE = frozenset(
    {
        (),
        ("arguments",),
        ("arguments_valid",),
        ("resources",),
        ("subject",),
        ("subject", "type"),
        ("subject", "groups"),
        ("subject", "scopes"),
        ("subject", "claims"),
        ("subject", "authentication"),
        ("subject", "actors"),
        ("action", "name"),
        ("action", "phase"),
        ("context",),
        ("context", "time_ns"),
        ("context", "approvals"),
        ("context", "obligations"),
        ("context", "surface"),
        ("context", "protocol"),
        ("context", "source_ip"),
    }
)  # of a request, by schemas/input.json


def kind(term: Json) -> str:
    told = term.get("type") if isinstance(term, dict) else None
    return told if isinstance(told, str) else ""


def parts(term: Json) -> list[JsonObject]:
    value = term.get("value") if isinstance(term, dict) else None
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def pairs(term: Json) -> list[tuple[JsonObject, JsonObject]]:
    """Of an object."""
    value = term.get("value") if isinstance(term, dict) else None
    told = []
    for pair in value if isinstance(value, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], dict) and isinstance(pair[1], dict):
            told.append((pair[0], pair[1]))
    return told


def constant(term: Json) -> bool:
    match kind(term):
        case "array" | "set":
            return all(constant(part) for part in parts(term))
        case "object":
            return all(constant(key) and constant(value) for key, value in pairs(term))
        case other:
            return other in CONSTANTS


def value(term: Json) -> Json:
    """Of a constant; a set as a list."""
    match kind(term):
        case "array" | "set":
            return [value(part) for part in parts(term)]
        case "object":
            return {str(value(key)): value(inner) for key, inner in pairs(term)}
        case _:
            return term.get("value") if isinstance(term, dict) else None


def path(term: Json) -> tuple[str, ...] | None:
    """`("arguments", "to")` for `input.arguments.to`; None: not such a reference, or one with a variable in it."""
    if kind(term) != "ref":
        return None
    names = parts(term)
    if not names or names[0].get("value") != "input" or any(kind(name) != "string" for name in names[1:]):
        return None
    return tuple(str(name["value"]) for name in names[1:])


def prefixes(term: Json) -> Iterator[tuple[str, ...]]:
    """The part of the input that each reference in a term is below, as far as its path is constant."""
    if kind(term) == "ref" and (names := parts(term)) and names[0].get("value") == "input":
        steps = list(takewhile(lambda name: kind(name) == "string", names[1:]))
        yield tuple(str(step["value"]) for step in steps)
    if kind(term) == "object":
        for key, inner in pairs(term):
            yield from prefixes(key)
            yield from prefixes(inner)
    elif kind(term) in ("ref", "call", "array", "set"):
        for part in parts(term):
            yield from prefixes(part)
    elif kind(term) in COMPREHENSIONS:
        yield from _prefixes_inside(term)


def _prefixes_inside(whole: Json) -> Iterator[tuple[str, ...]]:
    """Of whatever a comprehension is made of."""
    waiting = [whole]
    while waiting:
        part = waiting.pop()
        if kind(part) == "ref":
            yield from prefixes(part)
        elif kind(part) == "var" and isinstance(part, dict) and part["value"] == "input":
            yield ()
        elif isinstance(part, dict | list):
            waiting.extend(part.values() if isinstance(part, dict) else part)


def operator(term: Json) -> str:
    """`object.get` for the reference that a call begins with."""
    return ".".join(str(part.get("value")) for part in parts(term))


def variables(term: Json) -> Iterator[str]:
    """The free variables of a term; not `input` and `data`, nor the name of what is called."""
    match kind(term):
        case "var":
            yield str(term["value"])  # type: ignore[index,call-overload]
        case "ref":
            for part in parts(term)[1:]:
                yield from variables(part)
            first = parts(term)[0]
            if kind(first) != "var" or first.get("value") not in ("input", "data"):
                yield from variables(first)
        case "call":
            for part in parts(term)[1:]:
                yield from variables(part)
        case "object":
            for key, inner in pairs(term):
                yield from variables(key)
                yield from variables(inner)
        case "array" | "set":
            for part in parts(term):
                yield from variables(part)


def made(term: Json) -> bool:
    """Whether a rule is named in it that OPA made of others: `data.partial.…`."""
    waiting = [term]
    while waiting:
        part = waiting.pop()
        if kind(part) == "ref" and operator(part).startswith("data.partial."):
            return True
        if isinstance(part, dict | list):
            waiting.extend(part.values() if isinstance(part, dict) else part)
    return False


def total(term: Json) -> bool:
    """Whether it has a value whatever was sent, so that a finding made of it is always made."""
    match kind(term):
        case "call":
            called, *given = parts(term)
            return operator(called) in TOTAL_CALLS and all(total(part) for part in given)
        case "ref":
            told = path(term)
            return told is not None and told in ALWAYS_THERE
        case "object":
            return all(total(key) and total(inner) for key, inner in pairs(term))
        case "array" | "set":
            return all(total(part) for part in parts(term))
        case other:
            return other in CONSTANTS or other in ALWAYS_MADE


def filled(term: JsonObject, known: Mapping[str, JsonObject], depth: int = 0) -> JsonObject:
    """The term with variables replaced by what they stand for."""
    if depth > 32:
        return term
    match kind(term):
        case "var":
            told = known.get(str(term["value"]))
            return term if told is None else filled(told, known, depth + 1)
        case "ref":
            first, *rest = parts(term)
            below = [filled(part, known, depth + 1) for part in rest]
            begun = filled(first, known, depth + 1) if kind(first) == "var" else first
            if kind(begun) == "ref":
                return {"type": "ref", "value": [*parts(begun), *below]}
            return _inside(begun, below) if constant(begun) else {"type": "ref", "value": [begun, *below]}
        case "call":
            called, *given = parts(term)
            return {"type": "call", "value": [called, *(filled(part, known, depth + 1) for part in given)]}
        case "array" | "set":
            return {"type": kind(term), "value": [filled(part, known, depth + 1) for part in parts(term)]}
        case "object":
            inner: list[Json] = [[filled(key, known, depth + 1), filled(part, known, depth + 1)] for key, part in pairs(term)]
            return {"type": "object", "value": inner}
        case _:
            return term


def _inside(whole: JsonObject, steps: list[JsonObject]) -> JsonObject:
    """What stands in a constant; `UNDEFINED` where nothing does. As it is where a variable leads into it."""
    for at, step in enumerate(steps):
        inner = [each for pair in pairs(whole) for each in [pair[1]]] if kind(whole) == "object" else parts(whole)
        if not inner:
            return UNDEFINED
        if not constant(step):
            return {"type": "ref", "value": [whole, *steps[at:]]}
        if kind(whole) == "object":
            found = [value for key, value in pairs(whole) if key == step]
        elif kind(whole) == "array":
            found = [each for place, each in enumerate(inner) if kind(step) == "number" and step.get("value") == place]
        else:
            found = [each for each in inner if each == step]
        if not found:
            return UNDEFINED
        whole = found[0]
    return whole


def needed(term: Json) -> Iterator[JsonObject]:
    """What has to be there for the term to have a value: nothing, where it has one whatever was sent."""
    if not isinstance(term, dict) or total(term):
        return
    called, *given = parts(term) if kind(term) == "call" else [term]
    match kind(term):
        case "object":
            for key, inner in pairs(term):
                yield from needed(key)
                yield from needed(inner)
        case "array" | "set":
            for part in parts(term):
                yield from needed(part)
        case "call" if operator(called) in TOTAL_CALLS:
            for part in given:
                yield from needed(part)
        case _:
            yield term


def term(said: Json) -> JsonObject:
    """A constant."""
    match said:
        case None:
            return {"type": "null", "value": None}
        case bool():
            return {"type": "boolean", "value": said}
        case int() | float():
            return {"type": "number", "value": said}
        case str():
            return {"type": "string", "value": said}
        case list():
            return {"type": "array", "value": [term(each) for each in said]}
        case dict():
            members: list[Json] = [[term(name), term(each)] for name, each in said.items()]
            return {"type": "object", "value": members}


def rego(term: Json) -> str:
    """As it is written in Rego."""
    match kind(term):
        case "var":
            name = str(term["value"])  # type: ignore[index,call-overload]
            return "_" if name.startswith(("$", "__local", "_")) else name
        case "ref":
            first, *rest = parts(term)
            return rego_head(first) + "".join(_step(part) for part in rest)
        case "call":
            called, *given = parts(term)
            return f"{operator(called)}({', '.join(rego(part) for part in given)})"
        case "array":
            return f"[{', '.join(rego(part) for part in parts(term))}]"
        case "set":
            return f"{{{', '.join(rego(part) for part in parts(term))}}}" if parts(term) else "set()"
        case "object":
            return f"{{{', '.join(f'{rego(key)}: {rego(inner)}' for key, inner in pairs(term))}}}"
        case other if other in CONSTANTS:
            return json.dumps(value(term), ensure_ascii=False)
        case other if other in COMPREHENSIONS:
            return _comprehension(_named(term))
        case _:
            return "…"


def rego_head(first: JsonObject) -> str:
    return str(first.get("value")) if kind(first) == "var" else rego(first)


def elements(term: Json) -> JsonObject | None:
    """What `{x | some x in xs}` takes all of: `xs`. None: it is another comprehension, or none."""
    made = _dict(term, "value") if kind(term) in ALWAYS_MADE else {}
    head, body = made.get("term"), made.get("body")
    if kind(head) != "var" or not isinstance(body, list) or len(body) != 1:
        return None
    said = body[0].get("terms") if isinstance(body[0], dict) and set(body[0]) <= PLAIN else None
    if not isinstance(said, list) or len(said) != 3 or operator(said[0]) not in ("eq", "equal", "assign"):
        return None
    one, other = (said[1], said[2]) if _same(said[1], head) else (said[2], said[1])
    steps = parts(other)
    whole: JsonObject = {"type": "ref", "value": [*steps[:-1]]}
    listed = kind(other) == "ref" and kind(steps[-1]) == "var" and path(whole) is not None
    return whole if listed and _same(one, head) and not _same(steps[-1], head) else None


def _same(one: Json, other: Json) -> bool:
    return kind(one) == kind(other) and isinstance(one, dict) and isinstance(other, dict) and one["value"] == other["value"]


def _comprehension(term: Json) -> str:
    made = _dict(term, "value")
    body = made.get("body")
    said = "; ".join(_expression(each) for each in body) if isinstance(body, list) else "…"
    match kind(term):
        case "arraycomprehension":
            return f"[{rego(made.get('term'))} | {said}]"
        case "objectcomprehension":
            return f"{{{rego(made.get('key'))}: {rego(made.get('value'))} | {said}}}"
        case _:
            return f"{{{rego(made.get('term'))} | {said}}}"


def _expression(told: Json) -> str:
    said = told.get("terms") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not set(told) <= {*PLAIN, "negated"} or (isinstance(said, dict) and "domain" in said):
        return "…"
    text = rego(said)
    if isinstance(said, list):
        given = [rego(each) for each in said[1:]]
        between = INFIX.get(operator(said[0]))
        text = f"{given[0]} {between} {given[1]}" if between and len(given) == 2 else f"{operator(said[0])}({', '.join(given)})"
    return f"not {text}" if told.get("negated") else text


def _named(term: Json) -> Json:
    """With names that one can read for those that OPA made up, each its own."""
    found: dict[str, str] = {}

    def name(part: Json) -> Json:
        if isinstance(part, list):
            return [name(each) for each in part]
        if not isinstance(part, dict):
            return part
        if kind(part) == "var" and str(part["value"]).startswith("__local"):
            made = found.setdefault(str(part["value"]), NAMES[len(found)] if len(found) < len(NAMES) else f"x{len(found)}")
            return {"type": "var", "value": made}
        return {key: name(each) for key, each in part.items()}

    return name(term)


def _dict(term: Json, name: str) -> JsonObject:
    told = term.get(name) if isinstance(term, dict) else None
    return told if isinstance(told, dict) else {}


def _step(part: JsonObject) -> str:
    if kind(part) == "string" and str(part["value"]).isidentifier():
        return f".{part['value']}"
    return f"[{rego(part)}]"

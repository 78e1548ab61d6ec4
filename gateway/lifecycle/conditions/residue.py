"""OPA's partial evaluation, read: each way in which a query can still hold, with the condition under which it does.

A query without a condition holds always; no query at all: it never holds. The heads of rules are evaluated too, so what
only builds a finding is told from what decides whether there is one; building that may fail is a condition like any other.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gateway.lifecycle.conditions import terms
from gateway.lifecycle.conditions.formula import FALSE, Formula, Opaque, Some, Test, both, either, leaves, negated
from gateway.model import Json, JsonObject

COMPARISONS = frozenset({"eq", "equal", "neq", "lt", "lte", "gt", "gte", "internal.member_2"})
SEVERAL_ANSWERS = frozenset({"walk"})
MAX_DEPTH = 24  # of rules that stand for rules


@dataclass(frozen=True, slots=True)
class Residue:
    """One way for the query to hold: what its variables stand for, and the condition."""

    known: Mapping[str, JsonObject]
    condition: Formula

    def term(self, variable: str) -> JsonObject:
        """What a variable of the query stands for, as far as it is known."""
        return terms.filled({"type": "var", "value": variable}, self.known)

    def text(self, variable: str) -> str | None:
        """The text that a variable of the query stands for; None: not known."""
        term = self.term(variable)
        return str(term["value"]) if terms.kind(term) == "string" else None

    def member(self, variable: str, name: str) -> Json:
        """A constant member of the object that a variable stands for, wherever in its making it is said; None: none is."""
        waiting = [self.term(variable)]
        while waiting:
            term = waiting.pop()
            for key, inner in terms.pairs(term) if terms.kind(term) == "object" else ():
                if terms.kind(key) == "string" and key.get("value") == name and terms.constant(inner):
                    return terms.value(inner)
            if terms.kind(term) == "call":
                waiting.extend(terms.parts(term)[1:])
        return None


@dataclass(frozen=True, slots=True)
class Partial:
    """All ways for one query to hold."""

    ways: tuple[Residue, ...]
    chars: int = 0  # of OPA's answer

    @property
    def condition(self) -> Formula:
        return either(way.condition for way in self.ways) if self.ways else FALSE


def read(result: Json, given: JsonObject, unknowns: Collection[str], chars: int = 0) -> Partial:
    """The `result` of `POST /v1/compile` for this input and these unknowns (`input.arguments`); how long it was."""
    result = _folded(result, given, {name.split(".")[1] for name in unknowns})
    told = result if isinstance(result, dict) else {}
    queries = told.get("queries")
    support = _support(told.get("support"))
    ways = tuple(_residue(query, support) for query in queries) if isinstance(queries, list) else ()
    return Partial(ways, chars)


def _folded(node: Json, given: JsonObject, unknown: Collection[str]) -> Json:
    """OPA leaves `object.get(input, "name", else)` alone as soon as any part of the input is unknown: this part is known."""
    if isinstance(node, list):
        inner = [_folded(each, given, unknown) for each in node]
        if (known := _known_member(inner, given, unknown)) is not None and len(inner) == 5:
            return [_reference("eq"), inner[4], known]
        return inner
    if not isinstance(node, dict):
        return node
    folded = {name: _folded(each, given, unknown) for name, each in node.items()}
    if terms.kind(folded) == "call" and (known := _known_member(folded.get("value"), given, unknown)) is not None:
        return known
    return folded


def _known_member(said: Json, given: JsonObject, unknown: Collection[str]) -> JsonObject | None:
    call = _dicts(said)
    if len(call) not in (4, 5) or terms.operator(call[0]) != "object.get" or terms.path(call[1]) != ():
        return None
    name = call[2].get("value")
    if terms.kind(call[2]) != "string" or not isinstance(name, str) or name in unknown:
        return None
    return terms.term(given[name]) if name in given else call[3]


Support = Mapping[tuple[str, ...], tuple[tuple[JsonObject, ...], ...] | None]
"""Path of a rule that OPA made for what is left -> its bodies; None: more than a plain true or undefined."""


def _support(modules: Json) -> Support:
    found: dict[tuple[str, ...], tuple[tuple[JsonObject, ...], ...] | None] = {}
    for module in modules if isinstance(modules, list) else ():
        package = module.get("package") if isinstance(module, dict) else None
        above = tuple(str(part.get("value")) for part in _dicts(package.get("path") if isinstance(package, dict) else None))
        for rule in _dicts(module.get("rules") if isinstance(module, dict) else None):
            head = rule.get("head")
            head = head if isinstance(head, dict) else {}
            path = (*above, *(str(part.get("value")) for part in _dicts(head.get("ref"))))
            plain = not rule.get("default") and not rule.get("else") and "args" not in head and "key" not in head
            if not plain or terms.value(head.get("value")) is not True:
                found[path] = None
            elif (before := found.get(path, ())) is not None:
                found[path] = (*before, tuple(_dicts(rule.get("body"))))
    return found


def _residue(query: Json, support: Support) -> Residue:
    known, condition = _body(_dicts(query), support, 0)
    return Residue(known, condition)


def _body(
    expressions: list[JsonObject],
    support: Support,
    depth: int,
    given: Mapping[str, JsonObject] | None = None,
    bound: frozenset[str] = frozenset(),
) -> tuple[dict[str, JsonObject], Formula]:
    """What its variables stand for, and the condition. `given`: variables that stand for something already. `bound`: elements
    of an `every` around it: what is said of them is said of each one, not of one that is looked for.
    """
    known: dict[str, JsonObject] = dict(given or {})
    tests = []
    for expression in expressions:
        called = None if expression.get("negated") or "with" in expression else _call(expression)
        defined = _definition(*called, known) if called is not None else None
        if defined is None:
            tests.append(expression)
        else:
            known[defined[0]] = defined[1]
    said = [(_literal(expression, known, support, depth, bound), bool(expression.get("negated"))) for expression in tests]
    whole = (terms.filled(term, known) for name, term in known.items() if name not in (given or {}))
    said += [(_given(part), False) for term in whole for part in terms.needed(term)]
    said += [(_given(part), False) for expression in tests for part in _hoisted(expression, known)]
    literals = []
    for at, (literal, denied) in enumerate(said):
        elsewhere = {name for other, (each, _) in enumerate(said) if other != at for name in _variables(each)}
        loose = {name for name in _variables(literal) if name not in bound}
        own = denied and bool(loose) and elsewhere.isdisjoint(loose)
        part = (_one_of(literal) or Some(literal)) if own else literal
        literals.append(negated(part) if denied else part)
    return known, both(_grouped(_without_implied(literals), bound))


def _hoisted(expression: JsonObject, known: Mapping[str, JsonObject]) -> Iterator[JsonObject]:
    """What a negated call names must be there: in `not input.arguments.n > 2` OPA looks it up before the `not`, and an absent one
    makes the whole undefined. It writes a negation that means otherwise as a rule of its own. `==` looks its operands up itself.
    """
    called = _call(expression)
    if called is None or not expression.get("negated"):
        return
    for operand in called[1]:
        whole = terms.filled(operand, known)
        if not (called[0] in ("eq", "equal") and terms.kind(whole) == "ref"):
            yield from terms.needed(whole)


def _definition(operator: str, given: list[JsonObject], known: Mapping[str, JsonObject]) -> tuple[str, JsonObject] | None:
    """The variable that an expression defines, and what it stands for; None: it is a test."""
    if operator in ("eq", "assign"):
        for variable, term in ((given[0], given[1]), (given[1], given[0])):
            name = str(variable.get("value"))
            if terms.kind(variable) == "var" and name not in known and name not in terms.variables(terms.filled(term, known)):
                return name, term
        return None
    if operator in COMPARISONS or operator in SEVERAL_ANSWERS or len(given) < 2:
        return None
    last = given[-1]
    if terms.kind(last) == "var" and str(last["value"]) not in known:
        call: JsonObject = {"type": "call", "value": [_reference(operator), *given[:-1]]}
        return str(last["value"]), call
    return None


def _reference(operator: str) -> JsonObject:
    first, *rest = operator.split(".")
    steps: list[Json] = [{"type": "string", "value": each} for each in rest]
    return {"type": "ref", "value": [{"type": "var", "value": first}, *steps]}


def _literal(
    expression: JsonObject, known: Mapping[str, JsonObject], support: Support, depth: int, bound: frozenset[str]
) -> Formula:
    """What an expression says, its `not` left out."""
    called = _call(expression)
    if "with" not in expression and isinstance(quantified := expression.get("terms"), dict) and "domain" in quantified:
        return _every(quantified, known, support, depth, bound)
    if "with" in expression or (called is not None and called[0].startswith("data.")):
        return Opaque(_written(expression))
    if called is not None:
        return _test(called[0], tuple(terms.filled(term, known) for term in called[1]))
    term = expression.get("terms")
    if not isinstance(term, dict) or terms.kind(term) in ("", "number", "string", "null"):
        return Opaque(_written(expression))
    return _truth(terms.filled(term, known), support, depth)


def _every(
    quantified: JsonObject, known: Mapping[str, JsonObject], support: Support, depth: int, bound: frozenset[str]
) -> Formula:
    """There is a collection, and no element of it for which the body does not hold."""
    domain = quantified.get("domain")
    whole = terms.filled(domain, known) if isinstance(domain, dict) else terms.UNDEFINED
    key, value = quantified.get("key"), quantified.get("value")
    if terms.kind(whole) != "ref" or not isinstance(value, dict):
        return Opaque(f"every … in {terms.rego(whole)}")
    step: JsonObject = {"type": "var", "value": f"__element{depth}"}
    element: JsonObject = {"type": "ref", "value": [*terms.parts(whole), step]}
    names = {str(value.get("value")): element}
    if isinstance(key, dict):
        names[str(key.get("value"))] = step
    within = bound | {str(step["value"])}
    _, body = _body(_dicts(quantified.get("body")), support, depth + 1, {**known, **names}, within)
    if any(isinstance(leaf, Opaque) for leaf in leaves(body)):
        return Opaque(f"every … in {terms.rego(whole)}")
    return both((Test("given", (whole,)), Some(negated(body), holds=False)))


def _truth(term: JsonObject, support: Support, depth: int) -> Formula:
    """A term alone: it is there and not false; a rule that OPA made is taken apart."""
    if terms.kind(term) == "boolean":
        return both(()) if term.get("value") is True else FALSE
    made = terms.kind(term) == "call" and terms.operator(terms.parts(term)[0]) == "object.union"
    if made or terms.kind(term) in ("object", "array", "set"):  # a finding: never false, so it is there if it can be made
        return both(_given(part) for part in terms.needed(term))
    if terms.kind(term) == "ref" and terms.parts(term)[0].get("value") == "data":
        path = tuple(str(part.get("value")) for part in terms.parts(term))
        if path not in support or any(terms.kind(part) == "var" for part in terms.parts(term)[1:]):
            return Opaque(terms.rego(term))
        bodies = support[path]
        if bodies is None or depth >= MAX_DEPTH:
            return Opaque(terms.rego(term))
        return either(_body(list(body), support, depth + 1)[1] for body in bodies)
    if term == terms.UNDEFINED:
        return FALSE
    return Test("true", (term,))


def _given(term: JsonObject) -> Formula:
    return FALSE if term == terms.UNDEFINED else Test("given", (term,))


def _test(operator: str, given: tuple[JsonObject, ...]) -> Formula:
    if terms.UNDEFINED in given:
        return FALSE
    if len(given) == terms.OPERANDS.get(operator, -2) + 1:  # OPA writes what a call gives as its last operand
        call: JsonObject = {"type": "call", "value": [_reference(operator), *given[:-1]]}
        return _test("eq", (call, given[-1]))
    return Test("eq" if operator in ("equal", "assign") else operator, given)


def _without_implied(literals: list[Formula]) -> list[Formula]:
    """What a test names is given where the test holds; and an element that is looked for is there where it is found."""
    tests = [literal for literal in literals if isinstance(literal, Test) and literal.op != "given"]
    named = {repr(term) for test in tests if test.holds for term in test.terms}
    looked_at = {repr(term) for test in tests for term in test.terms if any(True for _ in terms.variables(term))}
    implied = named | looked_at
    return [
        literal
        for literal in literals
        if not (isinstance(literal, Test) and literal.op == "given" and repr(literal.terms[0]) in implied)
    ]


def _grouped(literals: list[Formula], bound: frozenset[str]) -> Iterator[Formula]:
    """Tests that share an element are about the same one: they are kept together."""
    owners: dict[str, int] = {}
    groups: dict[int, list[Formula]] = {}
    for at, literal in enumerate(literals):
        loose = set(_variables(literal)) - bound
        meets = sorted({owners[name] for name in loose if name in owners})
        target = meets[0] if meets else at
        merged = [each for group in meets for each in groups.pop(group)]
        groups[target] = [*merged, literal]
        owners = {name: target if group in meets else group for name, group in owners.items()} | dict.fromkeys(loose, target)
    for group in groups.values():
        looked_for = any(name not in bound for each in group for name in _variables(each))
        if looked_for and len(group) == 1 and (listed := _one_of(group[0])) is not None:
            yield listed
        elif looked_for:
            yield Some(both(group))
        else:
            yield from group


def _one_of(literal: Formula) -> Formula | None:
    """What is said of some element and of it alone: `input.xs[_] in {"a", "b"}` is `"a" in input.xs` or `"b" in input.xs`."""
    if not isinstance(literal, Test) or literal.op not in ("eq", "internal.member_2") or not literal.holds:
        return None
    one, many = literal.terms
    if literal.op == "eq":
        one, many = (many, one) if terms.constant(one) else (one, many)
    steps = terms.parts(one)
    whole: JsonObject = {"type": "ref", "value": [*steps[:-1]]}
    listed = terms.kind(one) == "ref" and terms.kind(steps[-1]) == "var" and terms.path(whole) is not None
    if not listed or not terms.constant(many) or (literal.op != "eq" and terms.kind(many) not in ("set", "array")):
        return None
    meant = [many] if literal.op == "eq" else terms.parts(many)
    return either(Test("internal.member_2", (each, whole)) for each in meant)


def _variables(literal: Formula) -> Iterator[str]:
    if isinstance(literal, Test):
        for term in literal.terms:
            yield from terms.variables(term)


def _call(expression: JsonObject) -> tuple[str, list[JsonObject]] | None:
    told = expression.get("terms")
    if isinstance(told, list) and told and isinstance(told[0], dict):
        return terms.operator(told[0]), [term for term in told[1:] if isinstance(term, dict)]
    return None


def _written(expression: JsonObject) -> str:
    called = _call(expression)
    if called is not None:
        return f"{called[0]}({', '.join(terms.rego(term) for term in called[1])})"
    return terms.rego(expression.get("terms"))


def _dicts(said: Json) -> list[JsonObject]:
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []

"""Tables and functions of an SQL text by the names under which the server will find them, with their schemas.

A name is never shortened: `evil.lower` is not `lower`. What stands in the place of a table and is no plain name (a file, a URL,
a stage, a link to another server) is unreadable.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from gateway.policy.extract.unreadable import Unreadable

FOLDS_UP = frozenset({"oracle", "snowflake"})  # an unquoted name is one in capitals
KEEPS_QUOTED = frozenset({"postgres", "redshift", "oracle", "snowflake"})  # "Orders" and orders are two tables
CALLS_BARE = frozenset({"oracle"})  # pkg.f is a call, with no brackets
CALLS_AS_FIELDS = frozenset({"postgres", "redshift"})  # x.pg_read_file is pg_read_file(x) where x is a value and not a table
FIELDS = frozenset({"key", "value", "ordinality"})  # of what functions return, and of no function
MAX_PARTS = 3  # a fourth is another server

PLAIN = re.compile(r"#{0,2}[\w$][\w$#-]*(?: [\w$#-]+)*")
PLAIN_BIGQUERY = re.compile(r"[\w$][\w$-]*(?:\.[\w$-]+)*\*?")  # `project.dataset.events_*` in one pair of quotes
# duckdb looks for a file where it finds no table: data.csv is one even without quotes
FILE = re.compile(
    r"(?:csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx|avro|arrow|arrows|ipc|feather|db|duckdb|sqlite|gz|zst|geojson|shp)"
)


def tables(tree: exp.Expr, dialect: str) -> Iterator[str]:
    """`schema.table`; names that a WITH gives to its own parts are left out."""
    if tree.find(exp.DynamicIdentifier):
        raise Unreadable("it has a name that is made when it runs")
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func) or table.args.get("rows_from"):
            continue  # told among the functions
        parts = _parts(table)
        for part in parts:
            if part is not None and not _is_plain(part, dialect):
                raise Unreadable("it has something in the place of a table that is no plain name")
        if len(parts) > MAX_PARTS or (dialect == "duckdb" and len(parts) > 1 and FILE.fullmatch(table.name.lower())):
            raise Unreadable("it has a table of another server, or a file")
        name = ".".join("" if part is None else folded(part, dialect) for part in parts)
        if len(parts) > 1 or not _is_own(table, name, dialect):
            yield name


def _parts(table: exp.Table) -> list[exp.Identifier | None]:
    """`None` is the schema in `database..table`."""
    told: list[exp.Identifier | None] = []
    for part in table.parts:
        if not isinstance(part, exp.Identifier):
            raise Unreadable("it has something in the place of a table that is no plain name")
        told.append(part if part.name else None)
    if table.args.get("catalog") and not table.args.get("db"):
        told.insert(1, None)
    return told


def _is_plain(part: exp.Identifier, dialect: str) -> bool:
    return (PLAIN_BIGQUERY if dialect == "bigquery" else PLAIN).fullmatch(part.name) is not None


def folded(part: exp.Identifier, dialect: str) -> str:
    mark = "##" if part.args.get("global_") else "#" if part.args.get("temporary") else ""  # T-SQL's own tables of a session
    return mark + _folded(part.name, dialect, quoted=bool(part.quoted))


def _folded(name: str, dialect: str, *, quoted: bool) -> str:
    if not quoted or dialect not in KEEPS_QUOTED:
        return name.lower()
    if dialect in FOLDS_UP and name == name.upper():
        return name.lower()
    if dialect not in FOLDS_UP and name == name.lower():
        return name
    return f'"{name}"'


def _is_own(table: exp.Table, name: str, dialect: str) -> bool:
    """Whether the name means a part of a WITH around it.

    A part sees those before it, and itself if recursive; those after it only for some servers.
    """
    around = table.parent
    while around is not None:
        given = around.args.get("with_") or around.args.get("with")
        if isinstance(given, exp.With):
            own = _part_of(table, given)
            parts = list(given.expressions)
            before = len(parts) if own is None else next(n for n, part in enumerate(parts) if part is own)
            seen = parts[: before + bool(given.recursive)]
            if any(folded(part.args["alias"].this, dialect) == name for part in seen):
                return True
        around = around.parent
    return False


def _part_of(table: exp.Expr, given: exp.With) -> exp.Expr | None:
    node: exp.Expr | None = table
    while node is not None:
        if node.parent is given:
            return node
        node = node.parent
    return None


def functions(statements: list[exp.Expr], tokens: list[Token], parser: Any, dialect: str) -> Iterator[str]:
    """By the names that were written: sqlglot's own are not those of the dialect."""
    nameless = {call.name.lower() for tree in statements for call in tree.find_all(exp.Anonymous, exp.AnonymousAggFunc)}
    called: set[str] = set()
    known = parser.FUNCTIONS.keys() | parser.FUNCTION_PARSERS.keys() | {name.upper() for name in nameless}
    for at, token in enumerate(tokens[:-1]):
        if tokens[at + 1].token_type is TokenType.L_PAREN and token.token_type is not TokenType.STRING:
            if token.text.upper() == "OPERATOR":
                raise Unreadable("it has an operator by the name of its function")
            if token.text.upper() in known:
                called.add(_written(tokens, at, dialect))
                nameless.discard(token.text.lower())
    yield from called
    yield from nameless  # called in a way that the tokens do not show
    if dialect in CALLS_AS_FIELDS:
        values = {name.rsplit(".", 1)[-1] for name in called}
        for tree in statements:
            yield from _fields(tree, values, dialect)
    for tree in statements:
        for call in tree.find_all(exp.Func):
            if type(call).__name__.startswith(("Current", "Session", "Localtime")):
                yield call.sql_name().lower()
        if tree.find(exp.NextValueFor) or any(_is_sequence(column) for column in tree.find_all(exp.Column)):
            yield "nextval"  # next value for s; s.nextval: both write


def _fields(tree: exp.Expr, values: set[str], dialect: str) -> Iterator[str]:
    """Fields of values, which are calls where the value has no such field: `(x).f`, and `x.f` where a function returned x."""
    fields = {value: {value} for value in values}  # by the name of the value; a name that is given twice has what both have
    for alias in tree.find_all(exp.TableAlias):
        if _is_of_function(alias.parent) and isinstance(alias.this, exp.Identifier):
            own = folded(alias.this, dialect)
            named = {own, *(folded(each, dialect) for each in alias.columns if isinstance(each, exp.Identifier))}
            fields[own] = fields.get(own, named) & named
    for column in tree.find_all(exp.Column):
        qualifier, name = column.args.get("table"), column.this
        if isinstance(qualifier, exp.Identifier) and isinstance(name, exp.Identifier):
            known = fields.get(folded(qualifier, dialect))
            if known is not None and folded(name, dialect) not in known | FIELDS:
                yield folded(name, dialect)
    for dot in tree.find_all(exp.Dot):
        if not (isinstance(dot.parent, exp.Dot) and dot.arg_key == "this"):
            yield from _fields_of(dot, dialect)


def _fields_of(dot: exp.Dot, dialect: str) -> Iterator[str]:
    node: exp.Expr = dot
    named = []
    while isinstance(node, exp.Dot):
        if isinstance(node.expression, exp.Identifier):
            named.append(folded(node.expression, dialect))
        node = node.this
    if not isinstance(node, exp.Identifier):  # else it is a schema
        yield from named


def _is_of_function(source: exp.Expr | None) -> bool:
    match source:
        case exp.Lateral():
            return not isinstance(source.this, exp.Subquery)
        case exp.Table():
            return not isinstance(source.this, exp.Identifier)
    return isinstance(source, exp.Func)


def _written(tokens: list[Token], at: int, dialect: str) -> str:
    """With the schema before it."""
    parts = [_token_folded(tokens[at], dialect)]
    while at > 0 and tokens[at - 1].token_type is TokenType.DOT:
        at -= 2
        if at < 0 or tokens[at].token_type in {TokenType.STRING, TokenType.NUMBER} or not tokens[at].text[:1].isidentifier():
            raise Unreadable("it calls a function of something that is no plain name")
        parts.insert(0, _token_folded(tokens[at], dialect))
    return ".".join(parts)


def _token_folded(token: Token, dialect: str) -> str:
    return _folded(token.text, dialect, quoted=token.token_type is TokenType.IDENTIFIER)


def _is_sequence(column: exp.Column) -> bool:
    return bool(column.table) and column.name.lower() == "nextval"


def refuse_bare_calls(tree: exp.Expr, dialect: str) -> None:
    """`select pkg.wipe from dual` calls wipe in Oracle: a column of nothing that the query reads from is unreadable."""
    if dialect not in CALLS_BARE:
        return
    nothing: frozenset[str] = frozenset()
    waiting: list[tuple[exp.Expr, frozenset[str], frozenset[str]]] = [(tree, nothing, nothing)]
    while waiting:
        node, seen, outside = waiting.pop()  # `outside`: what was seen around the query that the node is in
        if isinstance(node, exp.Column):
            before = [folded(part, dialect) for part in node.parts[:-1] if isinstance(part, exp.Identifier)]
            if before and not _is_sequence(node) and ".".join(before) not in seen:
                raise Unreadable("it has a column of no table that it names, which may be a call")
        elif isinstance(node, exp.Select | exp.Update | exp.Delete | exp.Merge):
            outside, seen = seen, seen.union(name for source in _sources(node) for name in _named(source, dialect))
        elif isinstance(node, exp.With) or _is_apart(node):
            seen = outside
        waiting.extend((child, seen, outside) for child in node.iter_expressions())


def _is_apart(node: exp.Expr) -> bool:
    """A subquery in a FROM, unless lateral, does not see its neighbours."""
    return (
        isinstance(node, exp.Subquery)
        and isinstance(node.this, exp.Query)
        and isinstance(node.parent, exp.From | exp.Join)
        and node.arg_key == "this"
    )


def _sources(query: exp.Expr) -> Iterator[exp.Expr]:
    if not isinstance(query, exp.Select):
        yield from (given for given in (query.args.get("this"), query.args.get("using")) if isinstance(given, exp.Expr))
    given = query.args.get("from_")
    if isinstance(given, exp.From):
        yield given.this
    for join in [*(query.args.get("joins") or ()), *(query.args.get("laterals") or ())]:
        yield join.this if isinstance(join, exp.Join) else join


def _named(source: exp.Expr, dialect: str) -> Iterator[str]:
    """By its alias, which hides its name; in brackets, by all that are in them."""
    for join in source.args.get("joins") or ():
        yield from _named(join.this, dialect)
    for pivot in source.args.get("pivots") or ():
        yield from _named(pivot, dialect)
    alias = source.args.get("alias")
    if isinstance(alias, exp.TableAlias) and isinstance(alias.this, exp.Identifier):
        yield folded(alias.this, dialect)
    elif isinstance(source, exp.Table):
        parts = [folded(part, dialect) for part in source.parts if isinstance(part, exp.Identifier)]
        yield from (".".join(parts[begin:]) for begin in range(len(parts)))
    elif isinstance(source, exp.Subquery | exp.Paren):
        yield from _named(source.this, dialect)

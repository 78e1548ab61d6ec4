"""What an SQL text would do, in the words of its dialect: kinds of statements, tables, functions, at any depth.

sqlglot reads it. What sqlglot only half understands, what servers read differently, and what is too much is unreadable; a
text is never judged by a part of it.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlglot import Dialect, ErrorLevel, exp
from sqlglot.errors import SqlglotError

from gateway.model import JsonObject
from gateway.policy.extract.sql_names import functions, refuse_bare_calls, tables
from gateway.policy.extract.sql_words import refuse_statements_as_names, refuse_statements_within
from gateway.policy.extract.unreadable import Unreadable

MAX_CHARS = 16_384  # sqlglot reads 100 kB in a second
MAX_NODES = 10_000  # of the syntax tree
MAX_STEPS = 200_000  # tokens looked at: a text that makes the parser try again and again is refused, whatever the clock says
MAX_DEPTH = 64  # of brackets
DIALECTS = frozenset(
    {"postgres", "mysql", "sqlite", "tsql", "oracle", "bigquery", "snowflake", "duckdb", "redshift", "clickhouse", "trino"}
)
DASHES_NEED_SPACE = frozenset({"mysql"})  # --1 is minus minus one

LONE_RETURN = re.compile(r"\r(?!\n)")
EXECUTED_COMMENT = re.compile(r"/\*M?!|/\*\+")  # MySQL executes what stands in it; a hint changes how it is executed
ESCAPED_QUOTE = re.compile(r"\\['\"`]")
ESCAPED_NAME = re.compile(r"[uU]&['\"]")  # U&"\0061" is a

# Words of ours, by the classes of sqlglot; whatever stands at the root of a statement and is not here is unreadable.
ROOTS: dict[type[exp.Expr], str] = {
    exp.Select: "select",
    exp.SetOperation: "select",
    exp.Subquery: "select",
    exp.Values: "select",
    exp.Insert: "insert",
    exp.Update: "update",
    exp.Delete: "delete",
    exp.Merge: "merge",
    exp.Create: "create",
    exp.Drop: "drop",
    exp.Alter: "alter",
    exp.TruncateTable: "truncate",
    exp.Copy: "copy",
    exp.Grant: "grant",
    exp.Revoke: "revoke",
    exp.Set: "set",
    exp.Use: "use",
    exp.Transaction: "transaction",
    exp.Commit: "transaction",
    exp.Rollback: "transaction",
    exp.Pragma: "pragma",
    exp.Attach: "attach",
    exp.Detach: "attach",
    exp.Show: "show",
    exp.Describe: "describe",
    exp.Analyze: "analyze",
    exp.LoadData: "load",
    exp.Execute: "execute",
    exp.Kill: "kill",
    exp.Export: "export",
}
WITHIN: dict[type[exp.Expr], str] = {
    exp.Select: "select",
    exp.SetOperation: "select",
    exp.Insert: "insert",
    exp.Update: "update",
    exp.Delete: "delete",
    exp.Merge: "merge",
    exp.Into: "create",  # select … into new_table
    exp.Lock: "lock",  # select … for update
}


def sql(text: str, dialect: str) -> JsonObject:
    """Kinds, tables and functions of all statements in `text`. Raises `Unreadable`."""
    _refuse_doubtful(text, dialect)
    try:
        reader = Dialect.get_or_raise(dialect)
        tokens = reader.tokenize(text)
        parser = _parser_class(dialect)(dialect=reader, error_level=ErrorLevel.RAISE, max_nodes=MAX_NODES)
        trees = [tree for tree in parser.parse(tokens, text) if tree is not None]
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("it is no SQL of this dialect") from error  # sqlglot's own message would repeat the text
    statements = [tree for tree in trees if not isinstance(tree, exp.Semicolon)]
    if not statements:
        raise Unreadable("it holds no statement")
    kinds = {kind for tree in statements for kind in _kinds(tree)}
    refuse_statements_as_names(statements, dialect)
    if kinds == {"select"}:
        refuse_statements_within(tokens, dialect)
    for tree in statements:
        refuse_bare_calls(tree, dialect)
    return {
        "dialect": dialect,
        "statements": len(statements),
        "kinds": [*sorted(kinds)],
        "tables": [*sorted({name for tree in statements for name in tables(tree, dialect)})],
        "functions": [*sorted(set(functions(statements, tokens, parser, dialect)))],
    }


def _refuse_doubtful(text: str, dialect: str) -> None:
    if len(text) > MAX_CHARS:
        raise Unreadable(f"it is longer than {MAX_CHARS} characters")
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"} and char not in " \t\r\n" for char in text):
        raise Unreadable("it has a control character, or a space that is none for some servers")
    if LONE_RETURN.search(text):
        raise Unreadable("it has a carriage return alone, which ends a comment for some servers and not for others")
    if ESCAPED_NAME.search(text):
        raise Unreadable("it has a name or text in Unicode escapes")
    if EXECUTED_COMMENT.search(text):
        raise Unreadable("it has a comment that some servers execute")
    if ESCAPED_QUOTE.search(text):
        raise Unreadable("it has a backslash before a quote, which ends the text for some servers and not for others")
    comments = text.count("/*")
    if comments != text.count("*/") or re.search(r"/\*(?:(?!\*/).)*/\*", text, re.S):
        raise Unreadable("it has a comment that is nested or not closed")
    if dialect in DASHES_NEED_SPACE and re.search(r"--\S", text):
        raise Unreadable("it has '--' without a space after it, which is a comment for some servers and arithmetic for others")
    depth = deepest = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise Unreadable("its brackets are nested too deep")


@lru_cache(maxsize=len(DIALECTS))
def _parser_class(dialect: str) -> Any:
    """sqlglot's parser for a dialect, with a bound on its steps, and which refuses what it would only warn of (in a log)."""
    base: Any = Dialect.get_or_raise(dialect).parser_class
    advance = base._advance

    def counted(self: Any, times: int = 1) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise Unreadable("it takes too long to read")
        advance(self, times)

    def refused(self: Any) -> None:
        raise Unreadable("it has a statement that is not understood whole")

    return type(base.__name__, (base,), {"_steps": 0, "_advance": counted, "_warn_unsupported": refused})


def _kinds(tree: exp.Expr) -> Iterator[str]:
    root = _word(tree, ROOTS)
    if root is None:
        raise Unreadable("it has a statement that is not understood whole")
    yield root
    for node in tree.walk():
        if isinstance(node, exp.Command):
            raise Unreadable("it has a statement that is not understood whole")
        word = _word(node, WITHIN)
        if word is not None:
            yield word


def _word(node: exp.Expr, words: dict[type[exp.Expr], str]) -> str | None:
    return next((word for kind, word in words.items() if isinstance(node, kind)), None)

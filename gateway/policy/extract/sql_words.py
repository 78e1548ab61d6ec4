"""Words that begin a statement, where the parser takes one for a name: the server would execute what the parser thinks is named.

T-SQL needs nothing between two statements, so `select 1 shutdown` is two; sqlglot reads a column that is named shutdown. Each
word here is reserved by its server, which would refuse it as a name: no ordinary text is lost.
"""

from itertools import pairwise

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from gateway.policy.extract.unreadable import Unreadable

RESERVED: dict[str, str] = {
    "tsql": "add alter backup begin break checkpoint close commit continue create dbcc deallocate declare delete deny drop dump"
    " else end exec execute fetch goto grant if insert kill load merge open print raiserror readtext reconfigure restore return"
    " revert revoke rollback save set setuser shutdown truncate update updatetext use waitfor while with writetext",
    "mysql": "alter analyze call create delete describe drop explain grant insert kill load lock optimize purge rename replace"
    " resignal revoke set show signal unlock update use",
    "oracle": "alter audit create delete drop grant insert lock noaudit rename revoke set update",
    "sqlite": "alter commit create delete drop insert set update",
    "snowflake": "alter create delete drop grant insert revoke set update",
    "trino": "alter create deallocate delete describe drop execute insert prepare",
    "bigquery": "create merge set",
    "postgres": "analyse analyze create grant",
    "redshift": "analyse analyze create grant",
    "duckdb": "analyse analyze create grant",
}
WORDS = {dialect: frozenset(words.split()) for dialect, words in RESERVED.items()}
WITHIN_TSQL = frozenset({"else", "end", "fetch", "merge", "use", "with"})
"""Have a place in a select of T-SQL too. As names they are refused like the others."""
QUOTED = frozenset({TokenType.IDENTIFIER, TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.HEX_STRING, TokenType.NUMBER})


def refuse_statements_as_names(statements: list[exp.Expr], dialect: str) -> None:
    """A name that is no name for the server. Raises `Unreadable`."""
    words = WORDS.get(dialect, frozenset())
    for tree in statements:
        for name in tree.find_all(exp.Identifier):
            if not name.quoted and name.name.lower() in words and (dialect == "tsql" or not _is_qualified(name)):
                raise Unreadable("it has a word that begins a statement in the place of a name")


def refuse_statements_within(tokens: list[Token], dialect: str) -> None:
    """A word in a text of selects that none has, wherever the parser put it. Raises `Unreadable`."""
    if dialect != "tsql":
        return
    words = [token.text.lower() if token.token_type not in QUOTED else "" for token in tokens]
    for before, word in pairwise(["", *words]):
        if word in WORDS["tsql"] - WITHIN_TSQL or (word == "fetch" and before not in {"row", "rows"}):
            raise Unreadable("it has a word that begins a statement within a select")


def _is_qualified(name: exp.Identifier) -> bool:
    """After a dot most servers take any word for a name."""
    match name.parent:
        case exp.Column() | exp.Table():
            return name.arg_key == "this" and bool(name.parent.args.get("table") or name.parent.args.get("db"))
        case exp.Dot():
            return name.arg_key == "expression"
    return False

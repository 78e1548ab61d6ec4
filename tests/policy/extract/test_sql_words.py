"""Words that begin a statement: taken for names by the parser, executed by the server; and selects that have none of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.extract.sql import DIALECTS, sql
from gateway.policy.extract.sql_words import WORDS
from gateway.policy.extract.unreadable import Unreadable

BEFORE = (
    "select 1",
    "select a",
    "select count(*)",
    "select 'a'",
    "select [a] from [t]",
    "select a from t",
    "select a from t as x",
    "select * from (select 1 a)",
    "select * from (select 1 a) x",
    "select a from t where a = 1",
    "select a from t group by a",
    "select a from t order by a",
    "select a from t order by a desc",
    "select a from t union select b from u",
    "select case when a = 1 then 2 end from t",
)
AFTER = ("", " from t", " x 1")


def why(text: str, dialect: str) -> str:
    try:
        return f"read: {sql(text, dialect)}"
    except Unreadable as error:
        return str(error)


@pytest.mark.parametrize("word", sorted(WORDS["tsql"]))
def test_a_word_that_begins_a_statement_makes_tsql_unreadable_wherever_it_stands(word: str) -> None:
    texts = [f"{before} {word}{after}" for before in BEFORE for after in AFTER]
    texts += [f"{before} as {word.upper()}" for before in BEFORE]
    assert [text for text in texts if why(text, "tsql").startswith("read")] == []


@pytest.mark.parametrize(
    "text",
    [
        "select 1 delete from customers",
        "select count(*) delete from orders",
        "select 1 shutdown",
        "select a from t kill",
        "select a reconfigure",
        "select 1 checkpoint",
        "select 1 deallocate from t",
        "select a from t/**/delete from t",
        "select (select 1) delete from t",
        "select a from t x drop table x",
        "insert into t select 1 delete from customers",
        "select delete from t",
        "select t.delete from t",
        "select a from delete",
        "with delete as (select 1 a) select a from t",
        "select a from t order by a offset 1 rows fetch next 5 rows only delete from t",
        "select a from t fetch next 1 rows only",
    ],
)
def test_a_second_statement_without_a_semicolon_is_found(text: str) -> None:
    assert why(text, "tsql") in {
        "it has a word that begins a statement in the place of a name",
        "it has a word that begins a statement within a select",
        "it is no SQL of this dialect",
    }


@pytest.mark.parametrize("dialect", sorted(WORDS))
def test_what_a_server_reserves_for_statements_is_no_name_in_its_dialect(dialect: str) -> None:
    texts = [f"select a from t {word}" for word in WORDS[dialect]] + [f"select a as {word} from t" for word in WORDS[dialect]]
    assert [text for text in texts if why(text, dialect).startswith("read")] == []


INNOCENT = (
    ("tsql", "select [delete], [update] as [drop] from [kill]"),
    ("tsql", 'select "delete" from t'),
    ("tsql", "select 'delete from t' as said, N'drop' from t where kind = 'kill' -- delete from t"),
    ("tsql", "select top 5 a from t with (nolock)"),
    ("tsql", "select a from t order by a offset 10 rows fetch next 5 rows only"),
    ("tsql", "select case when a = 1 then 2 else 3 end as one from t"),
    ("tsql", "with late as (select a from t) select a from late"),
    ("tsql", "select a from t inner merge join u on t.a = u.a"),
    ("tsql", "select a from t option (recompile)"),
    ("tsql", "select deleted, updated_at, [set] from settings where is_open = 1 and used is null"),
    ("tsql", "select row_number() over (partition by a order by b) from t"),
    ("tsql", "select a, user from t"),
    ("postgres", "select delete, update from t"),
    ("postgres", "select a as drop from t"),
    ("mysql", "select t.delete, t.use from t"),
    ("mysql", "select replace(a, 'x', 'y'), `update` from t use index (i)"),
    ("mysql", "select a from t where find_in_set('a', b) order by a desc"),
    ("bigquery", "select t.set from t"),
    ("clickhouse", "select a from t where delete = 1"),
    ("sqlite", 'select "update" from t'),
    ("oracle", 'select "UPDATE" from t'),
)


@pytest.mark.parametrize(("dialect", "text"), INNOCENT)
def test_words_that_are_quoted_or_have_a_place_in_a_select_are_read(dialect: str, text: str) -> None:
    assert why(text, dialect).startswith("read: {"), why(text, dialect)
    assert sql(text, dialect)["kinds"] == ["select"]


NAMES = st.sampled_from(
    ["id", "total", "deleted", "updates", "status", "opened", "customer_id", "t1", "ends", "setting", "value_x"]
)
TEXTS = st.sampled_from(["'delete'", "'drop table t'", "1", "2.5", "null"])
EXPRESSIONS = st.one_of(
    NAMES,
    TEXTS,
    st.builds("count({})".format, NAMES),
    st.builds("lower({})".format, NAMES),
    st.builds("({} + {})".format, NAMES, NAMES),
    st.builds("case when {} = {} then {} else {} end".format, NAMES, TEXTS, NAMES, TEXTS),
    st.builds("coalesce({}, {})".format, NAMES, TEXTS),
)
LISTS = st.lists(st.one_of(EXPRESSIONS, st.builds("{} as {}".format, EXPRESSIONS, NAMES)), min_size=1, max_size=4).map(", ".join)
TABLES = st.one_of(NAMES, st.builds("{}.{}".format, NAMES, NAMES), st.builds("{} {}".format, NAMES, NAMES))
WHERE = st.one_of(st.just(""), st.builds(" where {} = {} and {} is not null".format, NAMES, TEXTS, NAMES))
ORDER = st.one_of(st.just(""), st.builds(" order by {} desc".format, NAMES))
SELECTS = st.builds("select {} from {}{}".format, LISTS, TABLES, WHERE)
WHOLE = st.one_of(
    st.builds("{}{}".format, SELECTS, ORDER),
    st.builds("{} union all {}".format, SELECTS, SELECTS),
    st.builds("select {} from ({}) {}".format, NAMES, SELECTS, NAMES),
    st.builds("with late as ({}) select {} from late".format, SELECTS, NAMES),
    st.builds("select {0} from {1} join {2} on {1}.{0} = {2}.{0}".format, NAMES, NAMES, NAMES),
    st.builds("select {} from {} where {} in ({})".format, LISTS, TABLES, NAMES, SELECTS),
)


@settings(max_examples=300, deadline=None)
@given(WHOLE, st.sampled_from(sorted(DIALECTS)))
def test_a_select_of_ordinary_names_is_read_in_every_dialect(text: str, dialect: str) -> None:
    assert sql(text, dialect)["kinds"] == ["select"]

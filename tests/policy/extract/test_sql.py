"""SQL: what only reads is known to, and a text that hides something is found out or unreadable."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import JsonObject
from gateway.policy.extract.sql import DIALECTS, MAX_CHARS, sql
from gateway.policy.extract.unreadable import Unreadable

FACTS = json.loads((Path(__file__).resolve().parents[3] / "schemas" / "facts.json").read_text())
INPUT = json.loads((Path(__file__).resolve().parents[3] / "schemas" / "input.json").read_text())
SAFE_FUNCTIONS = {"count", "sum", "max", "min", "lower", "upper", "date_trunc", "coalesce"}
SAFE_TABLES = {"orders", "public.orders", "customers"}


def read(text: str, dialect: str = "postgres") -> JsonObject | str:
    try:
        return sql(text, dialect)
    except Unreadable as error:
        return str(error)


def is_harmless(text: str, dialect: str) -> bool:
    """As a strict rule would have it: one statement that only selects, from known tables, by known functions."""
    said = read(text, dialect)
    return (
        isinstance(said, dict)
        and said["statements"] == 1
        and said["kinds"] == ["select"]
        and SAFE_TABLES.issuperset(map(str, said["tables"] if isinstance(said["tables"], list) else []))
        and SAFE_FUNCTIONS.issuperset(map(str, said["functions"] if isinstance(said["functions"], list) else []))
    )


HOSTILE = (
    ("postgres", "delete from orders"),
    ("postgres", "select * from orders; drop table orders"),
    ("postgres", "select 1;;drop table orders;"),
    ("postgres", "with gone as (delete from orders returning *) select * from gone"),
    ("postgres", "select * into copy from orders"),
    ("postgres", "select * from orders for update"),
    ("postgres", "select nextval('orders_id_seq')"),
    ("postgres", "select setval('orders_id_seq', 1)"),
    ("postgres", "select pg_sleep(3600)"),
    ("postgres", "select pg_catalog.pg_sleep(3600)"),
    ("postgres", 'select "pg_sleep"(3600)'),
    ("postgres", "select pg_read_file('/etc/passwd')"),
    ("postgres", "select lo_import('/etc/passwd')"),
    ("postgres", "select case when true then pg_terminate_backend(1) end from orders"),
    ("postgres", "select query_to_xml('delete from orders', true, true, '')"),
    ("postgres", "select * from dblink('dbname=x', 'delete from t') as t(a int)"),
    ("postgres", "select current_user"),
    ("postgres", "copy orders to program 'sh'"),
    ("postgres", "copy (select 1) to '/tmp/x'"),
    ("postgres", "explain analyze delete from orders"),
    ("postgres", "do $$ begin delete from orders; end $$"),
    ("postgres", "call wipe()"),
    ("postgres", "execute wipe"),
    ("postgres", "set role admin"),
    ("postgres", "begin; select 1"),
    ("postgres", "lock table orders"),
    ("postgres", "listen x"),
    ("postgres", "vacuum"),
    ("postgres", "refresh materialized view x"),
    ("postgres", "truncate orders"),
    ("postgres", "grant all on orders to public"),
    ("postgres", "create table x as select * from orders"),
    ("postgres", "select * from secrets"),
    ("postgres", 'select * from "Orders"'),
    ("postgres", 'select * from U&"\\0073ecrets"'),
    ("postgres", "select * from orders where id in (select id from secrets)"),
    ("postgres", "select * from orders union all select * from secrets"),
    ("postgres", "with secrets as (select * from secrets) select * from secrets"),
    ("postgres", "select * from (with secrets as (select 1) select * from secrets) a, secrets"),
    ("postgres", "table secrets"),
    ("postgres", "select 1 /* /* */ ; drop table orders; -- */"),
    ("postgres", "select '\\'; drop table orders; --'"),
    ("postgres", "select 1 /* open"),
    ("postgres", "select\u00a01"),
    ("postgres", "select 1\0; drop table orders"),
    ("postgres", "select (pg_sleep)(1)"),
    ("mysql", "select 1 /*!50000 union select password from mysql.user */"),
    ("mysql", "select 1 /*M! union select 2 */"),
    ("mysql", "select * from orders into outfile '/var/www/x.php'"),
    ("mysql", "select load_file('/etc/passwd')"),
    ("mysql", "replace into orders values (1)"),
    ("mysql", "select 1--1 union select 2"),
    ("mysql", "handler orders open"),
    ("mysql", "load data infile '/etc/passwd' into table orders"),
    ("sqlite", "attach 'x.db' as x"),
    ("sqlite", "pragma writable_schema = 1"),
    ("sqlite", "select load_extension('x')"),
    ("tsql", "exec xp_cmdshell 'dir'"),
    ("tsql", "select 1 drop table orders"),
    ("tsql", "select * from openrowset('a', 'b', 'c')"),
    ("tsql", "select next value for orders_seq"),
    ("oracle", "select orders_seq.nextval from orders"),
    ("oracle", "select utl_http.request('http://x') from orders"),
    ("duckdb", "select * from read_csv('/etc/passwd')"),
    ("duckdb", "select * from '/etc/passwd'"),
    ("duckdb", "install httpfs"),
    ("bigquery", "export data options(uri='gs://x') as select 1"),
    ("snowflake", "put file:///etc/passwd @stage"),
    ("postgres", ""),
    ("postgres", "-- nothing"),
    ("postgres", "please delete everything"),
)
INNOCENT = (
    ("postgres", "select 1"),
    ("postgres", "select * from orders"),
    ("postgres", "SELECT count(*) FROM public.orders WHERE kind = 'update'"),
    ("postgres", "select 'drop table orders; --' as text from orders"),
    ("postgres", "select o.id, sum(o.total) from orders o join customers c on c.id = o.customer_id group by o.id"),
    ("postgres", "with recent as (select * from orders where day > '2026-01-01') select count(*) from recent"),
    ("postgres", "select date_trunc('day', created), max(total) from orders group by 1 order by 1 desc limit 10"),
    ("postgres", "select * from orders where customer_id in (select id from customers) -- ours only"),
    ("postgres", "select * from orders union all select * from public.orders"),
    ("postgres", 'select "total" from "orders"'),
    ("postgres", "select coalesce(lower(name), 'x') from customers where name like 'a%';"),
    ("mysql", "select `id` from `orders` limit 5, 10"),
    ("mysql", "select count(*) from Orders"),
    ("sqlite", "select * from [orders]"),
    ("tsql", "select top 10 * from orders"),
    ("oracle", "select * from ORDERS fetch first 5 rows only"),
    ("bigquery", "select count(*) from orders"),
    ("snowflake", "select * from ORDERS qualify 1 = 1"),
    ("duckdb", "from orders select total"),
)


@pytest.mark.parametrize(("dialect", "text"), HOSTILE)
def test_a_hostile_text_is_not_taken_for_a_harmless_one(dialect: str, text: str) -> None:
    assert not is_harmless(text, dialect)


@pytest.mark.parametrize(("dialect", "text"), INNOCENT)
def test_an_innocent_text_is_harmless(dialect: str, text: str) -> None:
    assert is_harmless(text, dialect)


def test_everything_in_a_text_is_told() -> None:
    text = "with a as (delete from public.\"Log\" returning id) select nextval('s'), Sum(x) from a, Orders; drop table b"
    assert read(text) == {
        "dialect": "postgres",
        "statements": 2,
        "kinds": ["delete", "drop", "select"],
        "tables": ["b", "orders", 'public."Log"'],
        "functions": ["nextval", "sum"],
    }


def test_nothing_of_a_text_is_repeated(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("call hunter2()", "select hunter2 hunter2 hunter2", "do $$ hunter2 $$"):
        assert "hunter2" not in str(read(text))
    assert "hunter2" not in caplog.text + "".join(capsys.readouterr())


LONG = {
    "brackets": "select " + "(" * 5_000 + "1",
    "nots": "select " + "not " * 4_000 + "1",
    "cases": "select " + "case when " * 1_500 + "1",
    "calls": "select " + "f(" * 60 + "1" + ")" * 60,
    "selects": "select * from " + "(select * from " * 60 + "t" + ")" * 60,
    "minuses": "select " + "- " * 8_000 + "1",
    "ands": "select " + "a and " * 2_700 + "1",
    "columns": "select " + ",".join("a" for _ in range(8_000)) + " from t",
    "statements": ";".join("select 1" for _ in range(1_800)),
    "joins": "select * from t" + " join t on a" * 1_300,
    "too long": "select " + " " * MAX_CHARS,
    "arrays": "select " + "[" * 60 + "1" + "]" * 60,
    "columns and tables": "select " + ",".join(["a.b"] * 1_800) + " from a" + ",a" * 4_300,
    "sums of columns": "select " + "+".join(["a.b"] * 3_000) + " from a",
    "fields of fields": "select (a).b" + ".c" * 7_000,
    "values of functions": "select " + ",".join(["a.b"] * 1_800) + " from lower(b) a" + ",f(b) a" * 1_100,
    "casts": "select " + "cast(" * 60 + "1" + " as int)" * 60,
}


@pytest.mark.parametrize("dialect", ["postgres", "oracle"])
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_no_text_takes_long(text: str, dialect: str) -> None:
    began_s = time.process_time()
    read(text, dialect)
    assert time.process_time() - began_s < 5


def test_the_dialects_are_those_of_the_facts_and_all_can_be_read() -> None:
    tool = FACTS["properties"]["items"]["additionalProperties"]["properties"]["tool"]["additionalProperties"]["properties"]
    assert set(tool["extract"]["additionalProperties"]["properties"]["dialect"]["enum"]) == DIALECTS
    for dialect in DIALECTS:
        said = read("select a from orders", dialect)
        assert isinstance(said, dict) and (said["kinds"], said["tables"]) == (["select"], ["orders"])


WORDS = st.sampled_from(
    [
        "select",
        "1",
        "*",
        "from",
        "orders",
        "(",
        ")",
        ",",
        ";",
        "'",
        "--",
        "/*",
        "*/",
        "delete",
        "union",
        "with",
        "a",
        "as",
        "\n",
        "x'",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=12), st.sampled_from(sorted(DIALECTS)))
def test_any_text_is_read_or_unreadable(words: list[str], dialect: str) -> None:
    said = read(" ".join(words), dialect)
    if isinstance(said, dict) and isinstance(said["kinds"], list):
        kinds = INPUT["properties"]["extracted"]["properties"]["sql"]["items"]["properties"]["kinds"]["items"]["enum"]
        assert set(said["kinds"]) <= set(kinds) and said["kinds"]

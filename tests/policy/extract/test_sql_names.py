"""Names of tables and functions: whole, as the server finds them, and nothing that only looks like a name."""

import pytest

from gateway.model import JsonObject
from gateway.policy.extract.sql import sql
from gateway.policy.extract.unreadable import Unreadable

NO_NAME = "it has something in the place of a table that is no plain name"
ELSEWHERE = "it has a table of another server, or a file"
BARE = "it has a column of no table that it names, which may be a call"
OPERATOR = "it has an operator by the name of its function"
OF_NOTHING = "it calls a function of something that is no plain name"


def read(text: str, dialect: str) -> JsonObject | str:
    try:
        return sql(text, dialect)
    except Unreadable as error:
        return str(error)


UNREADABLE = (
    ("duckdb", "select * from '/etc/passwd'", NO_NAME),
    ("duckdb", "from '/etc/passwd'", NO_NAME),
    ("duckdb", 'select * from "/etc/passwd"', NO_NAME),
    ("duckdb", "select * from 's3://x/y.parquet'", NO_NAME),
    ("duckdb", "select * from 'orders.csv'", NO_NAME),
    ("duckdb", "select * from orders.csv", ELSEWHERE),
    ("duckdb", "select * from a.orders.parquet", ELSEWHERE),
    ("duckdb", "select * from t where a in (select * from '/etc/passwd')", NO_NAME),
    ("snowflake", "select $1 from @stage/file", NO_NAME),
    ("snowflake", "select $1 from @~/x", NO_NAME),
    ("snowflake", "select $1 from '@~/x'", NO_NAME),
    ("snowflake", "select * from identifier('x')", "it has a name that is made when it runs"),
    ("oracle", "select * from t@dblink", NO_NAME),
    ("oracle", "select * from t@dblink.example.org", NO_NAME),
    ("oracle", 'select * from "t@dblink"', NO_NAME),
    ("tsql", "select * from srv.db.dbo.t", ELSEWHERE),
    ("tsql", "select * from @t", NO_NAME),
    ("postgres", 'select * from "pg_catalog.pg_authid"', NO_NAME),
    ("postgres", 'select * from "../x"', NO_NAME),
    ("postgres", "select 1 operator(evil.+) 2", OPERATOR),
    ("postgres", "select 1 OPERATOR /* of evil */ (evil.+) 2", OPERATOR),
    ("postgres", "select (row).lower('x')", OF_NOTHING),
    ("duckdb", "select 'x'.upper()", OF_NOTHING),
    ("oracle", "select pkg.wipe from dual", BARE),
    ("oracle", "select hr.pkg.wipe from dual", BARE),
    ("oracle", "select * from emp where emp.id = pkg.wipe", BARE),
    ("oracle", "select pkg.wipe from dual where exists (select 1 from emp pkg)", BARE),
    ("oracle", "select * from (select pkg.wipe from dual), emp pkg", BARE),
    ("oracle", "select * from dual join (select pkg.wipe from dual) on 1 = 1 join emp pkg on 1 = 1", BARE),
    ("oracle", "with pkg as (select pkg.wipe from dual) select pkg.a from pkg", BARE),
    ("oracle", "select pkg.wipe from pkg e", BARE),
    ("oracle", "select pkg.wipe from hr.pkg e", BARE),
    (
        "postgres",
        "select 1 -- \r; delete from t",
        "it has a carriage return alone, which ends a comment for some servers and not for others",
    ),
)


@pytest.mark.parametrize(("dialect", "text", "why"), UNREADABLE)
def test_what_is_no_plain_name_is_unreadable(dialect: str, text: str, why: str) -> None:
    assert read(text, dialect) == why


TOLD: tuple[tuple[str, str, list[str], list[str]], ...] = (
    ("postgres", "select evil.lower('x')", [], ["evil.lower"]),
    ("postgres", "select lower(a), Evil . Lower /**/ ('x') from t", ["t"], ["evil.lower", "lower"]),
    ("postgres", "select \"LOWER\"('x'), \"upper\"('x')", [], ['"LOWER"', "upper"]),
    ("postgres", "select \"Evil\".lower('x')", [], ['"Evil".lower']),
    ("postgres", "select * from evil.lower('x')", [], ["evil.lower"]),
    ("postgres", "select db.evil.f('x')", [], ["db.evil.f"]),
    ("postgres", "select evil.count(*) over (order by a) from t", ["t"], ["evil.count"]),
    ("postgres", "select x.pg_read_file from lower('/etc/passwd') x", [], ["lower", "pg_read_file"]),
    ("postgres", "select lower.pg_read_file from lower('/etc/passwd')", [], ["lower", "pg_read_file"]),
    ("postgres", "select x.wipe from lower('a') x where exists (select 1 from t x)", ["t"], ["exists", "lower", "wipe"]),
    ("postgres", "select x.wipe from lower('a') x, lower('b') y(wipe)", [], ["lower", "wipe"]),
    ("postgres", "select x.wipe from lower('a') x where 1 in (select 1 from lower('b') x(wipe))", [], ["lower", "wipe"]),
    ("postgres", "select u.pg_sleep from unnest(array[1]) u(a)", [], ["pg_sleep", "unnest"]),
    ("postgres", "select y.pg_sleep from t, lateral length(t.a) y", ["t"], ["length", "pg_sleep"]),
    ("postgres", "select z.pg_sleep from rows from (length('a')) z", [], ["length", "pg_sleep"]),
    ("postgres", "select ('x'::text).pg_read_file, (t).nextval from t", ["t"], ["nextval", "pg_read_file"]),
    ("postgres", "select u.a, u.ordinality from unnest(array[1]) with ordinality u(a)", [], ["unnest"]),
    ("postgres", "select t.a, s.t.b, l.c from s.t, lateral (select t.a as c) l", ["s.t"], []),
    ("tsql", "select dbo.lower('x'), [dbo].[upper]('x')", [], ["dbo.lower", "dbo.upper"]),
    ("oracle", "select dbms_x.round(1) from dual", ["dual"], ["dbms_x.round"]),
    ("oracle", "select orders_seq.nextval from dual", ["dual"], ["nextval"]),
    ("mysql", "select mysql.lower('x')", [], ["mysql.lower"]),
    ("mysql", "select {fn sleep(5)}", [], ["sleep"]),
    ("clickhouse", "select quantile(0.5)(x) from t", ["t"], ["quantile"]),
    ("trino", "select * from table(pg.system.query(query => 'x'))", [], ["pg.system.query", "table"]),
    ("tsql", "select * from master..syslogins", ["master..syslogins"], []),
    ("tsql", "select * from [Order Details], #mine", ["#mine", "order details"], []),
    ("bigquery", "select * from `p.d.events_*`", ["p.d.events_*"], []),
    ("bigquery", "select * from a-b.c.d", ["a-b.c.d"], []),
    ("bigquery", "select * from `region-us`.INFORMATION_SCHEMA.JOBS", ["region-us.information_schema.jobs"], []),
    ("mysql", "with recursive a as (select * from late), late as (select 1) select * from a", ["late"], []),
    ("postgres", "with recursive a as (select 1 union select * from a) select * from a", [], []),
    ("duckdb", "from orders select total", ["orders"], []),
    ("duckdb", "select * from csv", ["csv"], []),
    ("trino", 'select * from c.s."t$partitions"', ["c.s.t$partitions"], []),
    ("oracle", "select e.name from emp e", ["emp"], []),
    ("oracle", "select hr.emp.name, emp.id from hr.emp", ["hr.emp"], []),
    ("oracle", 'select E.x from "E"', ["e"], []),
    ("oracle", "select e.a from emp e join d on d.i = e.d where 1 in (select o.x from o where o.e = e.i)", ["d", "emp", "o"], []),
    ("oracle", "select l.x from emp e cross join lateral (select o.x from o where o.e = e.id) l", ["emp", "o"], []),
    ("oracle", "select p.a from t pivot (sum(a) for b in (1, 2)) p", ["t"], ["sum"]),
    ("oracle", "select a.x from (a join b on a.i = b.i)", ["a", "b"], []),
    ("oracle", "with w as (select a.i from a) select w.i from w union all select a.i from a", ["a"], []),
    ("oracle", "select x.c from t, xmltable('a' passing t.x columns c int path 'c') x", ["t"], ["xmltable"]),
    ("oracle", "select e.name from emp e start with e.boss is null connect by prior e.id = e.boss", ["emp"], []),
)  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "tables", "functions"), TOLD)
def test_names_are_told_whole(dialect: str, text: str, tables: list[str], functions: list[str]) -> None:
    assert read(text, dialect) == {
        "dialect": dialect,
        "statements": 1,
        "kinds": ["select"],
        "tables": tables,
        "functions": functions,
    }


@pytest.mark.parametrize(
    ("text", "kinds", "tables"),
    [
        ("update t a set a.x = 1 where a.y = 2", ["update"], ["t"]),
        ("delete from t where t.a = 1", ["delete"], ["t"]),
        ("merge into t using u on (t.a = u.a) when matched then update set t.b = u.b", ["merge", "update"], ["t", "u"]),
        ("insert into t (a) select u.a from u", ["insert", "select"], ["t", "u"]),
    ],
)
def test_writes_of_oracle_are_told_as_what_they_are(text: str, kinds: list[str], tables: list[str]) -> None:
    said = read(text, "oracle")
    assert isinstance(said, dict) and (said["kinds"], said["tables"]) == (kinds, tables)

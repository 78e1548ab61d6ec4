package mcp.org.sql_read_only_test

import data.mcp.asking_test as asking
import data.mcp.org.sql_read_only

_facts := {"settings": {"sql_read_only": {"functions": ["our_function"], "writers": ["admins"]}}}

_entry(changes) := object.union(
	{
		"argument": "statement", "at": "/statement", "dialect": "postgres",
		"statements": 1, "kinds": ["select"], "tables": ["orders"], "functions": ["count"],
	},
	changes,
)

_asked(groups, entry) := object.union(asking.call(groups, "warehouse", "query", {}), {"extracted": {"sql": [entry]}})

_refusal := {
	"code": "sql_writes",
	"message": "{argument} must be one SELECT that only reads, of plain tables and with functions that the policy knows",
	"details": {"argument": "statement"},
}

test_what_does_more_than_read_is_refused[name] if {
	some name, entry in {
		"a delete": _entry({"kinds": ["delete"]}),
		"a delete in a with": _entry({"kinds": ["delete", "select"]}),
		"two statements": _entry({"statements": 2}),
		"a function that nobody knows": _entry({"functions": ["count", "pg_sleep"]}),
		"the server's own tables": _entry({"tables": ["orders", "pg_catalog.pg_authid"]}),
		"without its schema": _entry({"tables": ["pg_shadow"]}),
		"of another server": _entry({"tables": ["mysql.user"]}),
		"a function with its schema": _entry({"functions": ["evil.count"]}),
		"a file": _entry({"tables": ["orders", "/etc/passwd"]}),
		"a URL": _entry({"tables": ["s3://x/y.parquet"]}),
		"a stage": _entry({"tables": ["@stage"]}),
		"a link": _entry({"tables": ["t@dblink"]}),
		"another server": _entry({"tables": ["srv.db.dbo.t"]}),
		"a table without a name": _entry({"tables": [""]}),
		"functions untold": json.remove(_entry({}), ["/functions"]),
		"tables untold": json.remove(_entry({}), ["/tables"]),
		"unreadable": {"argument": "statement", "at": "/statement", "unreadable": true, "why": "it is no SQL of this dialect"},
	}
	sql_read_only.deny == {_refusal} with input as _asked([], entry) with data.mcp.facts as _facts
}

test_what_only_reads_passes[name] if {
	some name, entry in {
		"a select": _entry({}),
		"with our own function": _entry({"functions": ["our_function"]}),
		"of a table that sounds like the server's": _entry({"tables": ["sales.pgdata", "systems"]}),
	}
	sql_read_only.deny == set() with input as _asked([], entry) with data.mcp.facts as _facts
}

test_what_is_the_servers_own_is_refused[name] if {
	some dialect, names in {
		"postgres": [
			"pg_shadow", "pg_catalog.pg_authid", "information_schema.tables", `"Information_Schema"."X"`, "db.information_schema.x",
		],
		"clickhouse": ["system.processes"],
		"mysql": [
			"information_schema.processlist", "mysql.user", "sys.session", "performance_schema.threads", "ndbinfo.nodes",
		],
		"oracle": [
			"gv$session", "v$session", "v_$session", "gv_$session", "x$kzsrt", "user$", "sys.user$", "all_users", "dba_users",
			"cdb_users", "user_users", "user_tables", "user_tab_columns", "user_db_links", "user_source", "session_privs",
			"role_sys_privs", "xdb.xdb$acl", "xdb.acl", "audsys.log",
		],
		"tsql": [
			"master..syslogins", "master.dbo.sysprocesses", "msdb.dbo.backupset", "tempdb..x", "sys.objects", "syslogins",
			"dbo.sysusers", "sysdatabases", "db.information_schema.tables",
		],
		"redshift": ["stl_querytext", "stv_recents", "svl_qlog", "svv_tables", "svcs_x", "sys_query_history", "pg_user"],
		"snowflake": ["account_usage.query_history", "snowflake.account_usage.users", "snowflake.x.y"],
		"bigquery": ["information_schema.jobs", "region-us.information_schema.jobs", "p.d.__tables__"],
		"sqlite": ["sqlite_master", "sqlite_schema", "main.sqlite_master", "pragma_table_info", "dbstat"],
		"duckdb": ["sqlite_master", "duckdb_settings", "main.duckdb_tables", "information_schema.tables"],
		"trino": ["system.runtime.queries", "jmx.current.x", "c.information_schema.tables"],
	}
	some table in names
	name := concat(" ", [dialect, table])
	sql_read_only.deny == {_refusal} with input as _asked([], _entry({"dialect": dialect, "tables": ["orders", table]}))
		with data.mcp.facts as _facts
}

test_what_sounds_like_the_servers_own_passes[name] if {
	some dialect, names in {
		"postgres": ["sales.pgdata", "systems", "user_roles", "all_orders", "sys_log", "stl_files", `public."Log"`, "a.b.c"],
		"oracle": ["user_accounts", "hr.user_roles", "hr.session_log", "overall_x", `hr."Pay$Roll"`],
		"tsql": ["db..orders", "order details", "#mine", "systems", "dbo.sysadmin_notes", "mastery.x"],
		"snowflake": ["db.usage.orders", "snowflakes.x.y"],
		"bigquery": ["p.d.events_*", "my-project.d.orders", "d.tables"],
		"sqlite": ["main.orders", "sqlites", "dbstats"],
		"redshift": ["public.stls", "system_x"],
		"duckdb": ["duckdbs", "orders"],
		"mysql": ["ndb.info", "mysqls.user"],
		"trino": ["hive.jmx.x", "c.s.t$partitions"],
		"clickhouse": ["größe.été"],
	}
	some table in names
	name := concat(" ", [dialect, table])
	sql_read_only.deny == set() with input as _asked([], _entry({"dialect": dialect, "tables": [table]}))
		with data.mcp.facts as _facts
}

_reading(allowed) := {"settings": {"sql_read_only": allowed}}

test_where_the_settings_say_what_may_be_read_nothing_else_may[name] if {
	some name, [allowed, tables] in {
		"another table": [{"tables": ["orders"]}, ["orders", "customers"]],
		"the same in another schema": [{"tables": ["orders"]}, ["archive.orders"]],
		"another schema": [{"schemas": ["sales"]}, ["sales.orders", "hr.people"]],
		"no schema": [{"schemas": ["sales"]}, ["sales"]],
		"a schema below": [{"schemas": ["sales"]}, ["sales.x.orders"]],
		"the same schema elsewhere": [{"schemas": ["sales"]}, ["db.sales.orders"]],
		"a file": [{"schemas": ["sales"]}, ["sales./etc/passwd"]],
		"of no tables": [{"tables": []}, ["orders"]],
		"of no schemas": [{"schemas": []}, ["orders"]],
	}
	sql_read_only.deny == {_refusal} with input as _asked([], _entry({"tables": tables})) with data.mcp.facts as _reading(allowed)
}

test_what_the_settings_say_may_be_read[name] if {
	some name, [allowed, tables] in {
		"a table": [{"tables": ["orders"]}, ["orders"]],
		"tables and schemas": [{"tables": ["orders"], "schemas": ["sales", "db.hr"]}, ["orders", "sales.x", "db.hr.people"]],
		"the server's own": [{"schemas": ["information_schema"]}, ["information_schema.tables"]],
		"nothing": [{"tables": []}, []],
	}
	sql_read_only.deny == set() with input as _asked([], _entry({"tables": tables})) with data.mcp.facts as _reading(allowed)
}

test_writers_may_write if {
	sql_read_only.deny == set() with input as _asked(["admins"], _entry({"kinds": ["delete"]})) with data.mcp.facts as _facts
}

test_without_settings_nobody_may if {
	sql_read_only.deny == {_refusal} with input as _asked(["admins"], _entry({"kinds": ["delete"]})) with data.mcp.facts as {}
}

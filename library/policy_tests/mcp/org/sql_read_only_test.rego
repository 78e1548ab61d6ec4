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

test_writers_may_write if {
	sql_read_only.deny == set() with input as _asked(["admins"], _entry({"kinds": ["delete"]})) with data.mcp.facts as _facts
}

test_without_settings_nobody_may if {
	sql_read_only.deny == {_refusal} with input as _asked(["admins"], _entry({"kinds": ["delete"]})) with data.mcp.facts as {}
}

# METADATA
# title: SQL only reads
# description: |
#   One select, at any depth nothing else, with functions that are known to be harmless: `select nextval('s')` writes,
#   `select pg_read_file(…)` reads the server's disk. The server's own tables hold passwords and other people's queries.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.sql_read_only

import data.mcp.lib.extracted
import data.mcp.lib.finding
import data.mcp.lib.subject

# METADATA
# title: '{argument} must be one SELECT that only reads, of plain tables and with functions that the policy knows'
# custom:
#   code: sql_writes
deny contains finding.detailed(rego.metadata.rule(), {"argument": entry.argument}) if {
	not subject.in_any(_writers)
	some entry in extracted.sql
	not _only_reads(entry)
}

_only_reads(entry) if {
	extracted.only_selects(entry)
	entry.statements == 1
	is_array(entry.functions)
	is_array(entry.tables)
	count({name | some name in entry.functions} - _functions) == 0
	every name in entry.tables {
		_may_be_read(name, entry.dialect)
	}
}

# Where the settings say what may be read, nothing else may.
_may_be_read(name, _) if name in _settings.tables

_may_be_read(name, _) if {
	regex.match(_plain, name)
	some schema in _settings.schemas
	startswith(name, concat("", [schema, "."]))
	not contains(trim_prefix(name, concat("", [schema, "."])), ".")
}

_may_be_read(name, dialect) if {
	not _settings.tables
	not _settings.schemas
	regex.match(_plain, name)
	not regex.match(_servers, name)
	not regex.match(object.get(_servers_of, dialect, _none), name)
}

_settings := data.mcp.facts.settings.sql_read_only

# One to three names: no file, no URL, no stage, no link to another server.
_plain := sprintf(`^%s(\.\.?%s){0,2}$`, [_name, _name])

_name := `"?#{0,2}[\pL\pN_$][\pL\pN_$#*-]*( [\pL\pN_$#-]+)*"?`

# What is the server's own, as far as it can be told by names. No list of these is ever whole: better say what may be read.
_servers := `(?i)(^|\.)"?(pg_|dba_|g?v_?\$|(information_schema|mysql|performance_schema|sys|system)"?\.)`

_none := `^$`

_servers_of := {
	"bigquery": `(^|\.)__tables`,
	"duckdb": `(^|\.)(duckdb|sqlite)_`,
	"mysql": `^ndbinfo\.`,
	"oracle": concat("|", [
		`\$"?$`, `(^|\.)(all|cdb)_`, `(^|\.)x\$`, `(^|\.)(role|session)_(privs|roles|sys_privs|tab_privs)$`,
		`(^|\.)user_(catalog|credentials|db_links|dependencies|errors|jobs|objects|procedures|scheduler|source|sys_|tab_|tables$)`,
		`(^|\.)user_(triggers$|users$|views$|role_privs$|password_limits$)`,
		`^(audsys|ctxsys|dbsnmp|dvsys|gsmadmin_internal|lbacsys|mdsys|ordsys|outln|wmsys|xdb)\.`,
	]),
	"redshift": `(^|\.)(stl|stv|svcs|svl|svv|sys)_`,
	"snowflake": `^snowflake\.|(^|\.)(account|data_sharing|organization|reader_account)_usage\.`,
	"sqlite": `(^|\.)(sqlite_|pragma_|dbstat$)`,
	"trino": `^jmx\.`,
	"tsql": concat("|", [
		`^(master|model|msdb|resource|tempdb)\.`,
		`(^|\.)sys(altfiles|cacheobjects|columns|comments|configures|databases|depends|devices|files|indexes|jobs|lockinfo)$`,
		`(^|\.)sys(logins|members|messages|objects|oledbusers|perfinfo|permissions|processes|protects|references)$`,
		`(^|\.)sys(remotelogins|servers|types|users|xlogins)$`,
	]),
}

_writers := {group | some group in _settings.writers}

_functions := _known | {name | some name in _settings.functions}

_known := {
	"abs", "and", "avg", "cast", "ceil", "coalesce", "concat", "count", "current_date", "current_timestamp", "date_trunc",
	"dense_rank", "exists", "extract", "first_value", "floor", "greatest", "lag", "last_value", "lead", "least", "length",
	"lower", "ltrim", "max", "min", "now", "nullif", "or", "percentile_cont", "position", "rank", "replace", "round",
	"row_number", "rtrim", "stddev", "string_agg", "substring", "sum", "to_char", "trim", "upper", "variance",
}

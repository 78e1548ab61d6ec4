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
	count([name | some name in entry.tables; regex.match(_of_the_server, name)]) == 0
}

_of_the_server := `(?i)(^|\.)"?(pg_|mysql\.|sys\.|system\.|performance_schema\.|dba_|v\$)`

_writers := {group | some group in data.mcp.facts.settings.sql_read_only.writers}

_functions := _known | {name | some name in data.mcp.facts.settings.sql_read_only.functions}

_known := {
	"abs", "and", "avg", "cast", "ceil", "coalesce", "concat", "count", "current_date", "current_timestamp", "date_trunc",
	"dense_rank", "exists", "extract", "first_value", "floor", "greatest", "lag", "last_value", "lead", "least", "length",
	"lower", "ltrim", "max", "min", "now", "nullif", "or", "percentile_cont", "position", "rank", "replace", "round",
	"row_number", "rtrim", "stddev", "string_agg", "substring", "sum", "to_char", "trim", "upper", "variance",
}

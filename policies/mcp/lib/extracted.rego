# METADATA
# title: What the gateway found in the arguments where the facts declare paths, SQL, URLs or addresses
# description: |
#   Rego cannot parse these. The gateway can, and says so when it cannot: then an entry has `unreadable` and nothing else.
#   Ask for what must hold, through a negated helper (`not _fine(path)`): what is unreadable or absent does not hold.
package mcp.lib.extracted

# METADATA
# title: Every path, SQL text, URL or address in the arguments, by kind; none where nothing is declared
paths := object.get(_extracted, "paths", [])

# METADATA
# title: Every SQL text
sql := object.get(_extracted, "sql", [])

# METADATA
# title: Every URL
urls := object.get(_extracted, "urls", [])

# METADATA
# title: Every address that something would be sent to
addresses := object.get(_extracted, "addresses", [])

# METADATA
# title: What could not be read with certainty, and why, by argument
# scope: document
# description: |
#   An argument that the facts declare and the gateway did not look into (a sidecar decides by facts that the gateway does
#   not have) counts as unreadable.
unreadable contains {"argument": entry.argument, "why": entry.why} if {
	some entries in _extracted
	some entry in entries
	entry.unreadable
}

unreadable contains {"argument": argument, "why": "the gateway did not look into it"} if {
	some argument, declared in _declared
	not object.get(_extracted, _lists[declared.kind], false)
}

# METADATA
# title: The SQL text only reads
# description: |
#   Functions are apart: `select nextval('s')` is a select that writes. Compare `functions` with those that you know.
only_selects(entry) if entry.kinds == ["select"]

# METADATA
# title: The URL leads to no machine of ours, as far as can be told without a look-up
public(entry) if entry.network in {"public", "name"}

_lists := {"path": "paths", "sql": "sql", "url": "urls", "address": "addresses"}

default _extracted := {}

_extracted := input.extracted

_declared := data.mcp.facts.items[resource.backend][resource.type][resource.name].extract if {
	resource := input.resources[0]
	resource.type in {"tool", "prompt"}
}

# Of a resource the URI, as the template that it matches has it.
_declared := data.mcp.facts.items[resource.backend].resource_template[resource.template].extract if {
	resource := input.resources[0]
	resource.type == "resource"
}

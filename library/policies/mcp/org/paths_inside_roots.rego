# METADATA
# title: Files are in the folders that are meant
# description: |
#   The gateway reads a path in every way in which somebody might, and says in which declared root it lies. A path is fine
#   when all readings are in one root, and that root is one for everybody, or the caller may use all.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.paths_inside_roots

import data.mcp.lib.extracted
import data.mcp.lib.finding
import data.mcp.lib.subject

# METADATA
# title: '{argument} is not in a folder that you may use; name a file inside one, without .. and links'
# custom:
#   code: path_outside
deny contains finding.detailed(rego.metadata.rule(), {"argument": entry.argument}) if {
	some entry in extracted.paths
	not _permitted(entry)
}

_permitted(entry) if {
	entry.inside
	entry.root in _roots
}

_permitted(entry) if {
	entry.inside
	subject.in_any(_everywhere)
}

_roots := {root | some root in data.mcp.facts.settings.paths_inside_roots.roots[input.resources[0].backend]}

_everywhere := {group | some group in data.mcp.facts.settings.paths_inside_roots.everywhere}

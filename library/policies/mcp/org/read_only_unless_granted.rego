# METADATA
# title: Tools only read, unless writing was granted
# description: |
#   A reviewed label makes a tool one that reads; its own claims never do. Everything else is for the backend's writers, also
#   a tool that is new or that nobody has labelled.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.read_only_unless_granted

import data.mcp.lib.finding
import data.mcp.lib.item
import data.mcp.lib.subject

# METADATA
# title: '{tool} may change something, and you may only read there; ask for one of the groups that may write'
# custom:
#   code: writing_not_granted
deny contains finding.detailed(rego.metadata.rule(), {"tool": object.get(input.resources[0], "public_name", "the tool")}) if {
	input.resources[0].type == "tool"
	not _reads
	not subject.in_any(_writers)
}

# Labelled both ways is not known to read.
_reads if {
	"safe" in _labels
	count(_labels & {"writes", "destructive"}) == 0
}

_labels := item.labels(input.resources[0])

_writers := {group | some group in data.mcp.facts.settings.read_only_unless_granted.writers[input.resources[0].backend]}

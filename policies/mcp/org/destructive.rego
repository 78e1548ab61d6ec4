# METADATA
# title: Nobody destroys by accident
# description: |
#   Only a reviewed label makes a tool harmless: `safe`, or `writes` for one that changes without destroying. The
#   annotations are the backend's own claims, so they can only make it stricter: a tool that is labelled `writes` and now
#   calls itself destructive is treated as it says, and an unlabelled one counts as destructive whatever it says.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.destructive

import data.mcp.lib.finding
import data.mcp.lib.item
import data.mcp.lib.subject

# METADATA
# title: '{tool} may destroy data or is unlabelled, and you are in none of the groups that may call such tools'
# custom:
#   code: destructive_tool
deny contains finding.detailed(rego.metadata.rule(), {"tool": object.get(input.resources[0], "public_name", "the tool")}) if {
	input.resources[0].type == "tool"
	not _harmless
	not subject.in_any(_operators)
}

_harmless if {
	"safe" in _labels
	not "destructive" in _labels
}

_harmless if {
	"writes" in _labels
	not "destructive" in _labels
	not _claims_to_destroy
}

_claims_to_destroy if input.resources[0].annotations.destructiveHint == true

_labels := item.labels(input.resources[0])

_operators := {group | some group in data.mcp.facts.groups.destructive}

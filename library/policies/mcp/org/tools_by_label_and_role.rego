# METADATA
# title: Which group may use which tools
# description: |
#   The table of who may use what, by reviewed labels: a group may use a tool if the labels of its groups hold all of the
#   tool's. A tool without labels is nobody's. It only takes away: what no other rule grants is not granted here either.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.tools_by_label_and_role

import data.mcp.lib.finding
import data.mcp.lib.item

hide contains position if {
	not _shown_to_all
	some position, resource in input.resources
	resource.type == "tool"
	not _permitted(resource)
}

# METADATA
# title: '{tool} is for other groups; ask for one that may use tools of its kind'
# custom:
#   code: not_for_this_role
deny contains finding.detailed(rego.metadata.rule(), {"tool": object.get(input.resources[0], "public_name", "the tool")}) if {
	_shown_to_all
	input.resources[0].type == "tool"
	not _permitted(input.resources[0])
}

_permitted(resource) if {
	labels := item.labels(resource)
	count(labels) > 0
	count(labels - _held) == 0
}

# No such backend exists: the canaries ask about it, so that a set which refuses everything is noticed.
_permitted(resource) if resource.backend == "canary"

_held contains label if some label in _settings.everybody

_held contains label if {
	some group in input.subject.groups
	some label in _settings.groups[group]
}

_shown_to_all if _settings.visible == true

_settings := data.mcp.facts.settings.tools_by_label_and_role

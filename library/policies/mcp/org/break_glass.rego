# METADATA
# title: Emergency tools are behind glass
# description: |
#   Whoever is on call may use them, with a reason, for a while, and loudly. The reason stands in a claim of the access token,
#   which the issuer wrote down too: a reason among the arguments could be made up by a model.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.break_glass

import data.mcp.lib.finding
import data.mcp.lib.item
import data.mcp.lib.subject

# METADATA
# title: '{tool} is for emergencies; whoever is on call signs in again with a reason'
# custom:
#   code: glass_not_broken
deny contains finding.detailed(rego.metadata.rule(), {"tool": object.get(input.resources[0], "public_name", "the tool")}) if {
	_behind_glass
	not _broken
}

# METADATA
# title: An emergency is recorded whole
# custom:
#   code: glass_broken
oblige contains finding.duty(rego.metadata.rule(), "audit", {"level": "full"}) if _behind_glass

_behind_glass if {
	some label in item.labels(input.resources[0])
	label in _settings.labels
}

# Without settings nobody knows which tools are meant: all that are not known to read.
_behind_glass if {
	input.resources[0].type == "tool"
	not _settings.labels
	not "safe" in item.labels(input.resources[0])
}

_broken if {
	subject.in_any(_settings.groups)
	_reasoned
	_recent
}

_reasoned if {
	reason := input.subject.claims[_settings.claim]
	is_string(reason)
	count(regex.find_n(`[^\s]{2,}`, reason, 3)) == 3
}

# A token from the future is none that was issued.
_recent if {
	age_ns := input.context.time_ns - input.subject.assurance.token_issued_ns
	age_ns >= 0
	age_ns <= _settings.max_age_s * 1000000000
}

_settings := data.mcp.facts.settings.break_glass

# METADATA
# title: How often somebody may call tools of a class
# description: |
#   What one call may do, a thousand must not. Each label of the settings that a tool has is charged, for the subject, over all
#   backends together; a tool with none of them is charged as unlabelled.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.rates_per_class

import data.mcp.lib.finding
import data.mcp.lib.item
import data.mcp.lib.subject

# METADATA
# title: A call is charged to its class
# custom:
#   code: class_rate
oblige contains finding.duty(rego.metadata.rule(), "rate_limit", {
	"key": sprintf("class %s of %s", [class, subject.name]),
	"limit": rate.limit,
	"period_s": rate.period_s,
}) if {
	input.action.phase == "request"
	input.resources[0].type == "tool"
	some class in _charged
	rate := _rate(class)
}

_charged contains label if some label in _named

_charged contains "unlabelled" if count(_named) == 0

_named contains label if {
	some label in item.labels(input.resources[0])
	_ = data.mcp.facts.settings.rates_per_class.classes[label]
}

_rate(class) := data.mcp.facts.settings.rates_per_class.classes[class]

_rate(class) := {"limit": 10, "period_s": 60} if not data.mcp.facts.settings.rates_per_class.classes[class]

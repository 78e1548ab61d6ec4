# METADATA
# title: Whatever may destroy is approved first
# description: |
#   A tool is harmless if its reviewed labels say so; its own claims only make it stricter. Any other call needs an approval: for
#   now one that was written into the facts, for one subject and one tool, with an end, and perhaps for one set of arguments.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.destructive_needs_approval

import data.mcp.lib.finding
import data.mcp.lib.item

# METADATA
# title: '{tool} may destroy something; whoever reviews the facts has to approve this call first'
# custom:
#   code: approval_needed
oblige contains finding.duty(rule, "require_approval", {
	"message": rule.title,
	"details": {"tool": object.get(input.resources[0], "public_name", "the tool")},
}) if {
	rule := rego.metadata.rule()
	_in_question
	not _approved
}

# METADATA
# title: A call that was approved is recorded whole
# custom:
#   code: approved_in_facts
oblige contains finding.duty(rego.metadata.rule(), "audit", {"level": "full"}) if {
	_in_question
	_approved
}

_in_question if {
	input.action.phase == "request"
	input.resources[0].type == "tool"
	not _harmless
}

_harmless if {
	"safe" in _labels
	not "destructive" in _labels
}

_harmless if {
	"writes" in _labels
	not "destructive" in _labels
	not input.resources[0].annotations.destructiveHint == true
}

_labels := item.labels(input.resources[0])

_approved if {
	some approval in data.mcp.facts.settings.destructive_needs_approval.approved
	approval.issuer == input.subject.issuer
	approval.subject == input.subject.id
	approval.backend == input.resources[0].backend
	approval.tool == input.resources[0].name
	is_number(approval.until_ns) # a text is greater than any number
	approval.until_ns > input.context.time_ns
	_meant(approval)
}

# All calls of the tool, or just this one: its arguments, and no others.
_meant(approval) if not approval.arguments

_meant(approval) if approval.arguments == input.arguments

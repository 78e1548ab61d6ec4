# METADATA
# title: How much of an exchange the record holds
# description: Every exchange is recorded with its metadata. For what changes something, the record says with which arguments.
# schemas:
#   - input: schema.input
package mcp.org.audit

import data.mcp.lib.finding
import data.mcp.lib.item

# METADATA
# title: Everything is recorded with its metadata
# custom:
#   code: metadata
oblige contains finding.duty(rego.metadata.rule(), "audit", {"level": "metadata"})

# METADATA
# title: A tool that may change something is recorded with its arguments
# custom:
#   code: changes
oblige contains finding.duty(rego.metadata.rule(), "audit", {"level": "arguments"}) if {
	input.action.phase != "list"
	input.resources[0].type == "tool"
	not "safe" in item.labels(input.resources[0])
}

# METADATA
# title: What callers tell the customer database
# description: Redacted before the call is forwarded; the policy is then asked once more about what is left.
# schemas:
#   - input: schema.input
package mcp.servers.crm.questions

import data.mcp.lib.finding

# METADATA
# title: Card numbers in a search never reach the database, nor its log
# custom:
#   code: card_in_query
oblige contains finding.duty_at(
	rego.metadata.rule(), "redact",
	{"target": "arguments", "pattern": `\b(?:\d[ -]?){12,18}\d\b`, "action": "replace", "value": "[card number removed]"},
	positions,
) if {
	positions := {position | some position, resource in input.resources; resource.name == "search_customers"}
	count(positions) > 0
}

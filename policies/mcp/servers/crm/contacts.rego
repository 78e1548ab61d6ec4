# METADATA
# title: What of a customer's record leaves the database
# description: |
#   Two ways to the same end. A pointer names a field wherever the record is given as data; what the same result says in
#   prose is then withheld where it cannot be checked. A pattern finds a value in every form, prose included.
# schemas:
#   - input: schema.input
package mcp.servers.crm.contacts

import data.mcp.lib.finding

# METADATA
# title: The card number is not part of the record
# custom:
#   code: card_field
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pointer": "/structuredContent/card_number",
	"action": "replace",
	"value": "[card number removed]",
})

# METADATA
# title: Nor are card numbers in its prose
# custom:
#   code: card_number
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `\b(?:\d[ -]?){12,18}\d\b`,
	"action": "replace",
	"value": "[card number removed]",
})

# METADATA
# title: E-mail addresses outside the company are masked
# custom:
#   code: foreign_address
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`,
	"except": `[A-Za-z0-9._%+-]+@example\.com`,
	"action": "replace",
	"value": "[address removed]",
})

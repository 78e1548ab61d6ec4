# METADATA
# title: Exports of customers are approved by somebody
# description: |
#   The gateway says in `context.obligations` what it can do. Where it can ask for an approval, it is asked to; where it
#   cannot, the caller gets to know why the answer is no.
# schemas:
#   - input: schema.input
#   - input.arguments: schema.tools.crm.export_customers
package mcp.servers.crm.export

import data.mcp.lib.finding

# METADATA
# title: an export of {region} needs an approval, which this gateway cannot ask for yet
# custom:
#   code: approval_unavailable
deny contains finding.detailed(rego.metadata.rule(), {"region": object.get(input.arguments, "region", "")}) if {
	input.resources[0].name == "export_customers"
	not "require_approval" in input.context.obligations
}

# METADATA
# title: export the customers of {region}
# custom:
#   code: confirm_export
oblige contains finding.duty(rego.metadata.rule(), "require_approval", {
	"message": object.get(rego.metadata.rule(), "title", "export customers"),
	"details": {"region": object.get(input.arguments, "region", "")},
	"mode": "form",
	"ttl_s": 300,
}) if {
	input.action.phase == "request"
	input.resources[0].name == "export_customers"
	"require_approval" in input.context.obligations
}

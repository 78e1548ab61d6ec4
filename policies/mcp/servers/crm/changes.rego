# METADATA
# title: Who changes customers, and how
# schemas:
#   - input: schema.input
#   - input.arguments: schema.tools.crm.update_customer
package mcp.servers.crm.changes

import data.mcp.lib.finding
import data.mcp.lib.subject

# METADATA
# title: only account managers change customers
# custom:
#   code: account_managers_only
deny contains finding.refusal(rego.metadata.rule()) if {
	input.resources[0].name == "update_customer"
	not subject.in_any({"account_managers", "crm_admins"})
}

# METADATA
# title: '{email} is not an e-mail address'
# custom:
#   code: not_an_address
deny contains finding.detailed(rego.metadata.rule(), {"email": object.get(input.arguments, "email", "")}) if {
	input.resources[0].name == "update_customer"
	not _an_address
}

# Arguments may be of any type, and a builtin that gets the wrong one is an error instead of an answer.
_an_address if {
	is_string(input.arguments.email)
	regex.match(`^[^@\s]+@[^@\s]+\.[^@\s]+$`, input.arguments.email)
}

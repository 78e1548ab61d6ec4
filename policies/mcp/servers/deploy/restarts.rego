# METADATA
# title: Restarts are rationed
# schemas:
#   - input: schema.input
package mcp.servers.deploy.restarts

import data.mcp.lib.finding
import data.mcp.lib.subject

# METADATA
# title: Three restarts a minute for each subject
# custom:
#   code: restarts
oblige contains finding.duty(rego.metadata.rule(), "rate_limit", {"key": subject.name, "limit": 3, "period_s": 60}) if {
	input.action.phase == "request"
	input.resources[0].name == "restart"
}

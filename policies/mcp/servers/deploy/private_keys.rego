# METADATA
# title: A log with a private key in it is an incident, not an answer
# description: |
#   Redaction would take the key out, and the incident with it. The call has been carried out when this is asked; the
#   caller is told so, and that the result is withheld.
# schemas:
#   - input: schema.input
package mcp.servers.deploy.private_keys

import data.mcp.lib.finding

# METADATA
# title: the log of {service} holds a private key; report it to the security team
# custom:
#   code: private_key_in_log
withhold contains finding.detailed(rego.metadata.rule(), {"service": object.get(input.arguments, "service", "the service")}) if {
	input.resources[0].name == "service_log"
	contains(json.marshal(input.result), "PRIVATE KEY-----")
}

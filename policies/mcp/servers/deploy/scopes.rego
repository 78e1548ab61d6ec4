# METADATA
# title: A token for reading does not deploy
# description: |
#   A refusal with scopes lets a client ask its user for more: the gateway answers it with a challenge that names them.
#   API keys carry no scopes, so for them the groups decide alone.
# schemas:
#   - input: schema.input
package mcp.servers.deploy.scopes

import data.mcp.lib.finding

# METADATA
# title: deploying needs a token with the scope deploy:write
# custom:
#   code: scope_missing
deny contains finding.scoped(rego.metadata.rule(), {}, {"deploy:write"}) if {
	input.resources[0].name in {"deploy", "restart"}
	not "deploy:write" in input.subject.scopes
	not _without_scopes
}

_without_scopes if input.subject.authentication in {"api_key", "mtls"}

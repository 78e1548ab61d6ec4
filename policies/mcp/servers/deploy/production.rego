# METADATA
# title: Production is the release team's
# description: |
#   Told by what is known to be elsewhere, not by what is called production: an absent, misspelt or new environment counts
#   as production until somebody says otherwise.
# schemas:
#   - input: schema.input
#   - input.arguments: schema.tools.deploy.deploy
package mcp.servers.deploy.production

import data.mcp.lib.finding

# METADATA
# title: only the release team (group release) deploys to {environment}
# custom:
#   code: release_team_only
deny contains finding.detailed(
	rego.metadata.rule(),
	{"environment": object.get(input.arguments, "environment", "production")},
) if {
	input.resources[0].name in {"deploy", "restart"}
	not "release" in input.subject.groups
	not _elsewhere
}

_elsewhere if input.arguments.environment in {"staging", "test"}

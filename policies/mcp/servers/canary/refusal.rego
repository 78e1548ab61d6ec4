# METADATA
# title: The canary is refused once
# schemas:
#   - input: schema.input
package mcp.servers.canary.refusal

import data.mcp.lib.finding

# METADATA
# title: this canary is always refused
# custom:
#   code: always_refused
deny contains finding.refusal(rego.metadata.rule()) if not _expected

_expected if input.resources[0].name == "allowed"

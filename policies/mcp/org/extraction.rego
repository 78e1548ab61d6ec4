# METADATA
# title: What cannot be read is not passed on
# description: |
#   Where the facts declare that an argument is a path, SQL, a URL or an address, rules rely on what the gateway reads in
#   it. A text that two programs would read differently is how such rules are evaded.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.extraction

import data.mcp.lib.extracted
import data.mcp.lib.finding

# METADATA
# title: '{argument} cannot be read with certainty ({why}); write it plainly'
# custom:
#   code: unreadable_argument
deny contains finding.detailed(rego.metadata.rule(), found) if some found in extracted.unreadable

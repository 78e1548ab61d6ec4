# METADATA
# title: What nobody has reviewed does not exist
# description: |
#   A backend can change a tool's description or schema at any time, and a model follows what it reads. So an item is shown
#   only while its definition is the reviewed one (`mcp-gateway catalog pin` writes the fingerprints into the facts).
#   Reviewers see everything that their grants cover, or they could not review.
# schemas:
#   - input: schema.input
package mcp.org.reviewed

import data.mcp.lib.item

hide contains position if {
	not "reviewers" in input.subject.groups
	some position, resource in input.resources
	not item.reviewed(resource)
}

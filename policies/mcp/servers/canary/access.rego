# METADATA
# title: The canary sees its own items
# description: |
#   No such backend exists. The canaries (mcp/canaries) ask about it with a subject that only the gateway may name, so
#   that a policy set which allows everything, or nothing, is noticed before it decides for anybody.
# schemas:
#   - input: schema.input
package mcp.servers.canary.access

allow contains position if {
	input.subject.type == "workload"
	input.subject.issuer == "urn:mcp-gateway:canary"
	some position, resource in input.resources
	resource.name in {"allowed", "refused"}
}

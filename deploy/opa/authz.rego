# METADATA
# title: What the OPA beside the gateway answers, and nothing else
# description: |
#   The sidecar runs with --authorization=basic. Whoever reaches its socket may ask for the decision and whether it is
#   well; reading data, writing policies or data, ad-hoc queries and everything that a later version adds stay closed.
package system.authz

default allow := false

allow if {
	input.method == "POST"
	input.path == ["v1", "data", "mcp", "authz", "decision"]
}

allow if {
	input.method == "GET"
	input.path in [["health"], ["metrics"]]
}

# METADATA
# title: What the OPA beside the gateway answers, and nothing else
# description: |
#   The sidecar runs with --authorization=basic. Whoever reaches its socket may ask for the decision, read the facts (the
#   gateway looks in them for what to read in arguments) and ask whether it is well; reading anything else, writing
#   policies or data, ad-hoc queries and everything that a later version adds stay closed.
package system.authz

default allow := false

allow if {
	input.method == "POST"
	input.path in [["v1", "data", "mcp", "authz", "decision"], ["v1", "data", "mcp", "facts"]]
}

allow if {
	input.method == "GET"
	input.path in [["health"], ["metrics"]]
}

# METADATA
# title: everybody may use everything of the conformance suite's server
package mcp.servers.everything.access

allow contains position if some position, _ in input.resources

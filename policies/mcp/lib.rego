# METADATA
# title: What rules share
# description: Total functions and small readings. They take values, so that no rule depends on another's state.
# scope: subpackages
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.lib

# METADATA
# description: deny, withhold and oblige carry a METADATA title (the message) and custom.code
# custom:
#   category: mcp
# schemas:
#   - input: schema.regal.ast
package custom.regal.rules.mcp["finding-is-worded"]

import data.regal.result

report contains violation if {
	_of_rules
	some rule in input.rules
	rule.head.ref[0].value in {"deny", "withhold", "oblige"}
	not _worded(rule)
	violation := result.fail(rego.metadata.chain(), result.location(rule.head))
}

_of_rules if input["package"].path[2].value in {"org", "servers"}

_worded(rule) if {
	some annotation in rule.annotations
	annotation.title != ""
	annotation.custom.code != ""
}

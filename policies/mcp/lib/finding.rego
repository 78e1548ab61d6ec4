# METADATA
# title: Refusals and duties, which is what a rule hands over
# description: |
#   Code and message come from the METADATA of the rule (`rego.metadata.rule()`): `title` is the message, `custom.code` the
#   code. Every function is total, since a missing value would unmake the finding and let the request pass.
package mcp.lib.finding

# METADATA
# title: A refusal in the words of its rule's title
refusal(rule) := {"code": _code(rule), "message": _message(rule)}

# METADATA
# title: A refusal whose title carries {names}
# description: The gateway fills them from `details`, quoted and cut, so that arguments cannot speak in the policy's voice.
detailed(rule, details) := object.union(refusal(rule), {"details": details})

# METADATA
# title: A refusal that a token with these scopes would not have met
scoped(rule, details, scopes) := object.union(detailed(rule, details), {"scopes": scopes})

# METADATA
# title: A duty for all items of the rule's author
duty(rule, type, properties) := {
	"type": type,
	"code": object.get(rule, ["custom", "code"], "unnamed_rule"),
	"properties": properties,
}

# METADATA
# title: A duty for some of them
duty_at(rule, type, properties, positions) := object.union(duty(rule, type, properties), {"positions": positions})

# A second body has no METADATA of its own, and somebody may forget the code: neither unmakes the finding.
_code(rule) := object.get(rule, ["custom", "code"], "unnamed_rule")

_message(rule) := object.get(rule, "title", "refused by policy")

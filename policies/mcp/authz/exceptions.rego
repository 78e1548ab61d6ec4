# METADATA
# title: What the facts except from the rules, and what they block
# description: |
#   Read from `mcp.facts`, which the organisation changes without a release of rules. An entry that cannot be read
#   excepts nothing.
package mcp.authz.exceptions

# METADATA
# title: There are facts, of the version that is understood here
known if data.mcp.facts.version == 1

# METADATA
# title: Rules that only observe what this subject does
observing := {rule | some rule, said in data.mcp.facts.rules; _observes(said)}

# METADATA
# title: Backends for whose items a grant by the organisation counts
open_to_organisation := {backend | some backend, said in data.mcp.facts.backends; said.organisation_grants == true}

# METADATA
# title: A reviewed waiver covers this refusal
# description: A refusal that could not be read is never waived, since nobody knows what it refuses.
waived(refusal) if {
	refusal.code != "malformed"
	data.mcp.facts.rules[refusal.rule].waivable == true
	some waiver in data.mcp.facts.waivers
	waiver.rule == refusal.rule
	waiver.issuer == input.subject.issuer
	waiver.subject == input.subject.id
	input.resources[0].backend in waiver.backends
	_running(waiver)
}

# METADATA
# title: Positions that a block hides, as if a rule had
# scope: document
blocked := {"facts/blocks": _blocked_positions} if count(_blocked_positions) > 0

blocked := {} if count(_blocked_positions) == 0

# For everybody but the groups for whom the rule is switched on already.
_observes(said) if {
	said.enforcement == "observe"
	not _in_any(said, "enforce_groups")
}

# Of an enforced rule, for the groups for whom it is not switched on yet.
_observes(said) if {
	not said.enforcement == "observe"
	_in_any(said, "observe_groups")
}

_in_any(said, groups) if {
	some group in said[groups]
	group in input.subject.groups
}

_blocked_positions := {position | some position, _ in input.resources} if _caller_blocked

_blocked_positions := {position |
	some position, resource in input.resources
	_resource_blocked(resource)
} if {
	not _caller_blocked
}

_blocks := [block | some block in data.mcp.facts.blocks; not _over(block)]

_caller_blocked if {
	some block in _blocks
	block.what == "subject"
	block.issuer == input.subject.issuer
	block.subject == input.subject.id
}

# Whoever acts in a blocked subject's name is blocked as well.
_caller_blocked if {
	some block in _blocks
	block.what == "subject"
	some actor in input.subject.actors
	block.issuer == actor.issuer
	block.subject == actor.id
}

_caller_blocked if {
	some block in _blocks
	block.what == "agent"
	block.agent == input.agent.id
}

# An API key by its id: whoever speaks with it, also in a user's name. The subject's other keys go on.
_caller_blocked if {
	some block in _blocks
	block.what == "key"
	input.subject.credential == sprintf("key:%v", [block.key])
}

_resource_blocked(resource) if {
	some block in _blocks
	block.what == "backend"
	block.backend == resource.backend
}

# `name` is the name of a tool or prompt, the URI of a resource, the template of a resource template.
_resource_blocked(resource) if {
	some block in _blocks
	block.what == "item"
	block.backend == resource.backend
	block.type == resource.type
	some key in ["name", "uri", "template"]
	block.name == resource[key]
}

# A resource is out of reach as well when the template that it matches is blocked.
_resource_blocked(resource) if {
	some block in _blocks
	block.what == "item"
	block.type == "resource_template"
	block.backend == resource.backend
	block.name == resource.template
}

_running(waiver) if {
	is_number(waiver.until_ns)
	waiver.until_ns > input.context.time_ns
}

# A block without a readable end does not end.
_over(block) if {
	is_number(block.until_ns)
	block.until_ns <= input.context.time_ns
}

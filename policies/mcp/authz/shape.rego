# METADATA
# title: Whether the input is a question at all
# description: |
#   The gateway builds it, so this holds unless the two disagree about the contract; then nothing is decided. Fields that
#   a rule may compare are typed by schemas/input.json; here stands what a wrong answer could come from.
package mcp.authz.shape

# METADATA
# title: A question of contract version 1
sound if {
	input.version == 1
	is_object(input.subject)
	is_array(input.subject.groups)
	is_number(input.context.time_ns)
	is_array(input.resources)
	_resources_sound
	_phase_sound
}

# Counted rather than held against `every`: half the price on a list of a thousand.
_resources_sound if count([1 | some resource in input.resources; _resource_sound(resource)]) == count(input.resources)

_resource_sound(resource) if {
	is_string(resource.type)
	is_string(object.get(resource, "backend", ""))
}

_phase_sound if {
	input.action.phase == "list"
	not _has_arguments
	not _has_result
}

_phase_sound if {
	input.action.phase == "request"
	count(input.resources) == 1
	is_object(input.arguments)
	not _has_result
}

_phase_sound if {
	input.action.phase == "result"
	count(input.resources) == 1
	is_object(input.arguments)
	_has_result
}

_has_arguments if _ = input.arguments

_has_result if _ = input.result

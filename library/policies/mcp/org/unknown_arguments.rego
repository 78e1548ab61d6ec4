# METADATA
# title: Only arguments that the schema knows are passed on
# description: |
#   Rules compare arguments that were reviewed. One that the schema does not know was reviewed by nobody, and some programs
#   do something with it: `__proto__`, an option of the library below, a second spelling of a name that a rule looks at.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.unknown_arguments

import data.mcp.lib.finding

# METADATA
# title: there are arguments that are not in the schema, or do not fit it; call with those that it names
# custom:
#   code: unknown_argument
deny contains finding.refusal(rego.metadata.rule()) if not _as_the_schema_says

# Nothing that was said can be unknown.
_as_the_schema_says if count(input.arguments) == 0

_as_the_schema_says if {
	input.arguments_valid
	is_array(input.unknown_arguments)
	count({pointer | some pointer in input.unknown_arguments} - _tolerated) == 0
}

_tolerated contains pointer if {
	resource := input.resources[0]
	some pointer in data.mcp.facts.settings.unknown_arguments.tolerated[resource.backend][resource.name]
}

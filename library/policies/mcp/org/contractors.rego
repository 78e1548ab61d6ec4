# METADATA
# title: Contractors see what was meant for them
# description: |
#   Of what others' rules grant, contractors see what is listed for them and has no label that is kept from them. It only
#   takes away: what is listed here and granted nowhere does not exist for them either.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.contractors

import data.mcp.lib.item
import data.mcp.lib.subject

hide contains position if {
	_contractor
	some position, resource in input.resources
	not _shown(resource)
}

_contractor if subject.in_any(_settings.groups)

_contractor if input.subject.issuer in _settings.issuers

# Who acts in somebody's name brings its own restrictions along.
_contractor if {
	some actor in input.subject.actors
	actor.issuer in _settings.issuers
}

# Without settings nobody knows who is one: everybody, the canary included, so that such a set is refused when it is loaded.
_contractor if not _settings.groups

_shown(resource) if {
	item.among(resource, _settings.shown[resource.backend])
	count(item.labels(resource) & _hidden_labels) == 0
}

_hidden_labels := {label | some label in _settings.hidden_labels}

_settings := data.mcp.facts.settings.contractors

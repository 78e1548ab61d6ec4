# METADATA
# title: Messages go to people of the organisation
# description: |
#   Every recipient counts, by the address that mail servers deliver to and never by the name that is shown. A display name
#   that looks like another address is refused as well, since somebody is meant to be misled by it.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.recipients_inside

import data.mcp.lib.extracted
import data.mcp.lib.finding

# METADATA
# title: '{argument} names somebody outside the organisation; name its people by their plain addresses'
# custom:
#   code: recipient_outside
deny contains finding.detailed(rego.metadata.rule(), {"argument": entry.argument}) if {
	some entry in extracted.addresses
	not _ours(entry)
}

# METADATA
# title: '{argument} is not a room of the organisation that is known; name one of those'
# custom:
#   code: room_unknown
deny contains finding.detailed(rego.metadata.rule(), {"argument": argument}) if {
	input.resources[0].type == "tool"
	some argument, known in _channels
	not _known(argument, known)
}

_ours(entry) if {
	entry.misleading == false
	entry.domain in data.mcp.facts.settings.recipients_inside.domains
}

_ours(entry) if {
	entry.misleading == false
	entry.address in data.mcp.facts.settings.recipients_inside.addresses
}

_known(argument, known) if input.arguments[argument] in known

default _channels := {}

_channels := data.mcp.facts.settings.recipients_inside.channels[input.resources[0].backend][input.resources[0].name]

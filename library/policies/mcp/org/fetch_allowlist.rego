# METADATA
# title: Fetching and browsing reach known hosts only
# description: |
#   By name, never by address: what is not in the settings is refused, so machines of our own and the cloud's metadata need
#   no list. A name and password in a URL is refused too, since it makes one host look like another.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.fetch_allowlist

import data.mcp.lib.extracted
import data.mcp.lib.finding

# METADATA
# title: '{argument} leads to a place that is not allowed; ask for the host to be added, and write its plain https URL'
# custom:
#   code: place_not_allowed
deny contains finding.detailed(rego.metadata.rule(), {"argument": entry.argument}) if {
	some entry in extracted.urls
	not _allowed(entry)
}

_allowed(entry) if {
	entry.scheme in _schemes
	entry.user_info == false
	entry.host_kind == "name"
	entry.port in _ports
	_known(entry.host)
}

_known(host) if host in data.mcp.facts.settings.fetch_allowlist.hosts

_known(host) if host in data.mcp.facts.settings.fetch_allowlist.domains

_known(host) if {
	some domain in data.mcp.facts.settings.fetch_allowlist.domains
	endswith(host, concat("", [".", domain]))
}

default _ports := [443]

_ports := data.mcp.facts.settings.fetch_allowlist.ports

default _schemes := ["https"]

_schemes := data.mcp.facts.settings.fetch_allowlist.schemes

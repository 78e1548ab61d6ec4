# METADATA
# title: Some tools are for some hours
# description: |
#   Payments at three in the morning are made by nobody who should. A tool with several such labels needs a window of each.
#   The time is the gateway's, in the question; a caller has no say in it.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.time_windows

import data.mcp.lib.finding
import data.mcp.lib.item

# METADATA
# title: '{tool} may be called in its hours only; come back then'
# custom:
#   code: outside_hours
deny contains finding.detailed(rego.metadata.rule(), {"tool": object.get(input.resources[0], "public_name", "the tool")}) if {
	some label in _bound
	not _open(label)
}

_labels := item.labels(input.resources[0])

_bound := {label | some label in _labels; _ = _windows[label]} if _windows

# Without settings nobody knows which tools are meant: all that are not known to read.
_bound := {"unset"} if {
	input.resources[0].type == "tool"
	not _windows
	not "safe" in _labels
}

_open(label) if {
	some window in _windows[label]
	time.weekday([input.context.time_ns, window.zone]) in window.days
	now := _clock(window.zone)
	now >= window.from
	now < window.until
}

_clock(zone) := sprintf("%02d:%02d", array.slice(time.clock([input.context.time_ns, zone]), 0, 2))

_windows := data.mcp.facts.settings.time_windows.labels

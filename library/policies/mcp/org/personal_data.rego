# METADATA
# title: Personal numbers and addresses stay inside
# description: |
#   In results they are replaced by the gateway, in every form that a result can have. Arguments that hold them are refused:
#   cutting them silently would make another call than the one that was meant. A number counts with its checksum only.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.personal_data

import data.mcp.lib.finding
import data.mcp.lib.personal
import data.mcp.lib.texts

# --- results ----------------------------------------------------------------------------------------------------------

# METADATA
# title: Payment cards are replaced
# custom:
#   code: payment_card
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": _card,
	"check": "luhn",
	"action": "replace",
	"value": "[card number removed]",
}) if {
	"card" in _redacted
}

# METADATA
# title: Bank accounts are replaced
# custom:
#   code: bank_account
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": _account,
	"check": "iban",
	"action": "replace",
	"value": "[account number removed]",
}) if {
	"iban" in _redacted
}

# METADATA
# title: Social security numbers of the United States are replaced
# description: They have no checksum, so only what is written like one counts, less what was never given out.
# custom:
#   code: social_security
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": personal.social_security,
	"action": "replace",
	"value": "[social security number removed]",
}) if {
	"ssn" in _redacted
}

# METADATA
# title: Numbers of the NHS are replaced
# custom:
#   code: nhs_number
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `[^\P{Nd}012358]\p{Nd}{2}[\p{Zs}\p{Pd}\p{Cf}\p{M}]{0,2}\p{Nd}{3}[\p{Zs}\p{Pd}\p{Cf}\p{M}]{0,2}\p{Nd}{4}`,
	"check": "nhs",
	"action": "replace",
	"value": "[NHS number removed]",
}) if {
	"nhs" in _redacted
}

# METADATA
# title: Numbers of taxpayers of Brazil are replaced
# custom:
#   code: cpf_number
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `(?:\p{Nd}{3}[.\p{Zs}\p{Cf}\p{M}]{0,2}){2}\p{Nd}{3}[\p{Pd}\p{Zs}\p{Cf}\p{M}]{0,2}\p{Nd}{2}`,
	"check": "cpf",
	"action": "replace",
	"value": "[taxpayer number removed]",
}) if {
	"cpf" in _redacted
}

# METADATA
# title: Addresses of people outside are replaced
# custom:
#   code: outside_address
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": personal.address,
	"check": "foreign_address",
	"ours": _ours,
	"action": "replace",
	"value": "[address removed]",
}) if {
	"address" in _redacted
}

# --- arguments --------------------------------------------------------------------------------------------------------

# METADATA
# title: 'the arguments hold {what}, which must not be passed to {tool}; leave it out'
# custom:
#   code: personal_argument
deny contains finding.detailed(rego.metadata.rule(), {"what": what, "tool": _tool}) if {
	some kind, what in _names
	kind in _refused
	kind in _present
}

# METADATA
# title: 'the arguments hold a long row of numbers that cannot be checked; write digits as 0 to 9, and commas between numbers'
# custom:
#   code: unchecked_numbers
deny contains finding.refusal(rego.metadata.rule()) if {
	count(_refused - {"address"}) > 0
	not personal.checkable(_texts)
}

_names := {
	"card": "the number of a payment card", "iban": "the number of a bank account", "ssn": "a social security number",
	"nhs": "an NHS number", "cpf": "the number of a taxpayer", "address": "the mail address of somebody outside",
}

_tool := object.get(input.resources[0], "public_name", "this tool")

_present := personal.found(_texts, _ours)

_texts := texts.within(input.arguments)

# --- what is looked for -----------------------------------------------------------------------------------------------

# What the checks read as one number: at most two blanks, dashes or characters that nobody sees between any two digits. The
# first digits are those that issuers have; of another script, any.
_card := concat("", [
	`(?:[46]|2[\p{Zs}\p{Pd}\p{Cf}\p{M}]{0,2}[2-7]|3[\p{Zs}\p{Pd}\p{Cf}\p{M}]{0,2}[04-9]`,
	`|5[\p{Zs}\p{Pd}\p{Cf}\p{M}]{0,2}[0-8]|[^\P{Nd}0-9])`,
	`(?:[\p{Zs}\p{Pd}\p{Cf}\p{M}]{0,2}\p{Nd}){11,}`,
])

_account := concat("", [
	`[A-Za-z\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}]{2}[\p{Zs}\p{Pd}\p{Cf}\p{M}]?\p{Nd}[\p{Zs}\p{Pd}\p{Cf}\p{M}]?\p{Nd}`,
	`(?:[\p{Zs}\p{Pd}\p{Cf}\p{M}]{0,2}[A-Za-z\p{Nd}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}]){11,}`,
])

# --- settings ---------------------------------------------------------------------------------------------------------

_redacted := _kinds("redacted")

_refused := _kinds("refused")

# For a tool of its own measure that; otherwise what holds for all; otherwise everything.
_kinds(what) := {kind | some kind in object.get(_for_tool, what, object.get(_settings, what, object.keys(_names)))}

default _settings := {}

_settings := data.mcp.facts.settings.personal_data

default _for_tool := {}

_for_tool := _settings.tools[input.resources[0].backend][input.resources[0].name]

_ours := [name | some name in object.get(_settings, "ours", [])]

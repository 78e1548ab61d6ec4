# METADATA
# title: Secrets are not handed around
# description: |
#   Keys and tokens that can be told by their shape. Arguments that hold one are refused. In results the shipped rule
#   `org/credentials` replaces AWS keys, GitHub tokens, private keys, bearer tokens and passwords; here is the rest.
#   Shapes alone count: with a prefix of their own, a checksum could only let a new kind pass.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.secrets

import data.mcp.lib.finding
import data.mcp.lib.texts

# METADATA
# title: Keys and tokens of further services are replaced
# custom:
#   code: secret
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": pattern,
	"action": "replace",
	"value": sprintf("[%v removed]", [what]),
}) if {
	some what, pattern in _replaced
}

# METADATA
# title: 'the arguments hold a secret by its looks ({what}), which must not be passed to {tool}; leave it out'
# custom:
#   code: secret_argument
deny contains finding.detailed(rego.metadata.rule(), {"what": what, "tool": _tool}) if {
	some what in _found
	not what in _accepted
}

_tool := object.get(input.resources[0], "public_name", "this tool")

_found contains what if {
	some what, pattern in _refused
	some text in _texts
	regex.match(pattern, text)
}

# Without characters that nobody sees: programs drop them.
_texts contains regex.replace(text, `\p{Cf}`, "") if some text in texts.within(input.arguments)

_refused := object.union(_replaced, {
	"AWS access key": `(?:\b|_)(?:AKIA|ASIA)[A-Z0-9]{16}(?:\b|_)`,
	"GitHub token": `(?:\b|_)(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})`,
	"private key": `-----BEGIN(?:[\s+]|%20|%09)+(?:[A-Z0-9]+(?:[\s+]|%20|%09)+)*PRIVATE(?:[\s+]|%20|%09)+KEY`,
})

_replaced := {
	"GitLab token": `(?:\b|_)gl(?:pat|dt|ptt|rt|cbt|oas|soat|ft|imt|agent)-[A-Za-z0-9_.=-]{20,}`,
	"Slack token": `(?:\b|_)(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,})`,
	"Slack address": `hooks\.slack\.com/(?:services|workflows)/[A-Z0-9]+/[A-Z0-9]+/[A-Za-z0-9/]{16,}`,
	"model key": `(?:\b|_)sk-(?:(?:ant|proj|svcacct|admin|or-v1)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{32,})`,
	"Stripe key": `(?:\b|_)(?:[rs]k_live_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,})`,
	"Google key": `(?:\b|_)(?:AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28})`,
	"npm token": `(?:\b|_)npm_[A-Za-z0-9]{36}(?:\b|_)`,
	"PyPI token": `(?:\b|_)pypi-AgE[A-Za-z0-9_-]{50,}`,
	"SendGrid key": `(?:\b|_)SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}`,
	"Vault token": `(?:\b|_)hv[sbr]\.[A-Za-z0-9_-]{24,}`,
	"JSON web token": _web_token,
	"secret key of age or PuTTY": `AGE-SECRET-KEY-1[0-9A-Z]{58}|PuTTY-User-Key-File-\d: `,
	"password in a URL": `(?:\b|_)[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@?#]*:[^\s/@?#]{4,}@`,
}

# Signed ones have three parts, encrypted ones five, of which the second may be empty.
_web_token := concat("", [
	`(?:\b|_)eyJ[A-Za-z0-9_-]{10,}\.(?:eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`,
	`|[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{10,})`,
])

_accepted contains what if {
	resource := input.resources[0]
	some what in data.mcp.facts.settings.secrets.accepted[resource.backend][resource.name]
}

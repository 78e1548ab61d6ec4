# METADATA
# title: Credentials do not leave in results
# description: |
#   One duty a kind, so that the record tells which kind was found. The patterns are RE2 and are applied by the gateway to
#   every form of a result: text, structured content, embedded resources, errors, progress and log messages.
# schemas:
#   - input: schema.input
package mcp.org.credentials

import data.mcp.lib.finding

# METADATA
# title: AWS access keys are replaced
# custom:
#   code: aws_access_key
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `\b(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{12,}\b`,
	"action": "replace",
	"value": "[AWS access key removed]",
})

# METADATA
# title: GitHub tokens are replaced
# custom:
#   code: github_token
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})\b`,
	"action": "replace",
	"value": "[GitHub token removed]",
})

# METADATA
# title: Private keys are replaced, even where their end is cut off
# custom:
#   code: private_key
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`,
	"action": "replace",
	"value": "[private key removed]",
})

# METADATA
# title: Bearer tokens are replaced
# custom:
#   code: bearer_token
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{16,}`,
	"action": "replace",
	"value": "[bearer token removed]",
})

# METADATA
# title: Values that call themselves a password or secret are replaced
# custom:
#   code: password
oblige contains finding.duty(rego.metadata.rule(), "redact", {
	"target": "result",
	"pattern": `(?i)\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)\s*[=:]\s*[^\s"',;]{4,}`,
	"action": "replace",
	"value": "[secret removed]",
})

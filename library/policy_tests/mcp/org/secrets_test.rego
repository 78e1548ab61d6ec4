package mcp.org.secrets_test

import data.mcp.asking_test as asking
import data.mcp.org.secrets

_facts := {"settings": {"secrets": {"accepted": {"crm": {"rotate": ["Vault token"]}}}}}

_refusal(what, tool) := {
	"code": "secret_argument",
	"message": "the arguments hold a secret by its looks ({what}), which must not be passed to {tool}; leave it out",
	"details": {"what": what, "tool": concat("__", ["crm", tool])},
}

_asked(tool, said) := asking.call([], "crm", tool, {"note": said})

_letters(length) := substring("Ab0Cd1Ef2Gh3Ij4Kl5Mn6Op7Qr8St9Uv0Wx1Yz2Ab3Cd4Ef5Gh6Ij7Kl8Mn9", 0, length)

_shown := {
	"GitLab token": concat("", ["glpat-", _letters(20)]),
	"Slack token": concat("", ["xoxb-", _letters(24)]),
	"Slack address": concat("", ["https://hooks.slack.com/services/T0/B0/", _letters(24)]),
	"model key": concat("", ["sk-", "ant-", _letters(24)]),
	"Stripe key": concat("", ["sk", "_live_", _letters(24)]),
	"Google key": concat("", ["AIza", _letters(35)]),
	"npm token": concat("", ["npm_", _letters(36)]),
	"PyPI token": concat("", ["pypi-AgE", _letters(52)]),
	"SendGrid key": concat("", ["SG.", _letters(22), ".", _letters(43)]),
	"Vault token": concat("", ["hvs.", _letters(24)]),
	"JSON web token": concat(".", ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0In0", _letters(24)]),
	"secret key of age or PuTTY": "PuTTY-User-Key-File-3: ssh-ed25519",
	"password in a URL": "postgres://app:hunter22@db.example.com/crm",
	"AWS access key": concat("", ["AKIA", "EXAMPLE0", "EXAMPLE1"]),
	"GitHub token": concat("", ["ghp_", _letters(36)]),
	"private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
}

test_arguments_with_a_secret_are_refused[what] if {
	some what, shown in _shown
	asked := _asked("note", sprintf("it is %s.", [shown]))
	secrets.deny == {_refusal(what, "note")} with input as asked with data.mcp.facts as _facts
}

test_a_secret_is_found_behind_what_nobody_sees if {
	asked := _asked("note", concat("\u200b", ["npm_", _letters(36)]))
	secrets.deny == {_refusal("npm token", "note")} with input as asked with data.mcp.facts as _facts
}

test_other_arguments_are_passed_on[name] if {
	some name, said in {
		"a text": "hello", "a number": 7, "an identifier": "xAKIAEXAMPLE0EXAMPLE1", "a class": "sk-loading-indicator-wrapper",
		"a URL": "https://example.com:8443/a@b", "a public key": "-----BEGIN PUBLIC KEY-----",
	}
	secrets.deny == set() with input as _asked("note", said) with data.mcp.facts as _facts
}

test_a_tool_may_be_made_to_take_one_kind if {
	secrets.deny == set() with input as _asked("rotate", _shown["Vault token"]) with data.mcp.facts as _facts
	other := _asked("rotate", _shown["npm token"])
	secrets.deny == {_refusal("npm token", "rotate")} with input as other with data.mcp.facts as _facts
}

test_without_settings_no_tool_is if {
	refused := {_refusal("Vault token", "rotate")}
	secrets.deny == refused with input as _asked("rotate", _shown["Vault token"]) with data.mcp.facts as {}
}

test_results_lose_what_the_shipped_rule_does_not_take if {
	duties := secrets.oblige with input as _asked("note", "") with data.mcp.facts as {}
	{duty.properties.value | some duty in duties} == {sprintf("[%v removed]", [what]) |
		some what in (object.keys(_shown) - {"AWS access key", "GitHub token", "private key"})
	}
	every duty in duties {
		duty.type == "redact"
		duty.properties.target == "result"
		duty.properties.action == "replace"
	}
}

package mcp.servers.deploy.private_keys_test

import data.mcp.asking_test as asking
import data.mcp.servers.deploy.private_keys

_asked(tool, result) := asking.answered(asking.call(["engineers"], "deploy", tool, {"service": "web"}), result)

_text(said) := {"content": [{"type": "text", "text": said}]}

test_a_log_with_a_private_key_is_withheld[name] if {
	some name, result in {
		"in text": _text("-----BEGIN PRIVATE KEY-----\nx"),
		"with its kind": _text("-----BEGIN EC PRIVATE KEY-----\nx"),
		"as data": {"content": [], "structuredContent": {"result": ["-----END PRIVATE KEY-----"]}},
	}
	private_keys.withhold == {{
		"code": "private_key_in_log",
		"message": "the log of {service} holds a private key; report it to the security team",
		"details": {"service": "web"},
	}} with input as _asked("service_log", result)
}

test_other_logs_and_other_tools_are_handed_over if {
	private_keys.withhold == set() with input as _asked("service_log", _text("ready, with a private key"))
	private_keys.withhold == set() with input as _asked("services", _text("-----BEGIN PRIVATE KEY-----"))
}

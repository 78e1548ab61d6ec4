package mcp.org.time_windows_test

import data.mcp.asking_test as asking
import data.mcp.org.time_windows

_facts(labels) := {
	"settings": {"time_windows": {"labels": {
		"payments": [
			{"zone": "Europe/Berlin", "days": ["Monday"], "from": "08:00", "until": "18:00"},
			{"zone": "UTC", "days": ["Saturday"], "from": "10:00", "until": "12:00"},
		],
		"orders": [{"zone": "UTC", "days": ["Monday"], "from": "00:00", "until": "09:00"}],
	}}},
	"items": {"crm": {"tool": {"a": {"labels": labels}}}},
}

_asked(said) := object.union(
	asking.call([], "crm", "a", {}),
	{"context": object.union(asking.context, {"time_ns": time.parse_rfc3339_ns(said)})},
)

_refusal := {
	"code": "outside_hours",
	"message": "{tool} may be called in its hours only; come back then",
	"details": {"tool": "crm__a"},
}

test_outside_its_hours_a_tool_is_refused[name] if {
	some name, tc in {
		"before": {"at": "2026-03-02T07:59:59+01:00", "labels": ["payments"]},
		"after": {"at": "2026-03-02T18:00:00+01:00", "labels": ["payments"]},
		"another day": {"at": "2026-03-03T12:00:00+01:00", "labels": ["payments"]},
		"hours of another zone": {"at": "2026-03-02T17:30:00Z", "labels": ["payments"]},
		"one window of two": {"at": "2026-03-02T12:00:00Z", "labels": ["payments", "orders"]},
	}
	time_windows.deny == {_refusal} with input as _asked(tc.at) with data.mcp.facts as _facts(tc.labels)
}

test_in_its_hours_it_is_not[name] if {
	some name, tc in {
		"at their begin": {"at": "2026-03-02T08:00:00+01:00", "labels": ["payments"]},
		"at their end": {"at": "2026-03-02T17:59:59+01:00", "labels": ["payments"]},
		"in another window": {"at": "2026-03-07T11:00:00Z", "labels": ["payments"]},
		"in both windows": {"at": "2026-03-02T08:30:00Z", "labels": ["payments", "orders"]},
		"a tool that is not bound": {"at": "2026-03-03T03:00:00Z", "labels": ["writes"]},
	}
	time_windows.deny == set() with input as _asked(tc.at) with data.mcp.facts as _facts(tc.labels)
}

_unset(labels) := {"items": {"crm": {"tool": {"a": {"labels": labels}}}}}

test_without_settings_only_reading_is_at_all_hours if {
	time_windows.deny == {_refusal} with input as _asked("2026-03-02T12:00:00Z") with data.mcp.facts as _unset(["writes"])
	time_windows.deny == set() with input as _asked("2026-03-02T12:00:00Z") with data.mcp.facts as _unset(["safe"])
	prompt := object.union(_asked("2026-03-02T12:00:00Z"), {"resources": [asking.item("crm", "prompt", "a")]})
	time_windows.deny == set() with input as prompt with data.mcp.facts as {}
}

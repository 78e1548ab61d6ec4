package mcp.org.rates_per_class_test

import data.mcp.asking_test as asking
import data.mcp.org.rates_per_class

_classes := {"safe": {"limit": 100, "period_s": 60}, "personal": {"limit": 7, "period_s": 3600}}

_facts(classes, labels) := {
	"settings": {"rates_per_class": {"classes": classes}},
	"items": {"crm": {"tool": {"a": {"labels": labels}}}},
}

_asked := asking.call([], "crm", "a", {})

_duty(class, limit, period_s) := {
	"type": "rate_limit",
	"code": "class_rate",
	"properties": {
		"key": sprintf("class %s of https://id.example.com alice@example.com", [class]),
		"limit": limit,
		"period_s": period_s,
	},
}

test_a_call_is_charged_to_each_of_its_classes[name] if {
	some name, tc in {
		"one": {"labels": ["safe"], "said": {_duty("safe", 100, 60)}},
		"two": {"labels": ["safe", "personal"], "said": {_duty("safe", 100, 60), _duty("personal", 7, 3600)}},
		"one of two": {"labels": ["safe", "quick"], "said": {_duty("safe", 100, 60)}},
		"none that is known": {"labels": ["quick"], "said": {_duty("unlabelled", 10, 60)}},
		"none": {"labels": [], "said": {_duty("unlabelled", 10, 60)}},
	}
	rates_per_class.oblige == tc.said with input as _asked with data.mcp.facts as _facts(_classes, tc.labels)
}

test_unlabelled_tools_have_the_rate_of_the_settings if {
	facts := _facts({"unlabelled": {"limit": 2, "period_s": 1}}, [])
	rates_per_class.oblige == {_duty("unlabelled", 2, 1)} with input as _asked with data.mcp.facts as facts
}

test_without_settings_every_call_is_charged if {
	rates_per_class.oblige == {_duty("unlabelled", 10, 60)} with input as _asked with data.mcp.facts as {}
}

test_only_calls_are_charged if {
	prompt := object.union(_asked, {"resources": [asking.item("crm", "prompt", "a")]})
	rates_per_class.oblige == set() with input as prompt with data.mcp.facts as {}
	answered := asking.answered(_asked, {"content": []})
	rates_per_class.oblige == set() with input as answered with data.mcp.facts as {}
}

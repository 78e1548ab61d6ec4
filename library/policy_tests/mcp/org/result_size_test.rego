package mcp.org.result_size_test

import data.mcp.asking_test as asking
import data.mcp.org.result_size

_facts := {"settings": {"result_size": {
	"max_chars": 200, "max_items": 3,
	"tools": {"crm": {"small": {"max_chars": 60, "max_items": 1}}},
}}}

_answered(tool, result) := asking.answered(asking.call([], "crm", tool, {}), result)

_text(text) := {"content": [{"type": "text", "text": text}]}

_embedded(text) := {"content": [{"resource": {"text": text}}]}

_too_long(limit) := {
	"code": "result_too_long",
	"message": "the result is larger than {limit} characters; ask for less, or in parts",
	"details": {"limit": limit},
}

_too_many(limit) := {
	"code": "result_too_many",
	"message": "the result lists more than {limit} entries; ask for less, or in parts",
	"details": {"limit": limit},
}

_long := concat("", [letter | some _ in numbers.range(1, 300); letter := "a"])

test_results_that_are_too_large_are_withheld[name] if {
	some name, tc in {
		"a long text": {"tool": "a", "result": _text(_long), "said": {_too_long(200)}},
		"a long list": {"tool": "a", "result": {"structuredContent": {"rows": [1, 2, 3, 4]}}, "said": {_too_many(3)}},
		"a long list as a text": {"tool": "a", "result": _text("[1, 2, 3, 4]"), "said": {_too_many(3)}},
		"a table as a text": {"tool": "a", "result": _text("a,b\n1,2\n3,4\n5,6"), "said": {_too_many(3)}},
		"for a tool of its own measure": {
			"tool": "small", "result": {"structuredContent": {"rows": [1, 2], "more": "0123456789012345678901234567890123456789"}},
			"said": {_too_long(60)},
		},
		"more entries than that tool may list": {
			"tool": "small", "result": {"structuredContent": {"rows": [1, 2]}},
			"said": {_too_many(1)},
		},
		"an object": {"tool": "a", "result": {"structuredContent": {"a": 1, "b": 2, "c": 3, "d": 4}}, "said": {_too_many(3)}},
		"an embedded resource": {"tool": "a", "result": _embedded("[1, 2, 3, 4]"), "said": {_too_many(3)}},
		"a resource": {"tool": "a", "result": {"contents": [{"text": "[1, 2, 3, 4]"}]}, "said": {_too_many(3)}},
		"a byte-order mark": {"tool": "a", "result": _text("\ufeff[1, 2, 3, 4]"), "said": {_too_many(3)}},
		"a fence": {"tool": "a", "result": _text("```json\n{\"a\": [1, 2, 3, 4]}\n```"), "said": {_too_many(3)}},
		"words before and after it": {"tool": "a", "result": _text("Found: [1, 2, 3, 4] {1}"), "said": {_too_many(3)}},
		"JSON in JSON": {"tool": "a", "result": _text(`"[1, 2, 3, 4]"`), "said": {_too_many(3)}},
		"JSON in JSON in JSON": {"tool": "a", "result": _text(`{"a": "{\"b\": \"[1, 2, 3, 4]\"}"}`), "said": {_too_many(3)}},
		"a table in JSON": {"tool": "a", "result": _text(`{"a": "a;b\n1;2\n3;4\n5;6"}`), "said": {_too_many(3)}},
		"a table in JSON in JSON": {
			"tool": "a", "result": _text(`{"a": "{\"b\": \"a;b\\n1;2\\n3;4\\n5;6\"}"}`),
			"said": {_too_many(3)},
		},
		"a list of dashes": {"tool": "a", "result": _text("- a\r- b\r- c\r- d"), "said": {_too_many(3)}},
		"a numbered list": {"tool": "a", "result": _text("1. a\n2. b\n3) c\n4) d"), "said": {_too_many(3)}},
	}
	result_size.withhold == tc.said with input as _answered(tc.tool, tc.result) with data.mcp.facts as _facts
}

test_small_results_are_handed_over[name] if {
	some name, result in {
		"a text": _text("hello\nthere\nhow\nare\nyou"),
		"a short list": {"structuredContent": {"rows": [1, 2, 3]}},
		"a short list as a text": _text("[1, 2, 3]"),
		"content without text": {"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]},
		"a text that is none": {"content": [{"type": "text", "text": 7}]},
	}
	result_size.withhold == set() with input as _answered("a", result) with data.mcp.facts as _facts
}

test_exactly_as_long_as_it_may_be_is_fine if {
	result := _text("a")
	facts := {"settings": {"result_size": {"max_chars": count(json.marshal(result))}}}
	result_size.withhold == set() with input as _answered("a", result) with data.mcp.facts as facts
}

test_without_settings_the_rule_has_measures_of_its_own if {
	many := {"structuredContent": {"rows": numbers.range(1, 101)}}
	result_size.withhold == {_too_many(100)} with input as _answered("a", many) with data.mcp.facts as {}
	result_size.withhold == set() with input as _answered("a", _text("a")) with data.mcp.facts as {}
}

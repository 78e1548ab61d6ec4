package mcp.org.unknown_arguments_test

import data.mcp.asking_test as asking
import data.mcp.org.unknown_arguments

_facts := {"settings": {"unknown_arguments": {"tolerated": {"office": {"edit": ["/note"]}}}}}

_asked(tool, told) := object.union(asking.call([], "office", tool, {"id": 1}), told)

_refusal := {
	"code": "unknown_argument",
	"message": "there are arguments that are not in the schema, or do not fit it; call with those that it names",
}

test_what_the_schema_does_not_know_is_refused[name] if {
	some name, tc in {
		"one unknown": {"tool": "edit", "told": {"unknown_arguments": ["/force"]}},
		"one tolerated, one unknown": {"tool": "edit", "told": {"unknown_arguments": ["/note", "/force"]}},
		"tolerated for another tool": {"tool": "lookup", "told": {"unknown_arguments": ["/note"]}},
		"not valid": {"tool": "edit", "told": {"unknown_arguments": [], "arguments_valid": false}},
		"untold": {"tool": "edit", "told": {}},
	}
	unknown_arguments.deny == {_refusal} with input as _asked(tc.tool, tc.told) with data.mcp.facts as _facts
}

test_what_it_knows_is_passed_on[name] if {
	some name, told in {"known": {"unknown_arguments": []}, "tolerated": {"unknown_arguments": ["/note"]}}
	unknown_arguments.deny == set() with input as _asked("edit", told) with data.mcp.facts as _facts
}

test_no_arguments_hold_nothing_unknown if {
	asked := object.union(asking.call([], "office", "edit", {}), {"arguments_valid": false})
	unknown_arguments.deny == set() with input as asked with data.mcp.facts as _facts
}

test_without_settings_nothing_is_tolerated if {
	unknown_arguments.deny == {_refusal} with input as _asked("edit", {"unknown_arguments": ["/note"]}) with data.mcp.facts as {}
}

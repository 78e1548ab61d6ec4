package mcp.org.destructive_test

import data.mcp.asking_test as asking
import data.mcp.org.destructive

_facts(labels) := {"groups": {"destructive": ["operators"]}, "items": {"crm": {"tool": {"a": {"labels": labels}}}}}

_asked(groups, annotations) := object.union(
	asking.call(groups, "crm", "a", {}),
	{"resources": [object.union(asking.item("crm", "tool", "a"), {"annotations": annotations})]},
)

test_only_a_label_makes_a_tool_harmless[name] if {
	some name, tc in {
		"safe": {"labels": ["safe"], "annotations": {}, "refused": false},
		"safe, whatever it claims": {"labels": ["safe"], "annotations": {"destructiveHint": true}, "refused": false},
		"writes": {"labels": ["writes"], "annotations": {"destructiveHint": false}, "refused": false},
		"writes, and claims nothing": {"labels": ["writes"], "annotations": {}, "refused": false},
		"writes, and claims to destroy": {"labels": ["writes"], "annotations": {"destructiveHint": true}, "refused": true},
		"destructive": {"labels": ["destructive"], "annotations": {}, "refused": true},
		"destructive, and claims to read": {
			"labels": ["destructive"], "annotations": {"readOnlyHint": true, "destructiveHint": false},
			"refused": true,
		},
		"both": {"labels": ["safe", "writes", "destructive"], "annotations": {}, "refused": true},
		"unlabelled": {"labels": [], "annotations": {}, "refused": true},
		"unlabelled, and claims to read": {"labels": [], "annotations": {"readOnlyHint": true}, "refused": true},
		"labelled otherwise": {"labels": ["personal"], "annotations": {}, "refused": true},
	}
	refusals := destructive.deny with input as _asked([], tc.annotations) with data.mcp.facts as _facts(tc.labels)
	refusals == {refusal |
		tc.refused
		refusal := {
			"code": "destructive_tool",
			"message": "{tool} may destroy data or is unlabelled, and you are in none of the groups that may call such tools",
			"details": {"tool": "crm__a"},
		}
	}
}

test_operators_may_destroy if {
	destructive.deny == set() with input as _asked(["operators"], {}) with data.mcp.facts as _facts(["destructive"])
}

test_without_facts_nobody_may_destroy if {
	count(destructive.deny) == 1 with input as _asked(["operators"], {}) with data.mcp.facts as {}
}

test_only_tools_are_meant if {
	asked := object.union(_asked([], {}), {"resources": [asking.item("crm", "prompt", "a")]})
	destructive.deny == set() with input as asked with data.mcp.facts as _facts([])
}

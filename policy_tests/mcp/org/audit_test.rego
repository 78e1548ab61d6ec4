package mcp.org.audit_test

import data.mcp.asking_test as asking
import data.mcp.org.audit

_facts := {"items": {"crm": {"tool": {"safe": {"labels": ["safe"]}, "writes": {"labels": ["writes"]}}}}}

test_what_may_change_something_is_recorded_with_arguments[name] if {
	some name, tc in {
		"a safe tool": {"input": asking.call([], "crm", "safe", {}), "levels": {"metadata"}},
		"a tool that writes": {"input": asking.call([], "crm", "writes", {}), "levels": {"metadata", "arguments"}},
		"an unlabelled tool": {"input": asking.call([], "crm", "other", {}), "levels": {"metadata", "arguments"}},
		"an unlabelled prompt": {
			"input": object.union(asking.call([], "crm", "other", {}), {"resources": [asking.item("crm", "prompt", "other")]}),
			"levels": {"metadata"},
		},
		"a list": {"input": asking.listing([], [asking.item("crm", "tool", "writes")]), "levels": {"metadata"}},
	}
	duties := audit.oblige with input as tc.input with data.mcp.facts as _facts
	{duty.properties.level | some duty in duties} == tc.levels
	{duty.type | some duty in duties} == {"audit"}
}

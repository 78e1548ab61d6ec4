package mcp.org.read_only_unless_granted_test

import data.mcp.asking_test as asking
import data.mcp.org.read_only_unless_granted as rule

_facts(labels) := {
	"settings": {"read_only_unless_granted": {"writers": {"crm": ["editors"], "deploy": ["operators"]}}},
	"items": {"crm": {"tool": {"a": {"labels": labels}}}},
}

_refusal := {
	"code": "writing_not_granted",
	"message": "{tool} may change something, and you may only read there; ask for one of the groups that may write",
	"details": {"tool": "crm__a"},
}

test_who_may_not_write_only_reads[name] if {
	some name, tc in {
		"a writing tool": {"groups": [], "labels": ["writes"]},
		"a destroying tool": {"groups": [], "labels": ["destructive"]},
		"an unlabelled tool": {"groups": [], "labels": []},
		"labelled both ways": {"groups": [], "labels": ["safe", "writes"]},
		"labelled as safe and destructive": {"groups": [], "labels": ["safe", "destructive"]},
		"a writer of another backend": {"groups": ["operators"], "labels": ["writes"]},
	}
	rule.deny == {_refusal} with input as asking.call(tc.groups, "crm", "a", {}) with data.mcp.facts as _facts(tc.labels)
}

test_reading_is_for_everybody_and_writing_for_writers[name] if {
	some name, tc in {
		"reading": {"groups": [], "labels": ["safe"]},
		"reading about persons": {"groups": [], "labels": ["safe", "personal"]},
		"a writer": {"groups": ["editors"], "labels": ["writes"]},
	}
	rule.deny == set() with input as asking.call(tc.groups, "crm", "a", {}) with data.mcp.facts as _facts(tc.labels)
}

test_without_settings_nobody_writes if {
	rule.deny == {_refusal} with input as asking.call(["editors"], "crm", "a", {}) with data.mcp.facts as {}
}

test_only_tools_are_meant if {
	asked := object.union(asking.call([], "crm", "a", {}), {"resources": [asking.item("crm", "prompt", "a")]})
	rule.deny == set() with input as asked with data.mcp.facts as _facts([])
}

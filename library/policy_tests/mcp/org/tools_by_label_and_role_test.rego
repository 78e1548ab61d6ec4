package mcp.org.tools_by_label_and_role_test

import data.mcp.asking_test as asking
import data.mcp.org.tools_by_label_and_role as rule

_facts(visible) := {
	"settings": {"tools_by_label_and_role": {
		"everybody": ["public"],
		"groups": {"finance": ["safe", "ledger"], "support": ["safe", "personal"]},
		"visible": visible,
	}},
	"items": {"crm": {"tool": {
		"help": {"labels": ["public"]},
		"look": {"labels": ["safe"]},
		"book": {"labels": ["safe", "ledger"]},
		"person": {"labels": ["safe", "personal"]},
		"payer": {"labels": ["ledger", "personal"]},
		"unlabelled": {"labels": []},
	}}},
}

_tools := ["help", "look", "book", "person", "payer", "unlabelled", "unknown"]

_listed(groups) := asking.listing(groups, [asking.item("crm", "tool", name) | some name in _tools])

test_a_group_sees_tools_all_of_whose_labels_it_holds[name] if {
	some name, tc in {
		"no group": {"groups": [], "hidden": {1, 2, 3, 4, 5, 6}},
		"a group that the table lacks": {"groups": ["devs"], "hidden": {1, 2, 3, 4, 5, 6}},
		"one group": {"groups": ["finance"], "hidden": {3, 4, 5, 6}},
		"another": {"groups": ["support"], "hidden": {2, 4, 5, 6}},
		"two groups together": {"groups": ["finance", "support"], "hidden": {5, 6}},
	}
	rule.hide == tc.hidden with input as _listed(tc.groups) with data.mcp.facts as _facts(false)
}

_refusal := {
	"code": "not_for_this_role",
	"message": "{tool} is for other groups; ask for one that may use tools of its kind",
	"details": {"tool": "crm__book"},
}

test_what_is_not_hidden_is_refused_and_says_why if {
	asked := asking.call(["support"], "crm", "book", {})
	rule.deny == {_refusal} with input as asked with data.mcp.facts as _facts(true)
	rule.hide == set() with input as asked with data.mcp.facts as _facts(true)
	rule.deny == set() with input as asked with data.mcp.facts as _facts(false)
	rule.hide == {0} with input as asked with data.mcp.facts as _facts(false)
}

test_who_may_is_neither_refused_nor_kept_from_seeing if {
	asked := asking.call(["finance"], "crm", "book", {})
	rule.deny == set() with input as asked with data.mcp.facts as _facts(true)
	rule.hide == set() with input as asked with data.mcp.facts as _facts(true)
}

test_only_tools_are_meant if {
	prompt := asking.item("crm", "prompt", "help")
	rule.hide == set() with input as asking.listing([], [prompt]) with data.mcp.facts as _facts(false)
	asked := object.union(asking.call([], "crm", "help", {}), {"resources": [prompt]})
	rule.deny == set() with input as asked with data.mcp.facts as _facts(true)
}

test_without_settings_there_are_no_tools_but_the_canarys if {
	asked := asking.listing(["finance"], [asking.item("crm", "tool", "look"), asking.item("canary", "tool", "allowed")])
	rule.hide == {0} with input as asked with data.mcp.facts as {}
}

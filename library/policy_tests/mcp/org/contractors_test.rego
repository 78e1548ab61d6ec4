package mcp.org.contractors_test

import data.mcp.asking_test as asking
import data.mcp.org.contractors

_facts := {
	"settings": {"contractors": {
		"groups": ["contractors"],
		"issuers": ["https://id.partner.example"],
		"shown": {"crm": {"tool": ["customer", "people"]}},
		"hidden_labels": ["personal"],
	}},
	"items": {"crm": {"tool": {"customer": {"labels": ["safe"]}, "people": {"labels": ["safe", "personal"]}}}},
}

_resources := [
	asking.item("crm", "tool", "customer"),
	asking.item("crm", "tool", "people"),
	asking.item("crm", "tool", "delete_customer"),
	asking.item("deploy", "tool", "customer"),
	asking.item("crm", "prompt", "customer"),
]

_asked(groups, told) := object.union(
	asking.listing(groups, _resources),
	{"subject": object.union(asking.subject(groups), told)},
)

test_contractors_see_what_is_listed_for_them[name] if {
	some name, tc in {
		"by group": {"groups": ["staff", "contractors"], "told": {}},
		"by issuer": {"groups": [], "told": {"issuer": "https://id.partner.example"}},
		"acting for somebody": {"groups": ["staff"], "told": {"actors": [
			{"issuer": "https://id.example.com", "id": "a"},
			{"issuer": "https://id.partner.example", "id": "b"},
		]}},
	}
	contractors.hide == {1, 2, 3, 4} with input as _asked(tc.groups, tc.told) with data.mcp.facts as _facts
}

test_others_are_not_concerned if {
	contractors.hide == set() with input as _asked(["staff"], {}) with data.mcp.facts as _facts
	alike := _asked(["contractors2"], {"actors": [{"issuer": "https://id.example.com", "id": "a"}]})
	contractors.hide == set() with input as alike with data.mcp.facts as _facts
}

test_without_settings_nothing_is_shown if {
	contractors.hide == {0, 1, 2, 3, 4} with input as _asked(["staff"], {}) with data.mcp.facts as {}
}

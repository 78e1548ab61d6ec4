package mcp.lib.item_test

import data.mcp.asking_test as asking
import data.mcp.lib.item

_facts := {"items": {"crm": {
	"tool": {"customer": {"fingerprint": asking.reviewed, "labels": ["safe"]}, "unpinned": {"labels": ["safe"]}},
	"resource": {"crm://list": {"fingerprint": asking.reviewed}},
	"resource_template": {
		"crm://c/{id}": {"fingerprint": asking.reviewed},
		"crm://d/{id}": {"labels": []},
	},
}}}

_listed_resource := object.union(asking.resource("crm", "crm://list", ""), {"fingerprint": asking.reviewed})

test_an_item_is_reviewed_while_its_definition_is_the_reviewed_one[name] if {
	some name, tc in {
		"a tool": {"resource": asking.item("crm", "tool", "customer"), "reviewed": true},
		"a changed tool": {
			"resource": object.union(asking.item("crm", "tool", "customer"), {"fingerprint": asking.changed}),
			"reviewed": false,
		},
		"a tool without a fingerprint": {
			"resource": object.remove(asking.item("crm", "tool", "customer"), ["fingerprint"]),
			"reviewed": false,
		},
		"a tool that is labelled only": {"resource": asking.item("crm", "tool", "unpinned"), "reviewed": false},
		"neither has a fingerprint": {
			"resource": object.remove(asking.item("crm", "tool", "unpinned"), ["fingerprint"]),
			"reviewed": false,
		},
		"an unknown tool": {"resource": asking.item("crm", "tool", "other"), "reviewed": false},
		"another backend's": {"resource": asking.item("deploy", "tool", "customer"), "reviewed": false},
		"a prompt of a tool's name": {"resource": asking.item("crm", "prompt", "customer"), "reviewed": false},
		"a resource": {"resource": _listed_resource, "reviewed": true},
		"a template": {"resource": asking.template("crm", "crm://c/{id}"), "reviewed": true},
		"what a reviewed template makes": {"resource": asking.resource("crm", "crm://c/1", "crm://c/{id}"), "reviewed": true},
		"what an unreviewed template makes": {
			"resource": asking.resource("crm", "crm://d/1", "crm://d/{id}"),
			"reviewed": false,
		},
		"a URI of no template": {"resource": asking.resource("crm", "crm://e", ""), "reviewed": false},
		"a changed resource of a reviewed template": {
			"resource": object.union(asking.resource("crm", "crm://c/1", "crm://c/{id}"), {"fingerprint": asking.changed}),
			"reviewed": false,
		},
		"a name of no backend": {"resource": {"type": "tool", "public_name": "x", "listed": false}, "reviewed": false},
	}
	said := {1 | item.reviewed(tc.resource) with data.mcp.facts as _facts}
	count(said) > 0 == tc.reviewed
}

test_labels_are_those_of_the_facts if {
	item.labels(asking.item("crm", "tool", "customer")) == {"safe"} with data.mcp.facts as _facts
	item.labels(asking.item("crm", "tool", "other")) == set() with data.mcp.facts as _facts
	item.labels({"type": "unheard of"}) == set() with data.mcp.facts as _facts
}

test_a_table_names_items_by_type[name] if {
	table := {"tool": {"a"}, "resource": {"crm://list"}, "resource_template": {"crm://c/{id}"}}
	some name, tc in {
		"a tool": {"resource": asking.item("crm", "tool", "a"), "among": true},
		"another tool": {"resource": asking.item("crm", "tool", "b"), "among": false},
		"a prompt": {"resource": asking.item("crm", "prompt", "a"), "among": false},
		"a resource": {"resource": _listed_resource, "among": true},
		"a template": {"resource": asking.template("crm", "crm://c/{id}"), "among": true},
		"what the template makes": {"resource": asking.resource("crm", "crm://c/1", "crm://c/{id}"), "among": true},
		"another URI": {"resource": asking.resource("crm", "crm://x", ""), "among": false},
	}
	said := {1 | item.among(tc.resource, table)}
	count(said) > 0 == tc.among
}

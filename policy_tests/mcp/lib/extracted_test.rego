package mcp.lib.extracted_test

import data.mcp.asking_test as asking
import data.mcp.lib.extracted

_facts := {"items": {"files": {
	"tool": {
		"read": {"extract": {"path": {"kind": "path", "roots": ["/srv"]}, "from": {"kind": "url"}}},
		"stat": {"labels": ["safe"]},
	},
	"prompt": {"review": {"extract": {"file": {"kind": "path", "roots": ["/srv"]}}}},
	"resource_template": {"file:///{+path}": {"extract": {"uri": {"kind": "path", "roots": ["/srv"]}}}},
}}}

_path := {"argument": "path", "at": "/path", "path": "/srv/a", "absolute": true, "inside": true, "root": "/srv"}

_unclear := {"argument": "path", "at": "/path", "unreadable": true, "why": "it is empty"}

_one := {"argument": "query", "at": "/query"}

_two := {"argument": "from", "at": "/from"}

_three := {"argument": "to", "at": "/to"}

_asked(tool, found) := object.union(asking.call([], "files", tool, {}), {"extracted": found})

test_what_was_found_is_there_by_kind if {
	found := {"paths": [_path], "sql": [_one], "urls": [_two], "addresses": [_three]}
	extracted.paths == [_path] with input as _asked("read", found)
	extracted.sql == [_one] with input as _asked("read", found)
	extracted.urls == [_two] with input as _asked("read", found)
	extracted.addresses == [_three] with input as _asked("read", found)
}

test_where_nothing_is_declared_there_is_nothing if {
	asked := asking.call([], "files", "stat", {})
	extracted.paths == [] with input as asked
	extracted.sql == [] with input as asked
	extracted.urls == [] with input as asked
	extracted.addresses == [] with input as asked
	extracted.unreadable == set() with input as asked with data.mcp.facts as _facts
}

test_what_could_not_be_read_is_told[name] if {
	some name, tc in {
		"all is well": {"found": {"paths": [_path], "urls": []}, "unreadable": set()},
		"one is unclear": {
			"found": {"paths": [_path, _unclear], "urls": []},
			"unreadable": {{"argument": "path", "why": "it is empty"}},
		},
		"the gateway did not look for one kind": {
			"found": {"paths": [_path]},
			"unreadable": {{"argument": "from", "why": "the gateway did not look into it"}},
		},
	}
	extracted.unreadable == tc.unreadable with input as _asked("read", tc.found) with data.mcp.facts as _facts
}

test_a_gateway_that_looked_into_nothing_is_told_for_each_argument if {
	asked := asking.call([], "files", "read", {})
	told := extracted.unreadable with input as asked with data.mcp.facts as _facts
	{each.argument | some each in told} == {"from", "path"}
}

test_declarations_are_of_a_tool_a_prompt_or_the_template_of_a_resource[name] if {
	some name, tc in {
		"a prompt": {"resource": asking.item("files", "prompt", "review"), "unread": {"file"}},
		"a prompt with a tool's name": {"resource": asking.item("files", "prompt", "read"), "unread": set()},
		"a resource of the template": {
			"resource": {
				"type": "resource",
				"backend": "files",
				"uri": "file:///a",
				"listed": false,
				"template": "file:///{+path}",
			},
			"unread": {"uri"},
		},
		"a resource of another": {
			"resource": {"type": "resource", "backend": "files", "uri": "file:///a", "listed": false, "template": "file:///{a}"},
			"unread": set(),
		},
		"a resource of none": {
			"resource": {"type": "resource", "backend": "files", "uri": "file:///a", "listed": false},
			"unread": set(),
		},
		"the template itself, to be completed": {
			"resource": {"type": "resource_template", "backend": "files", "template": "file:///{+path}", "listed": true},
			"unread": set(),
		},
	}
	asked := object.union(asking.call([], "files", "read", {}), {"resources": [tc.resource]})
	told := extracted.unreadable with input as asked with data.mcp.facts as _facts
	{each.argument | some each in told} == tc.unread
}

test_only_selects[name] if {
	some name, tc in {
		"a select": {"entry": {"kinds": ["select"]}, "holds": true},
		"a delete in it": {"entry": {"kinds": ["delete", "select"]}, "holds": false},
		"no kinds": {"entry": {"kinds": []}, "holds": false},
		"unreadable": {"entry": _unclear, "holds": false},
	}
	count({1 | extracted.only_selects(tc.entry)}) > 0 == tc.holds
}

test_public[name] if {
	some name, tc in {
		"an address": {"entry": {"network": "public"}, "holds": true},
		"a name": {"entry": {"network": "name"}, "holds": true},
		"private": {"entry": {"network": "private"}, "holds": false},
		"no host": {"entry": {"scheme": "data"}, "holds": false},
		"unreadable": {"entry": _unclear, "holds": false},
	}
	count({1 | extracted.public(tc.entry)}) > 0 == tc.holds
}

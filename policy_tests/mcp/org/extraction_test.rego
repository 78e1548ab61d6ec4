package mcp.org.extraction_test

import data.mcp.asking_test as asking
import data.mcp.org.extraction

_facts := {"items": {"files": {"tool": {"read": {"extract": {"path": {"kind": "path", "roots": ["/srv"]}}}}}}}

_asked(entries) := object.union(asking.call([], "files", "read", {}), {"extracted": {"paths": entries}})

_refusal(why) := {
	"code": "unreadable_argument",
	"message": "{argument} cannot be read with certainty ({why}); write it plainly",
	"details": {"argument": "path", "why": why},
}

test_what_cannot_be_read_is_refused if {
	entry := {"argument": "path", "at": "/path", "unreadable": true, "why": "it is empty"}
	extraction.deny == {_refusal("it is empty")} with input as _asked([entry]) with data.mcp.facts as _facts
}

test_what_can_be_read_passes if {
	entry := {"argument": "path", "at": "/path", "path": "/srv/a", "absolute": true, "inside": true, "root": "/srv"}
	extraction.deny == set() with input as _asked([entry]) with data.mcp.facts as _facts
}

test_what_nobody_looked_into_is_refused if {
	asked := asking.call([], "files", "read", {})
	extraction.deny == {_refusal("the gateway did not look into it")} with input as asked with data.mcp.facts as _facts
}

test_where_nothing_is_declared_nothing_is_refused if {
	extraction.deny == set() with input as asking.call([], "crm", "customer", {}) with data.mcp.facts as _facts
}

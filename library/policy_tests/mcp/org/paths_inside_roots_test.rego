package mcp.org.paths_inside_roots_test

import data.mcp.asking_test as asking
import data.mcp.org.paths_inside_roots

_facts := {"settings": {"paths_inside_roots": {"roots": {"files": ["/srv/data"]}, "everywhere": ["admins"]}}}

_entry(changes) := object.union(
	{"argument": "path", "at": "/path", "path": "/srv/data/a", "absolute": true, "inside": true, "root": "/srv/data"},
	changes,
)

_asked(groups, backend, entry) := object.union(asking.call(groups, backend, "read", {}), {"extracted": {"paths": [entry]}})

_refusal := {
	"code": "path_outside",
	"message": "{argument} is not in a folder that you may use; name a file inside one, without .. and links",
	"details": {"argument": "path"},
}

_unreadable := {"argument": "path", "at": "/path", "unreadable": true, "why": "it is empty"}

test_what_is_not_surely_inside_is_refused[name] if {
	some name, tc in {
		"outside": {"groups": [], "backend": "files", "entry": _entry({"inside": false})},
		"outside, for those who may use all": {"groups": ["admins"], "backend": "files", "entry": _entry({"inside": false})},
		"in another root": {"groups": ["others"], "backend": "files", "entry": _entry({"root": "/srv/private"})},
		"in a root of another backend": {"groups": [], "backend": "disk", "entry": _entry({})},
		"unreadable": {"groups": ["admins"], "backend": "files", "entry": _unreadable},
	}
	refusals := paths_inside_roots.deny with input as _asked(tc.groups, tc.backend, tc.entry) with data.mcp.facts as _facts
	refusals == {_refusal}
}

test_what_is_inside_passes if {
	paths_inside_roots.deny == set() with input as _asked([], "files", _entry({})) with data.mcp.facts as _facts
}

test_some_may_use_all_roots if {
	asked := _asked(["admins"], "files", _entry({"root": "/srv/private"}))
	paths_inside_roots.deny == set() with input as asked with data.mcp.facts as _facts
}

test_without_settings_there_is_no_root if {
	paths_inside_roots.deny == {_refusal} with input as _asked(["admins"], "files", _entry({})) with data.mcp.facts as {}
}

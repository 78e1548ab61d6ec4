package mcp.org.fetch_allowlist_test

import data.mcp.asking_test as asking
import data.mcp.org.fetch_allowlist

_facts := {"settings": {"fetch_allowlist": {"hosts": ["api.example.com"], "domains": ["docs.example.com"]}}}

_wide := {"settings": {"fetch_allowlist": {"hosts": ["api.example.com"], "ports": [8080], "schemes": ["http"]}}}

_entry(changes) := object.union(
	{
		"argument": "url", "at": "/url", "scheme": "https", "user_info": false, "host": "api.example.com",
		"host_kind": "name", "network": "name", "port": 443, "path": "/",
	},
	changes,
)

_asked(entry) := object.union(asking.call([], "web", "fetch", {}), {"extracted": {"urls": [entry]}})

_refusal := {
	"code": "place_not_allowed",
	"message": "{argument} leads to a place that is not allowed; ask for the host to be added, and write its plain https URL",
	"details": {"argument": "url"},
}

test_other_places_are_refused[name] if {
	some name, entry in {
		"another host": _entry({"host": "evil.example"}),
		"a host below an allowed one": _entry({"host": "a.api.example.com"}),
		"a host that ends alike": _entry({"host": "evildocs.example.com"}),
		"an allowed name that is told as an address": _entry({"host_kind": "ipv4"}),
		"another port": _entry({"port": 22}),
		"another scheme": _entry({"scheme": "http"}),
		"with a name and password": _entry({"user_info": true}),
		"unreadable": {"argument": "url", "at": "/url", "unreadable": true, "why": "it has no scheme"},
	}
	fetch_allowlist.deny == {_refusal} with input as _asked(entry) with data.mcp.facts as _facts
}

test_allowed_places_are_reached[name] if {
	some name, entry in {
		"a host": _entry({}),
		"a domain": _entry({"host": "docs.example.com"}),
		"below a domain": _entry({"host": "a.b.docs.example.com"}),
	}
	fetch_allowlist.deny == set() with input as _asked(entry) with data.mcp.facts as _facts
}

test_ports_and_schemes_are_those_of_the_settings if {
	fetch_allowlist.deny == set() with input as _asked(_entry({"scheme": "http", "port": 8080})) with data.mcp.facts as _wide
	fetch_allowlist.deny == {_refusal} with input as _asked(_entry({})) with data.mcp.facts as _wide
}

test_without_settings_there_is_nowhere_to_go if {
	fetch_allowlist.deny == {_refusal} with input as _asked(_entry({})) with data.mcp.facts as {}
}

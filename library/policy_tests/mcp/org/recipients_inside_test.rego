package mcp.org.recipients_inside_test

import data.mcp.asking_test as asking
import data.mcp.org.recipients_inside

_facts := {"settings": {"recipients_inside": {
	"domains": ["example.com"],
	"addresses": ["tax@office.example.net"],
	"channels": {"chat": {"post": {"channel": ["general"]}}},
}}}

_entry(changes) := object.union(
	{
		"argument": "to", "at": "/to", "address": "bob@example.com", "local": "bob", "domain": "example.com",
		"shown": false, "misleading": false,
	},
	changes,
)

_tax := {"address": "tax@office.example.net", "local": "tax", "domain": "office.example.net"}

_asked(entry) := object.union(asking.call([], "mail", "send", {}), {"extracted": {"addresses": [entry]}})

_refusal := {
	"code": "recipient_outside",
	"message": "{argument} names somebody outside the organisation; name its people by their plain addresses",
	"details": {"argument": "to"},
}

_room := {
	"code": "room_unknown",
	"message": "{argument} is not a room of the organisation that is known; name one of those",
	"details": {"argument": "channel"},
}

test_people_outside_are_refused[name] if {
	some name, entry in {
		"outside": _entry({"address": "bob@evil.example", "domain": "evil.example"}),
		"below our domain": _entry({"address": "bob@a.example.com", "domain": "a.example.com"}),
		"inside, but misleading": _entry({"shown": true, "misleading": true}),
		"a known address, but misleading": _entry(object.union(_tax, {"misleading": true})),
		"somebody else where an address is known": _entry({"address": "a@office.example.net", "domain": "office.example.net"}),
		"unreadable": {"argument": "to", "at": "/to", "unreadable": true, "why": "it names nobody"},
	}
	recipients_inside.deny == {_refusal} with input as _asked(entry) with data.mcp.facts as _facts
}

test_people_inside_are_written_to[name] if {
	some name, entry in {"inside": _entry({}), "with a name": _entry({"shown": true}), "a known address": _entry(_tax)}
	recipients_inside.deny == set() with input as _asked(entry) with data.mcp.facts as _facts
}

test_without_settings_nobody_is_written_to if {
	recipients_inside.deny == {_refusal} with input as _asked(_entry({})) with data.mcp.facts as {}
}

test_only_known_rooms_are_posted_to if {
	known := asking.call([], "chat", "post", {"channel": "general"})
	recipients_inside.deny == set() with input as known with data.mcp.facts as _facts
	other := asking.call([], "chat", "post", {"channel": "shared-with-customers"})
	recipients_inside.deny == {_room} with input as other with data.mcp.facts as _facts
	absent := asking.call([], "chat", "post", {})
	recipients_inside.deny == {_room} with input as absent with data.mcp.facts as _facts
}

test_only_tools_post if {
	asked := object.union(asking.call([], "chat", "post", {}), {"resources": [asking.item("chat", "prompt", "post")]})
	recipients_inside.deny == set() with input as asked with data.mcp.facts as _facts
}

package mcp.servers.canary.refusal_test

import data.mcp.asking_test as asking
import data.mcp.servers.canary.refusal

test_everything_but_the_allowed_item_is_refused if {
	refusal.deny == set() with input as asking.call([], "canary", "allowed", {})
	refusals := refusal.deny with input as asking.call([], "canary", "x", {})
	refusals == {{"code": "always_refused", "message": "this canary is always refused"}}
}

package mcp.servers.canary.access_test

import data.mcp.asking_test as asking
import data.mcp.servers.canary.access

_asked(subject) := object.union(
	asking.listing([], [asking.item("canary", "tool", name) | some name in ["allowed", "refused", "absent"]]),
	{"subject": subject},
)

test_only_the_canary_sees_its_items[name] if {
	some name, tc in {
		"the canary": {"subject": {"type": "workload", "issuer": "urn:mcp-gateway:canary"}, "allow": {0, 1}},
		"a user": {"subject": {"type": "user", "issuer": "urn:mcp-gateway:canary"}, "allow": set()},
		"somebody else": {"subject": {"type": "workload", "issuer": "https://id.example.com"}, "allow": set()},
	}
	access.allow == tc.allow with input as _asked(tc.subject)
}

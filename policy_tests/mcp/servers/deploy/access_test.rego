package mcp.servers.deploy.access_test

import data.mcp.asking_test as asking
import data.mcp.servers.deploy.access

_items := [
	asking.item("deploy", "tool", "services"),
	asking.item("deploy", "tool", "deploy"),
	asking.item("deploy", "tool", "service_log"),
	asking.item("deploy", "tool", "restart"),
	asking.item("deploy", "prompt", "incident_report"),
	asking.resource("deploy", "deploy://services", ""),
	asking.resource("deploy", "deploy://services/web/status", "deploy://services/{service}/status"),
	asking.template("deploy", "deploy://services/{service}/status"),
	asking.item("deploy", "tool", "new_tool"),
]

test_each_group_sees_its_own[name] if {
	some name, tc in {
		"nobody": {"groups": [], "allow": set()},
		"analysts": {"groups": ["analysts"], "allow": {0}},
		"engineers": {"groups": ["engineers"], "allow": {0, 1, 2, 3, 4, 5, 6, 7}},
	}
	access.allow == tc.allow with input as asking.listing(tc.groups, _items)
}

package mcp.servers.crm.access_test

import data.mcp.asking_test as asking
import data.mcp.servers.crm.access

_items := [
	asking.item("crm", "tool", "search_customers"),
	asking.item("crm", "tool", "customer"),
	asking.item("crm", "tool", "update_customer"),
	asking.item("crm", "tool", "delete_customer"),
	asking.item("crm", "tool", "export_customers"),
	asking.item("crm", "prompt", "summarise_customer"),
	asking.resource("crm", "crm://price-list", ""),
	asking.resource("crm", "crm://customers/c-1", "crm://customers/{customer_id}"),
	asking.template("crm", "crm://customers/{customer_id}"),
	asking.resource("crm", "crm://secrets", ""),
]

test_each_group_sees_its_own[name] if {
	some name, tc in {
		"nobody": {"groups": [], "allow": set()},
		"strangers": {"groups": ["strangers"], "allow": set()},
		"analysts": {"groups": ["analysts"], "allow": {0, 1, 2, 4, 5, 6, 7, 8}},
		"account managers": {"groups": ["account_managers"], "allow": {0, 1, 2, 5, 6, 7, 8}},
		"administrators": {"groups": ["crm_admins"], "allow": {0, 1, 2, 3}},
		"engineers": {"groups": ["engineers"], "allow": {0}},
		"several": {"groups": ["engineers", "crm_admins"], "allow": {0, 1, 2, 3}},
	}
	access.allow == tc.allow with input as asking.listing(tc.groups, _items)
}

package mcp.servers.crm.deletion_test

import data.mcp.asking_test as asking
import data.mcp.servers.crm.deletion

_items := [asking.item("crm", "tool", "customer"), asking.item("crm", "tool", "delete_customer")]

test_deleting_exists_for_administrators_only if {
	deletion.hide == {1} with input as asking.listing(["analysts", "account_managers"], _items)
	deletion.hide == {1} with input as asking.listing([], _items)
	deletion.hide == set() with input as asking.listing(["crm_admins"], _items)
}

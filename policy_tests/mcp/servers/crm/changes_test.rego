package mcp.servers.crm.changes_test

import data.mcp.asking_test as asking
import data.mcp.servers.crm.changes

_asked(groups, tool, arguments) := asking.call(groups, "crm", tool, arguments)

_codes contains refusal.code if some refusal in changes.deny

test_only_account_managers_change_customers_to_an_address[name] if {
	some name, tc in {
		"an account manager": {"groups": ["account_managers"], "email": "a@b.test", "codes": set()},
		"an administrator": {"groups": ["crm_admins"], "email": "a@b.test", "codes": set()},
		"an analyst": {"groups": ["analysts"], "email": "a@b.test", "codes": {"account_managers_only"}},
		"nobody": {"groups": [], "email": "a@b.test", "codes": {"account_managers_only"}},
		"not an address": {"groups": ["account_managers"], "email": "a b", "codes": {"not_an_address"}},
		"not even text": {"groups": ["account_managers"], "email": ["a@b.test"], "codes": {"not_an_address"}},
		"null": {"groups": ["account_managers"], "email": null, "codes": {"not_an_address"}},
	}
	_codes == tc.codes with input as _asked(tc.groups, "update_customer", {"customer_id": "c-1", "email": tc.email})
}

test_no_arguments_are_no_way_past if {
	_codes == {"not_an_address"} with input as _asked(["account_managers"], "update_customer", {})
	_codes == {"not_an_address", "account_managers_only"} with input as _asked([], "update_customer", {})
}

test_other_tools_are_not_meant if {
	_codes == set() with input as _asked([], "customer", {})
}

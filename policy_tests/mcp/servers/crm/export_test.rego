package mcp.servers.crm.export_test

import data.mcp.asking_test as asking
import data.mcp.servers.crm.export

_asked := asking.call(["analysts"], "crm", "export_customers", {"region": "north"})

_able := object.union(_asked, {"context": {"obligations": ["require_approval"]}})

test_a_gateway_that_cannot_ask_refuses if {
	export.deny == {{
		"code": "approval_unavailable",
		"message": "an export of {region} needs an approval, which this gateway cannot ask for yet",
		"details": {"region": "north"},
	}} with input as _asked
	export.oblige == set() with input as _asked
}

test_a_gateway_that_can_ask_has_to if {
	export.deny == set() with input as _able
	export.oblige == {{
		"type": "require_approval",
		"code": "confirm_export",
		"properties": {
			"message": "export the customers of {region}",
			"details": {"region": "north"},
			"mode": "form",
			"ttl_s": 300,
		},
	}} with input as _able
}

test_no_arguments_are_no_way_past if {
	count(export.deny) == 1 with input as object.union(_asked, {"arguments": {"region": 1}})
	count(export.deny) == 1 with input as asking.call(["analysts"], "crm", "export_customers", {})
}

test_nothing_is_asked_about_lists_results_and_other_tools if {
	able := {"context": {"obligations": ["require_approval"]}}
	listing := object.union(asking.listing([], [asking.item("crm", "tool", "export_customers")]), able)
	export.oblige == set() with input as listing
	export.oblige == set() with input as asking.answered(_able, {})
	export.oblige == set() with input as object.union(asking.call([], "crm", "customer", {}), able)
}

test_other_tools_are_not_meant if {
	export.deny == set() with input as asking.call([], "crm", "customer", {})
}

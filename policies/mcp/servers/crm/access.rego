# METADATA
# title: Who sees what of the customer database
# description: Everybody who may ask about something sees it, even if the answer is sometimes no; the rest does not exist.
# schemas:
#   - input: schema.input
package mcp.servers.crm.access

import data.mcp.lib.item

allow contains position if {
	some group in input.subject.groups
	some position, resource in input.resources
	item.among(resource, _shown[group])
}

_shown := {
	"analysts": {
		"tool": {"search_customers", "customer", "update_customer", "export_customers"},
		"prompt": {"summarise_customer"},
		"resource": {"crm://price-list"},
		"resource_template": {"crm://customers/{customer_id}"},
	},
	"account_managers": {
		"tool": {"search_customers", "customer", "update_customer"},
		"prompt": {"summarise_customer"},
		"resource": {"crm://price-list"},
		"resource_template": {"crm://customers/{customer_id}"},
	},
	"crm_admins": {"tool": {"search_customers", "customer", "update_customer", "delete_customer"}},
	"engineers": {"tool": {"search_customers"}},
}

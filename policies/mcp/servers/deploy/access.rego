# METADATA
# title: Who sees what of the deployment tool
# schemas:
#   - input: schema.input
package mcp.servers.deploy.access

import data.mcp.lib.item

allow contains position if {
	some group in input.subject.groups
	some position, resource in input.resources
	item.among(resource, _shown[group])
}

_shown := {
	"analysts": {"tool": {"services"}},
	"engineers": {
		"tool": {"services", "deploy", "service_log", "restart"},
		"prompt": {"incident_report"},
		"resource": {"deploy://services"},
		"resource_template": {"deploy://services/{service}/status"},
	},
}

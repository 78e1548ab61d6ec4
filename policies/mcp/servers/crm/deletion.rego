# METADATA
# title: Deleting customers does not exist, but for the administrators of the database
# description: A hidden item cannot even be asked for. It stays hidden whoever grants it, since hiding always wins.
# schemas:
#   - input: schema.input
package mcp.servers.crm.deletion

hide contains position if {
	not "crm_admins" in input.subject.groups
	some position, resource in input.resources
	resource.name == "delete_customer"
}

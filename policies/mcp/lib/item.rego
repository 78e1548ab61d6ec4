# METADATA
# title: What is known about an item
# description: An item is known by its backend, its type and its key, never by its public name, which a surface may change.
package mcp.lib.item

# METADATA
# title: The key of an item, which is a tool's or prompt's name, a resource's URI, a template's URI template
key(resource) := resource.name if {
	resource.type in {"tool", "prompt"}
} else := resource.uri if {
	resource.type == "resource"
} else := resource.template if {
	resource.type == "resource_template"
} else := ""

# METADATA
# title: The reviewed labels of an item; an item nobody has labelled has none
labels(resource) := {label | some label in _facts(resource).labels}

# METADATA
# title: The item is what was reviewed
# scope: document
# description: |
#   A resource that no list shows has no definition of its own; it is what was reviewed if its template was. An item
#   without facts, without a reviewed fingerprint, or with another one is not.
reviewed(resource) if resource.fingerprint == _facts(resource).fingerprint

reviewed(resource) if {
	resource.type == "resource"
	not resource.fingerprint
	is_string(_template(resource).fingerprint)
}

_facts(resource) := data.mcp.facts.items[resource.backend][resource.type][key(resource)]

_template(resource) := data.mcp.facts.items[resource.backend].resource_template[resource.template]

# METADATA
# title: The item is in a table of keys by type
# scope: document
# description: A resource is meant as well when the template that it matches is in the table, since templates make resources.
among(resource, table) if key(resource) in table[resource.type]

among(resource, table) if {
	resource.type == "resource"
	resource.template in table.resource_template
}

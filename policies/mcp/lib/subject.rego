# METADATA
# title: Who asks
package mcp.lib.subject

# METADATA
# title: The subject is a member of at least one of these groups
in_any(groups) if {
	some group in input.subject.groups
	group in groups
}

# METADATA
# title: Names the subject by both, since an id means something only together with its issuer
name := concat(" ", [object.get(input.subject, "issuer", ""), object.get(input.subject, "id", "")])

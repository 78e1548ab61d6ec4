# METADATA
# title: All that is said in a value
# description: Rules that look for something in arguments must look at names and numbers too, and at JSON that stands in a text.
package mcp.lib.texts

# METADATA
# title: Texts, names of members and numbers at any depth, each as text; what stands as JSON in a text is looked into once
within(value) := said | {text |
	some outer in said
	json.is_valid(outer)
	some text in _plain(json.unmarshal(outer))
} if {
	said := _plain(value)
}

_plain(value) := {text |
	walk(value, [path, member])
	some text in _said(path, member)
}

_said(path, member) := _names(path) | {member} if is_string(member)

_said(path, member) := _names(path) | {format_int(member, 10)} if is_number(member)

_said(path, member) := _names(path) if {
	not is_string(member)
	not is_number(member)
}

# The last of a path: the others are those of what is around it.
_names(path) := {name | some name in array.slice(path, count(path) - 1, count(path)); is_string(name)}

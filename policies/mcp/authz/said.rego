# METADATA
# title: What rules said, read so that no mistake loosens anything
# description: |
#   Only a set can speak: base data never is one, so no data file can grant. Whatever is malformed concerns everything that
#   its author may speak about, except that a malformed grant grants nothing. The query is strict, so nothing here may
#   hand a value to a builtin before its type is known: one team's slip would be an error for everybody.
package mcp.authz.said

# METADATA
# title: The positions of its author that a rule grants
granted(claimed, mine, everything) := {position | some position in mine; position in claimed} if {
	_positions(claimed, everything)
} else := set()

# METADATA
# title: The positions of its author that a rule hides
hidden(claimed, mine, everything) := {position | some position in mine; position in claimed} if {
	_positions(claimed, everything)
} else := mine

# METADATA
# title: The refusals of a rule, each complete
refusals(rule, claimed) := {_refusal(rule, entry) | some entry in claimed} if {
	is_set(claimed)
} else := {_unreadable_refusal(rule)}

# METADATA
# title: The duties of a rule, each with the positions that it concerns; none are named where it is all of them
# description: The first case is most rules of most answers; without a function call for each duty it costs half.
duties(rule, claimed, mine, everything) := plain if {
	is_set(claimed)
	mine == everything
	plain := {{"rule": rule, "type": type, "code": code, "properties": properties} |
		some {"type": type, "code": code, "properties": properties} in claimed
		is_string(type)
		type != ""
		is_string(code)
		code != ""
		is_object(properties)
	}
	count(plain) == count(claimed)
} else := {_duty(rule, entry, mine, everything) | some entry in claimed} if {
	is_set(claimed)
} else := {_unreadable_duty(rule, mine, everything)}

# METADATA
# title: The duty to show a result to a rule that may withhold it
inspection(rule) := {"rule": rule, "type": "inspect_result", "code": "inspect_result", "properties": {}}

# Another author's positions are not an error, since a rule sees the whole list; they are merely not its business.
_positions(claimed, everything) if {
	is_set(claimed)
	count(claimed - everything) == 0
}

_refusal(rule, entry) := object.union({"rule": rule}, entry) if {
	_readable_refusal(entry)
} else := _unreadable_refusal(rule)

_unreadable_refusal(rule) := {
	"rule": rule,
	"code": "malformed",
	"message": "a rule of the policy refused in a form that cannot be read; its owner has to mend it",
}

_readable_refusal(entry) if {
	is_object(entry)
	count(object.keys(entry) - {"code", "message", "details", "scopes"}) == 0
	_text(object.get(entry, "code", ""))
	_text(object.get(entry, "message", ""))
	is_object(object.get(entry, "details", {}))
	_scopes(object.get(entry, "scopes", {"none asked for"}))
}

_scopes(scopes) if {
	_collection(scopes)
	count(scopes) > 0
	count([scope | some scope in scopes; not _text(scope)]) == 0
}

_collection(value) if is_set(value)

_collection(value) if is_array(value)

_text(value) if {
	is_string(value)
	value != ""
}

_duty(rule, entry, mine, everything) := object.union(
	{"rule": rule, "type": entry.type, "code": entry.code, "properties": entry.properties},
	_concerned(_named(entry, mine), everything),
) if {
	_readable_duty(entry)
} else := _unreadable_duty(rule, mine, everything)

# A type that no gateway knows: it refuses what it concerns.
_unreadable_duty(rule, mine, everything) := object.union(
	{"rule": rule, "type": "malformed", "code": "malformed", "properties": {}},
	_concerned(mine, everything),
)

_readable_duty(entry) if {
	is_object(entry)
	count(object.keys(entry) - {"type", "code", "properties", "positions"}) == 0
	_text(object.get(entry, "type", ""))
	_text(object.get(entry, "code", ""))
	is_object(object.get(entry, "properties", null))
}

# The positions that a duty names, where they are some of its author's; else all of its author's.
_named(entry, mine) := {position | some position in mine; position in entry.positions} if {
	is_set(entry.positions)
	count(entry.positions) > 0
	count(entry.positions - mine) == 0
} else := mine

_concerned(positions, everything) := {} if {
	positions == everything
} else := {"positions": positions}

# METADATA
# title: The one decision
# description: |
#   The gateway asks `mcp.authz.decision` about every list, call, read and get. A rule joins by existing: a file
#   policies/mcp/org/<rule>.rego speaks about every item, policies/mcp/servers/<backend>/<rule>.rego about that backend's
#   items only, and each says what it has to say with five verbs: allow, hide, deny, withhold and oblige.
#   Everything here works on whole sets of positions: a rule that is looked up per position would cost the square of a list.
# scope: subpackages
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.authz

import data.mcp.authz.exceptions
import data.mcp.authz.said
import data.mcp.authz.shape

# METADATA
# title: What the subject sees, what it may do, why not, and what the gateway owes
# description: Undefined, and so denied, for an input that is not one of version 1 and where there are no facts of version 1.
# entrypoint: true
decision := {
	"version": 1,
	"visible": _visible,
	"allowed": _allowed,
	"granted_by": _granted_by,
	"hidden_by": _hidden_by,
	"denials": _denials,
	"observed": _observed,
	"waived": _waived,
	"obligations": _obligations,
} if {
	shape.sound
	exceptions.known
}

# --- what exists for this subject: positions in the list of resources ------------------------------------------------

_everything := {position | some position, _ in input.resources}

_owned := {backend: positions |
	some backend in {resource.backend | some resource in input.resources}
	positions := {position | some position, resource in input.resources; resource.backend == backend}
}

_visible := _granted - _hidden

_granted := {position | some positions in _granted_by; some position in positions}

_hidden := {position | some positions in _hidden_by; some position in positions}

_granted_by := {rule: positions | some rule, positions in _grants; not rule in exceptions.observing}

_hidden_by := object.union(exceptions.blocked, {rule: positions |
	some rule, positions in _hides
	not rule in exceptions.observing
})

_grants := object.union(_server_grants, _organisation_grants)

_server_grants := {rule: positions |
	some backend, mine in _owned
	some name
	claimed := data.mcp.servers[backend][name].allow
	positions := said.granted(claimed, mine, _everything)
	count(positions) > 0
	rule := concat("/", ["servers", backend, name])
}

# An organisation's grant counts only where the backend's facts ask for it.
_organisation_grants := {rule: positions |
	mine := {position | some backend in exceptions.open_to_organisation; some position in _owned[backend]}
	count(mine) > 0
	some name
	claimed := data.mcp.org[name].allow
	positions := said.granted(claimed, mine, _everything)
	count(positions) > 0
	rule := concat("/", ["org", name])
}

_hides := object.union(_server_hides, _organisation_hides)

_server_hides := {rule: positions |
	some backend, mine in _owned
	some name
	claimed := data.mcp.servers[backend][name].hide
	positions := said.hidden(claimed, mine, _everything)
	count(positions) > 0
	rule := concat("/", ["servers", backend, name])
}

_organisation_hides := {rule: positions |
	some name
	claimed := data.mcp.org[name].hide
	positions := said.hidden(claimed, _everything, _everything)
	count(positions) > 0
	rule := concat("/", ["org", name])
}

# --- what is refused: the one item of a request (deny) or of a result (withhold) --------------------------------------

_allowed := _visible if count(_denials) == 0

_allowed := set() if count(_denials) > 0

_denials := {refusal | some refusal in _enforced_refusals; not exceptions.waived(refusal)}

_waived := {refusal | some refusal in _enforced_refusals; exceptions.waived(refusal)}

_enforced_refusals := {refusal | some refusal in _refusals; not refusal.rule in exceptions.observing}

default _refusals := set()

_refusals := {refusal | some refusals in [_server_denials, _organisation_denials]; some refusal in refusals} if {
	input.action.phase == "request"
}

_refusals := {refusal | some refusals in [_server_withholdings, _organisation_withholdings]; some refusal in refusals} if {
	input.action.phase == "result"
}

_server_denials := {refusal |
	some backend, _ in _owned
	some name
	claimed := data.mcp.servers[backend][name].deny
	some refusal in said.refusals(concat("/", ["servers", backend, name]), claimed)
}

_organisation_denials := {refusal |
	some name
	claimed := data.mcp.org[name].deny
	some refusal in said.refusals(concat("/", ["org", name]), claimed)
}

_server_withholdings := {refusal |
	some backend, _ in _owned
	some name
	claimed := data.mcp.servers[backend][name].withhold
	some refusal in said.refusals(concat("/", ["servers", backend, name]), claimed)
}

_organisation_withholdings := {refusal |
	some name
	claimed := data.mcp.org[name].withhold
	some refusal in said.refusals(concat("/", ["org", name]), claimed)
}

# --- what the gateway owes --------------------------------------------------------------------------------------------

_obligations := _duties if {
	count(exceptions.observing) == 0
} else := {duty | some duty in _duties; not duty.rule in exceptions.observing}

_duties := (_server_duties | _organisation_duties) | _inspections

_server_duties := {duty |
	some backend, mine in _owned
	some name
	claimed := data.mcp.servers[backend][name].oblige
	some duty in said.duties(concat("/", ["servers", backend, name]), claimed, mine, _everything)
}

_organisation_duties := {duty |
	some name
	claimed := data.mcp.org[name].oblige
	some duty in said.duties(concat("/", ["org", name]), claimed, _everything, _everything)
}

# A package that may withhold a result must get to see it. Its set is there, though empty, before there is a result.
default _inspections := set()

_inspections := {said.inspection(rule) | some rule in _inspecting} if input.action.phase == "request"

_inspecting contains concat("/", ["servers", backend, name]) if {
	some backend, _ in _owned
	some name
	_ = data.mcp.servers[backend][name].withhold
}

_inspecting contains concat("/", ["org", name]) if {
	some name
	_ = data.mcp.org[name].withhold
}

# --- what rules that only observe would have said ---------------------------------------------------------------------

_observed := {rule: verbs |
	some rule in exceptions.observing
	verbs := object.union_n([
		{"allow": positions | positions := _grants[rule]},
		{"hide": positions | positions := _hides[rule]},
		_observed_refusals(rule),
		{"oblige": duties |
			duties := {duty | some duty in _duties; duty.rule == rule}
			count(duties) > 0
		},
	])
	count(verbs) > 0
}

_observed_refusals(rule) := {verb: refusals |
	verb := {"request": "deny", "result": "withhold"}[input.action.phase]
	refusals := {refusal | some refusal in _refusals; refusal.rule == rule}
	count(refusals) > 0
}

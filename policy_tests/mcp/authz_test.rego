package mcp.authz_test

import data.mcp.asking_test as asking
import data.mcp.authz

_three := [asking.item("crm", "tool", "a"), asking.item("crm", "tool", "b"), asking.item("deploy", "tool", "a")]

_list := asking.listing([], _three)

_call := asking.call([], "crm", "a", {"x": 1})

_result := asking.answered(_call, {"content": []})

_facts := {"version": 1}

_said(rule, verb, value) := {rule: {verb: value}}

_refusal := {"code": "no", "message": "not {x}", "details": {"x": 1}, "scopes": {"crm:write"}}

_duty := {"type": "audit", "code": "kept", "properties": {"level": "full"}}

_malformed(rule) := {
	"rule": rule,
	"code": "malformed",
	"message": "a rule of the policy refused in a form that cannot be read; its owner has to mend it",
}

_unreadable(rule) := {"rule": rule, "type": "malformed", "code": "malformed", "properties": {}}

# --- the shape of the question ----------------------------------------------------------------------------------------

# METADATA
# title: What is asked here must not be asked
# custom:
#   malformed_input: true
test_a_question_of_another_shape_is_undecided[name] if {
	some name, broken in {
		"no version": object.remove(_call, ["version"]),
		"another version": object.union(_call, {"version": 2}),
		"version as text": object.union(_call, {"version": "1"}),
		"no subject": object.remove(_call, ["subject"]),
		"groups as text": object.union(_call, {"subject": {"groups": "analysts"}}),
		"time as text": object.union(_call, {"context": {"time_ns": "1"}}),
		"resources as object": object.union(_call, {"resources": {"a": 1}}),
		"no resource": object.union(_call, {"resources": []}),
		"two resources in a request": object.union(_call, {"resources": _three}),
		"a resource without a type": object.union(_call, {"resources": [{"backend": "crm"}]}),
		"a resource that is text": object.union(_call, {"resources": ["crm"]}),
		"a backend that is a number": object.union(_call, {"resources": [{"type": "tool", "backend": 1}]}),
		"no arguments": object.remove(_call, ["arguments"]),
		"arguments as array": object.union(_call, {"arguments": []}),
		"a result in a request": object.union(_call, {"result": {}}),
		"no result": object.remove(_result, ["result"]),
		"no arguments in a result": object.remove(_result, ["arguments"]),
		"arguments in a list": object.union(_list, {"arguments": {}}),
		"a result in a list": object.union(_list, {"result": {}}),
		"an unknown phase": object.union(_call, {"action": {"phase": "requests"}}),
		"no phase": object.remove(_call, ["action"]),
		"nothing": {},
	}
	not authz.decision with input as broken with data.mcp.facts as _facts
}

test_facts_of_another_version_decide_nothing[name] if {
	some name, facts in {"none": {}, "another": {"version": 2}, "text": {"version": "1"}}
	not authz.decision with input as _list with data.mcp.facts as facts
}

test_nothing_said_is_nothing_seen if {
	answer := authz.decision with input as _list with data.mcp.org as {} with data.mcp.servers as {} with data.mcp.facts as _facts
	answer == asking.silent
}

test_an_empty_list_is_answered if {
	answer := authz.decision with input as asking.listing([], []) with data.mcp.facts as _facts
	answer.visible == set()
}

test_a_name_of_no_backend_is_seen_by_nobody if {
	asked := object.union(_call, {"resources": [{"type": "tool", "public_name": "nothing", "listed": false}]})
	answer := authz.decision with input as asked
		with data.mcp.servers as {"crm": _said("a", "allow", {0})}
		with data.mcp.org as {}
		with data.mcp.facts as _facts
	answer == asking.silent
}

# --- allow and hide ---------------------------------------------------------------------------------------------------

test_a_grant_counts_for_its_own_backend_only if {
	answer := authz.decision with input as _list
		with data.mcp.servers as {"crm": _said("access", "allow", {0, 1, 2})}
		with data.mcp.org as {}
		with data.mcp.facts as _facts
	answer == object.union(asking.silent, {
		"visible": {0, 1},
		"allowed": {0, 1},
		"granted_by": {"servers/crm/access": {0, 1}},
	})
}

test_a_malformed_grant_grants_nothing[name] if {
	some name, said in _malformed_positions
	answer := authz.decision with input as _list
		with data.mcp.servers as {"crm": _said("access", "allow", said)}
		with data.mcp.org as {}
		with data.mcp.facts as _facts
	answer == asking.silent
}

test_a_malformed_hiding_hides_everything_of_its_author[name] if {
	some name, said in _malformed_positions
	answer := authz.decision with input as _list
		with data.mcp.servers as {
			"crm": {"access": {"allow": {0, 1}}, "hiding": {"hide": said}},
			"deploy": _said("access", "allow", {2}),
		}
		with data.mcp.org as {}
		with data.mcp.facts as _facts
	answer == object.union(asking.silent, {
		"visible": {2},
		"allowed": {2},
		"granted_by": {"servers/crm/access": {0, 1}, "servers/deploy/access": {2}},
		"hidden_by": {"servers/crm/hiding": {0, 1}},
	})
}

_malformed_positions := {
	"true": true,
	"false": false,
	"an array, as data files have it": [0],
	"a number": 0,
	"text": "0",
	"an object": {"0": true},
	"null": null,
	"a position out of range": {3},
	"a negative position": {-1},
	"half a position": {0.5},
	"a position as text": {"0"},
	"true as position": {true},
	"null as position": {null},
	"a resource instead of its position": {{"name": "a"}},
	"a good one among bad ones": {0, 99},
}

test_the_organisation_hides_everywhere if {
	answer := authz.decision with input as _list
		with data.mcp.servers as {"crm": _said("access", "allow", {0, 1}), "deploy": _said("access", "allow", {2})}
		with data.mcp.org as _said("hiding", "hide", {1, 2})
		with data.mcp.facts as _facts
	answer.visible == {0}
	answer.hidden_by == {"org/hiding": {1, 2}}
}

test_the_organisation_grants_only_where_facts_let_it[name] if {
	some name, tc in {
		"not said": {"backends": {}, "visible": set()},
		"no": {"backends": {"crm": {"organisation_grants": false}}, "visible": set()},
		"yes": {"backends": {"crm": {"organisation_grants": true}}, "visible": {0, 1}},
		"yes, for one that is not asked about": {"backends": {"wiki": {"organisation_grants": true}}, "visible": set()},
	}
	answer := authz.decision with input as _list
		with data.mcp.servers as {}
		with data.mcp.org as _said("everybody", "allow", {0, 1, 2})
		with data.mcp.facts as object.union(_facts, {"backends": tc.backends})
	answer.visible == tc.visible
}

# --- deny and withhold ------------------------------------------------------------------------------------------------

_granted := {"crm": {"access": {"allow": {0}}}}

test_a_refusal_leaves_the_item_visible[name] if {
	some name, servers in {
		"of the backend": {"servers": {"crm": {"no": {"deny": {_refusal}}}}, "org": {}, "rule": "servers/crm/no"},
		"of the organisation": {"servers": {}, "org": {"no": {"deny": {_refusal}}}, "rule": "org/no"},
	}
	answer := authz.decision with input as _call
		with data.mcp.servers as object.union(_granted, servers.servers)
		with data.mcp.org as servers.org
		with data.mcp.facts as _facts
	answer == object.union(asking.silent, {
		"visible": {0},
		"granted_by": {"servers/crm/access": {0}},
		"denials": {object.union(_refusal, {"rule": servers.rule})},
	})
}

test_each_verb_is_asked_in_its_phase[case] if {
	some name, tc in {
		"deny in a request": {"input": _call, "verb": "deny", "refused": true},
		"deny in a result": {"input": _result, "verb": "deny", "refused": false},
		"deny in a list": {"input": asking.listing([], [_three[0]]), "verb": "deny", "refused": false},
		"withhold in a request": {"input": _call, "verb": "withhold", "refused": false},
		"withhold in a result": {"input": _result, "verb": "withhold", "refused": true},
		"withhold in a list": {"input": asking.listing([], [_three[0]]), "verb": "withhold", "refused": false},
	}
	some place in ["org", "servers"]
	case := concat(", ", [name, place])
	answer := authz.decision with input as tc.input
		with data.mcp.servers as object.union(_granted, {"crm": {"no": {tc.verb: {_refusal} | place == "servers"}}})
		with data.mcp.org as {"no": {tc.verb: {_refusal} | place == "org"}}
		with data.mcp.facts as _facts
	count(answer.denials) == 1 == tc.refused
	answer.allowed == set() == tc.refused
}

test_a_malformed_refusal_refuses[case] if {
	some name, said in {
		"true": true,
		"false": false,
		"an array": [_refusal],
		"an object": _refusal,
		"text": "no",
		"a number": 1,
		"null": null,
		"a set of text": {"no"},
		"a set of numbers": {0},
		"a set of null": {null},
		"a set of arrays": {[_refusal]},
		"no code": {object.remove(_refusal, ["code"])},
		"an empty code": {object.union(_refusal, {"code": ""})},
		"a code that is a number": {object.union(_refusal, {"code": 1})},
		"no message": {object.remove(_refusal, ["message"])},
		"a message that is an object": {object.union(_refusal, {"message": {}})},
		"details that are text": {object.union(_refusal, {"details": "x"})},
		"details that are null": {object.union(_refusal, {"details": null})},
		"no scopes at all": {object.union(_refusal, {"scopes": []})},
		"an empty set of scopes": {object.union(_refusal, {"scopes": set()})},
		"scopes as text": {object.union(_refusal, {"scopes": "crm:write"})},
		"scopes as an object": {object.union(object.remove(_refusal, ["scopes"]), {"scopes": {"a": "b"}})},
		"a scope that is empty": {object.union(_refusal, {"scopes": [""]})},
		"a scope that is a number": {object.union(_refusal, {"scopes": [1]})},
		"a rule of its own choice": {object.union(_refusal, {"rule": "org/other"})},
		"an unknown member": {object.union(_refusal, {"mesage": "no"})},
		"a key that is no text": {object.union(_refusal, {1: 2})},
	}
	some question, verb in {_call: "deny", _result: "withhold"}
	some place in ["org", "servers"]
	case := concat(", ", [name, verb, place])
	answer := authz.decision with input as question
		with data.mcp.servers as object.union(_granted, {"crm": {"no": {verb: said | place == "servers"}}})
		with data.mcp.org as {"no": {verb: said | place == "org"}}
		with data.mcp.facts as _facts
	answer.visible == {0}
	answer.allowed == set()
	answer.denials == {_malformed({"org": "org/no", "servers": "servers/crm/no"}[place])}
}

test_an_empty_set_refuses_nothing if {
	answer := authz.decision with input as _call
		with data.mcp.servers as object.union(_granted, {"crm": {"no": {"deny": set()}}})
		with data.mcp.org as {}
		with data.mcp.facts as _facts
	answer.allowed == {0}
}

# --- oblige -----------------------------------------------------------------------------------------------------------

test_a_duty_concerns_its_authors_items[name] if {
	some name, tc in {
		"all, by default": {"duty": _duty, "positions": {"positions": {0, 1}}},
		"those that it names": {"duty": object.union(_duty, {"positions": {1}}), "positions": {"positions": {1}}},
		"all, if it names none": {"duty": object.union(_duty, {"positions": set()}), "positions": {"positions": {0, 1}}},
		"all, if it names another's": {"duty": object.union(_duty, {"positions": {1, 2}}), "positions": {"positions": {0, 1}}},
		"all, if it names no positions": {"duty": object.union(_duty, {"positions": {"1"}}), "positions": {"positions": {0, 1}}},
		"all, if positions are no set": {"duty": object.union(_duty, {"positions": [1]}), "positions": {"positions": {0, 1}}},
		"all, if positions are a number": {"duty": object.union(_duty, {"positions": 1}), "positions": {"positions": {0, 1}}},
	}
	answer := authz.decision with input as _list
		with data.mcp.servers as {"crm": _said("audit", "oblige", {tc.duty})}
		with data.mcp.org as {}
		with data.mcp.facts as _facts
	answer.obligations == {object.union_n([_duty, {"rule": "servers/crm/audit"}, tc.positions])}
}

test_a_duty_of_the_organisation_concerns_everything if {
	answer := authz.decision with input as _list
		with data.mcp.servers as {}
		with data.mcp.org as _said("audit", "oblige", {_duty, object.union(_duty, {"code": "one", "positions": {2}})})
		with data.mcp.facts as _facts
	answer.obligations == {
		object.union(_duty, {"rule": "org/audit"}),
		object.union(_duty, {"rule": "org/audit", "code": "one", "positions": {2}}),
	}
}

test_a_malformed_duty_refuses_what_it_concerns[name] if {
	some name, said in {
		"true": true,
		"an array": [_duty],
		"an object": _duty,
		"text": "audit",
		"a number": 1,
		"null": null,
		"a set of text": {"audit"},
		"a set of numbers": {0},
		"no type": {object.remove(_duty, ["type"])},
		"an empty type": {object.union(_duty, {"type": ""})},
		"a type that is a number": {object.union(_duty, {"type": 1})},
		"no code": {object.remove(_duty, ["code"])},
		"no properties": {object.remove(_duty, ["properties"])},
		"properties that are text": {object.union(_duty, {"properties": "full"})},
		"an unknown member": {object.union(_duty, {"position": {0}})},
		"a rule of its own choice": {object.union(_duty, {"rule": "org/other"})},
	}
	answer := authz.decision with input as _list
		with data.mcp.servers as {"crm": _said("audit", "oblige", said)}
		with data.mcp.org as _said("audit", "oblige", said)
		with data.mcp.facts as _facts
	answer.obligations == {
		object.union(_unreadable("servers/crm/audit"), {"positions": {0, 1}}),
		_unreadable("org/audit"),
	}
}

test_a_package_that_may_withhold_gets_to_see_results[name] if {
	some name, tc in {
		"in a request": {"input": _call, "rules": {"org/keys", "servers/crm/keys"}},
		"not in a list": {"input": _list, "rules": set()},
		"not in a result": {"input": _result, "rules": set()},
	}
	answer := authz.decision with input as tc.input
		with data.mcp.servers as {"crm": _said("keys", "withhold", set()), "deploy": _said("keys", "withhold", set())}
		with data.mcp.org as _said("keys", "withhold", set())
		with data.mcp.facts as _facts
	answer.obligations == {duty |
		some rule in tc.rules
		duty := {"rule": rule, "type": "inspect_result", "code": "inspect_result", "properties": {}}
	}
}

# --- facts ------------------------------------------------------------------------------------------------------------

_observing(rule) := object.union(_facts, {"rules": {rule: {"enforcement": "observe"}}})

test_an_observed_rule_has_no_effect[name] if {
	some name, tc in {
		"allow": {"input": _call, "said": {"allow": {0}}, "observed": {"allow": {0}}},
		"hide": {"input": _call, "said": {"hide": {0}}, "observed": {"hide": {0}}},
		"deny": {
			"input": _call, "said": {"deny": {_refusal}},
			"observed": {"deny": {object.union(_refusal, {"rule": "servers/crm/trial"})}},
		},
		"withhold": {
			"input": _result, "said": {"withhold": {_refusal}},
			"observed": {"withhold": {object.union(_refusal, {"rule": "servers/crm/trial"})}},
		},
		"oblige": {
			"input": _call, "said": {"oblige": {_duty}},
			"observed": {"oblige": {object.union(_duty, {"rule": "servers/crm/trial"})}},
		},
	}
	answer := authz.decision with input as tc.input
		with data.mcp.servers as object.union(_granted, {"crm": {"trial": tc.said}})
		with data.mcp.org as {}
		with data.mcp.facts as _observing("servers/crm/trial")
	answer == object.union(asking.silent, {
		"visible": {0},
		"allowed": {0},
		"granted_by": {"servers/crm/access": {0}},
		"observed": {"servers/crm/trial": tc.observed},
	})
}

test_an_observed_rule_that_says_nothing_is_not_mentioned if {
	answer := authz.decision with input as _call
		with data.mcp.servers as object.union(_granted, {"crm": {"trial": {"deny": set()}}})
		with data.mcp.org as {}
		with data.mcp.facts as _observing("servers/crm/trial")
	answer.observed == {}
}

_of_no := object.union(_refusal, {"rule": "servers/crm/no"})

_waiver := {
	"rule": "servers/crm/no",
	"issuer": "https://id.example.com",
	"subject": "alice@example.com",
	"backends": ["crm"],
	"until_ns": asking.now_ns + 1,
}

test_a_waiver_covers_exactly_what_it_says[case] if {
	some name, tc in {
		"itself": {"waiver": {}, "waivable": true, "waived": true},
		"not a rule that is not waivable": {"waiver": {}, "waivable": false, "waived": false},
		"not another rule": {"waiver": {"rule": "servers/crm/other"}, "waivable": true, "waived": false},
		"not another issuer": {"waiver": {"issuer": "https://other.example"}, "waivable": true, "waived": false},
		"not another subject": {"waiver": {"subject": "bob@example.com"}, "waivable": true, "waived": false},
		"not another backend": {"waiver": {"backends": ["deploy"]}, "waivable": true, "waived": false},
		"not when it has ended": {"waiver": {"until_ns": asking.now_ns}, "waivable": true, "waived": false},
		"not with an end that is text": {"waiver": {"until_ns": "2099-01-01"}, "waivable": true, "waived": false},
	}
	some question, verb in {_call: "deny", _result: "withhold"}
	case := concat(", ", [name, verb])
	answer := authz.decision with input as question
		with data.mcp.servers as object.union(_granted, {"crm": {"no": {verb: {_refusal}}}})
		with data.mcp.org as {}
		with data.mcp.facts as object.union(_facts, {
			"rules": {"servers/crm/no": {"waivable": tc.waivable}},
			"waivers": [object.union(_waiver, tc.waiver)],
		})
	answer.waived == {_of_no | tc.waived}
	answer.denials == {_of_no | not tc.waived}
	answer.allowed == {0} == tc.waived
}

test_a_refusal_that_cannot_be_read_is_not_waived if {
	answer := authz.decision with input as _call
		with data.mcp.servers as object.union(_granted, {"crm": {"no": {"deny": true}}})
		with data.mcp.org as {}
		with data.mcp.facts as object.union(_facts, {"rules": {"servers/crm/no": {"waivable": true}}, "waivers": [_waiver]})
	answer.denials == {_malformed("servers/crm/no")}
	answer.waived == set()
}

test_a_waiver_never_covers_hiding if {
	answer := authz.decision with input as _call
		with data.mcp.servers as object.union(_granted, {"crm": {"no": {"hide": {0}}}})
		with data.mcp.org as {}
		with data.mcp.facts as object.union(_facts, {"rules": {"servers/crm/no": {"waivable": true}}, "waivers": [_waiver]})
	answer.visible == set()
}

_five := object.union(
	asking.listing([], array.concat(_three, [
		asking.template("deploy", "deploy://{x}"),
		asking.resource("crm", "crm://c/1", "crm://c/{id}"),
	])),
	{
		"agent": {"id": "support-bot"},
		"subject": {"actors": [{"issuer": "https://id.example.com", "id": "robot"}], "credential": "key:desk2"},
	},
)

test_a_block_hides[name] if {
	some name, tc in {
		"a backend": {"block": {"what": "backend", "backend": "crm"}, "hidden": {0, 1, 4}},
		"a tool": {"block": {"what": "item", "backend": "crm", "type": "tool", "name": "a"}, "hidden": {0}},
		"a resource": {"block": {"what": "item", "backend": "crm", "type": "resource", "name": "crm://c/1"}, "hidden": {4}},
		"a template's resources": {
			"block": {"what": "item", "backend": "crm", "type": "resource_template", "name": "crm://c/{id}"},
			"hidden": {4},
		},
		"a template": {
			"block": {"what": "item", "backend": "deploy", "type": "resource_template", "name": "deploy://{x}"},
			"hidden": {3},
		},
		"a subject": {
			"block": {"what": "subject", "issuer": "https://id.example.com", "subject": "alice@example.com"},
			"hidden": {0, 1, 2, 3, 4},
		},
		"not the same name of another issuer": {
			"block": {"what": "subject", "issuer": "https://other.example", "subject": "alice@example.com"},
			"hidden": set(),
		},
		"whoever acts for a subject": {
			"block": {"what": "subject", "issuer": "https://id.example.com", "subject": "robot"},
			"hidden": {0, 1, 2, 3, 4},
		},
		"an agent": {"block": {"what": "agent", "agent": "support-bot"}, "hidden": {0, 1, 2, 3, 4}},
		"not another agent": {"block": {"what": "agent", "agent": "other-bot"}, "hidden": set()},
		"an API key": {"block": {"what": "key", "key": "desk2"}, "hidden": {0, 1, 2, 3, 4}},
		"not another API key": {"block": {"what": "key", "key": "desk"}, "hidden": set()},
		"not what is called like a key": {"block": {"what": "key", "key": "key:desk2"}, "hidden": set()},
		"no one, if its key cannot be read": {"block": {"what": "key", "key": {"id": "desk2"}}, "hidden": set()},
		"not for longer than it says": {"block": {"what": "agent", "agent": "support-bot", "until_ns": asking.now_ns}, "hidden": set()},
		"for ever, if its end cannot be read": {
			"block": {"what": "agent", "agent": "support-bot", "until_ns": "tomorrow"},
			"hidden": {0, 1, 2, 3, 4},
		},
	}
	answer := authz.decision with input as _five
		with data.mcp.servers as {"crm": _said("access", "allow", {0, 1, 4}), "deploy": _said("access", "allow", {2, 3})}
		with data.mcp.org as {}
		with data.mcp.facts as object.union(_facts, {"blocks": [object.union({"until_ns": asking.now_ns + 1}, tc.block)]})
	answer.visible == {0, 1, 2, 3, 4} - tc.hidden
	answer.hidden_by == {"facts/blocks": tc.hidden | count(tc.hidden) > 0}
}

# --- the canaries -----------------------------------------------------------------------------------------------------

test_the_canaries_are_right[canary.name] if {
	some canary in data.mcp.canaries
	answer := authz.decision with input as canary.input
	answer.visible == {position | some position in canary.expect.visible}
	answer.allowed == {position | some position in canary.expect.allowed}
}

package mcp.authz_observing_test

import data.mcp.asking_test as asking
import data.mcp.authz

_rule := "servers/crm/trial"

_servers := {"crm": {
	"access": {"allow": {0}},
	"trial": {"deny": {{"code": "no", "message": "no"}}},
}}

_told(rule) := {"version": 1, "rules": {_rule: rule}}

_enforced := [_rule]

test_a_rule_observes_or_is_enforced_by_who_asks[name] if {
	some name, tc in {
		"for all": {"rule": {"enforcement": "observe"}, "groups": ["pilots"], "denied": [], "observed": {_rule}},
		"for nobody": {"rule": {"enforcement": "enforce"}, "groups": ["pilots"], "denied": _enforced, "observed": set()},
		"unsaid": {"rule": {"waivable": true}, "groups": ["pilots"], "denied": _enforced, "observed": set()},
		"switched on for this group": {
			"rule": {"enforcement": "observe", "enforce_groups": ["pilots", "ops"]},
			"groups": ["devs", "pilots"], "denied": _enforced, "observed": set(),
		},
		"switched on for another group": {
			"rule": {"enforcement": "observe", "enforce_groups": ["pilots"]},
			"groups": ["devs"], "denied": [], "observed": {_rule},
		},
		"switched on for a group, asked by nobody's member": {
			"rule": {"enforcement": "observe", "enforce_groups": ["pilots"]},
			"groups": [], "denied": [], "observed": {_rule},
		},
		"not yet for this group": {
			"rule": {"observe_groups": ["pilots"]},
			"groups": ["pilots"], "denied": [], "observed": {_rule},
		},
		"not yet for this group, and said so": {
			"rule": {"enforcement": "enforce", "observe_groups": ["pilots"]},
			"groups": ["pilots"], "denied": [], "observed": {_rule},
		},
		"not yet for another group": {
			"rule": {"observe_groups": ["pilots"]},
			"groups": ["devs"], "denied": _enforced, "observed": set(),
		},
		"enforced wins where both are said of one group": {
			"rule": {"enforcement": "observe", "enforce_groups": ["pilots"], "observe_groups": ["pilots"]},
			"groups": ["pilots"], "denied": _enforced, "observed": set(),
		},
		"groups that cannot be read except nobody": {
			"rule": {"observe_groups": "pilots"},
			"groups": ["pilots"], "denied": _enforced, "observed": set(),
		},
	}
	answer := authz.decision with input as asking.call(tc.groups, "crm", "a", {})
		with data.mcp.servers as _servers
		with data.mcp.org as {}
		with data.mcp.facts as _told(tc.rule)
	[denial.rule | some denial in answer.denials] == tc.denied
	object.keys(answer.observed) == tc.observed
}

test_what_a_rule_grants_to_a_group_that_it_only_observes_is_not_granted if {
	answer := authz.decision with input as asking.call(["pilots"], "crm", "a", {})
		with data.mcp.servers as {"crm": {"trial": {"allow": {0}}}}
		with data.mcp.org as {}
		with data.mcp.facts as _told({"observe_groups": ["pilots"]})
	answer.visible == set()
	answer.observed == {_rule: {"allow": {0}}}
}

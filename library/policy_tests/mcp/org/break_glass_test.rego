package mcp.org.break_glass_test

import data.mcp.asking_test as asking
import data.mcp.org.break_glass

_facts(labels) := {
	"settings": {"break_glass": {
		"labels": ["emergency"], "groups": ["on_call"],
		"claim": "reason", "max_age_s": 60,
	}},
	"items": {"crm": {"tool": {"a": {"labels": labels}}}},
}

_second := 1000000000

_on_call := {
	"groups": ["on_call"],
	"claims": {"reason": "the database is down"},
	"assurance": {"token_issued_ns": asking.now_ns - (60 * _second)},
}

# What is told replaces what somebody on call has, whole.
_asked(told) := object.union(
	asking.call([], "crm", "a", {}),
	{"subject": json.patch(
		object.union(asking.subject([]), _on_call),
		[{"op": "add", "path": concat("", ["/", name]), "value": value} | some name, value in told],
	)},
)

_issued(ago_ns) := {"assurance": {"token_issued_ns": asking.now_ns - ago_ns}}

_refusal := {
	"code": "glass_not_broken",
	"message": "{tool} is for emergencies; whoever is on call signs in again with a reason",
	"details": {"tool": "crm__a"},
}

_audit := {"type": "audit", "code": "glass_broken", "properties": {"level": "full"}}

test_without_all_of_it_the_glass_holds[name] if {
	some name, told in {
		"not on call": {"groups": ["staff"]},
		"no reason": {"claims": {}},
		"a reason of two words": {"claims": {"reason": "because I"}},
		"a reason of signs": {"claims": {"reason": ". . . ."}},
		"a reason that is no text": {"claims": {"reason": ["one", "two", "three"]}},
		"too old a token": _issued((60 * _second) + 1),
		"a token from the future": _issued(-1),
		"a token of unknown age": {"assurance": {}},
	}
	break_glass.deny == {_refusal} with input as _asked(told) with data.mcp.facts as _facts(["writes", "emergency"])
}

test_with_all_of_it_it_breaks_loudly if {
	facts := _facts(["emergency"])
	break_glass.deny == set() with input as _asked({}) with data.mcp.facts as facts
	break_glass.oblige == {_audit} with input as _asked({}) with data.mcp.facts as facts
	now := _asked(_issued(0))
	break_glass.deny == set() with input as now with data.mcp.facts as facts
	short := _asked({"claims": {"reason": "database is down"}})
	break_glass.deny == set() with input as short with data.mcp.facts as facts
}

test_other_tools_are_behind_no_glass if {
	break_glass.deny == set() with input as _asked({"groups": []}) with data.mcp.facts as _facts(["writes"])
	break_glass.oblige == set() with input as _asked({"groups": []}) with data.mcp.facts as _facts(["writes"])
}

_unset(labels) := {"items": {"crm": {"tool": {"a": {"labels": labels}}}}}

test_without_settings_only_reading_is_in_front_of_it if {
	break_glass.deny == {_refusal} with input as _asked({}) with data.mcp.facts as _unset(["writes"])
	break_glass.deny == set() with input as _asked({}) with data.mcp.facts as _unset(["safe"])
	prompt := object.union(_asked({}), {"resources": [asking.item("crm", "prompt", "a")]})
	break_glass.deny == set() with input as prompt with data.mcp.facts as {}
}

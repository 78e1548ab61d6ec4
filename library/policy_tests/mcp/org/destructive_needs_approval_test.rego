package mcp.org.destructive_needs_approval_test

import data.mcp.asking_test as asking
import data.mcp.org.destructive_needs_approval as rule

_approval := {
	"issuer": "https://id.example.com",
	"subject": "alice@example.com",
	"backend": "crm",
	"tool": "a",
	"until_ns": asking.now_ns + 1,
	"by": "bob@example.com",
}

_facts(labels, approved) := {
	"settings": {"destructive_needs_approval": {"approved": approved}},
	"items": {"crm": {"tool": {"a": {"labels": labels}}}},
}

_needed := {
	"type": "require_approval",
	"code": "approval_needed",
	"properties": {
		"message": "{tool} may destroy something; whoever reviews the facts has to approve this call first",
		"details": {"tool": "crm__a"},
	},
}

_recorded := {"type": "audit", "code": "approved_in_facts", "properties": {"level": "full"}}

_asked := asking.call([], "crm", "a", {"id": 1})

_claiming(annotations) := object.union(
	_asked,
	{"resources": [object.union(asking.item("crm", "tool", "a"), {"annotations": annotations})]},
)

test_what_may_destroy_needs_an_approval[name] if {
	some name, tc in {
		"labelled so": {"labels": ["destructive"], "claims": {}},
		"labelled safe as well": {"labels": ["safe", "destructive"], "claims": {}},
		"labelled as writing as well": {"labels": ["writes", "destructive"], "claims": {}},
		"not labelled": {"labels": [], "claims": {}},
		"labelled with something else": {"labels": ["personal"], "claims": {}},
		"not labelled, and it claims to read": {"labels": [], "claims": {"readOnlyHint": true}},
		"writing, and it claims to destroy": {"labels": ["writes"], "claims": {"destructiveHint": true}},
	}
	rule.oblige == {_needed} with input as _claiming(tc.claims) with data.mcp.facts as _facts(tc.labels, [])
}

test_what_is_harmless_needs_none[name] if {
	some name, tc in {
		"reading": {"labels": ["safe"], "claims": {}},
		"reading, whatever it claims": {"labels": ["safe"], "claims": {"destructiveHint": true}},
		"writing": {"labels": ["writes"], "claims": {}},
		"writing, and it claims not to destroy": {"labels": ["writes"], "claims": {"destructiveHint": false}},
	}
	rule.oblige == set() with input as _claiming(tc.claims) with data.mcp.facts as _facts(tc.labels, [])
	rule.oblige == set() with input as _claiming(tc.claims) with data.mcp.facts as _facts(tc.labels, [_approval])
}

test_an_approved_call_is_let_through_and_recorded_whole[name] if {
	some name, tc in {
		"all calls": {},
		"just this one": {"arguments": {"id": 1}},
		"for longer": {"until_ns": asking.now_ns + 1000000000},
	}
	approved := [{"tool": "b"}, object.union(_approval, tc)]
	rule.oblige == {_recorded} with input as _asked with data.mcp.facts as _facts(["destructive"], approved)
}

test_an_approval_of_something_else_is_none[name] if {
	some name, tc in {
		"somebody else": {"subject": "mallory@example.com"},
		"somebody of that name elsewhere": {"issuer": "https://id.partner.example"},
		"another tool": {"tool": "b"},
		"another backend": {"backend": "deploy"},
		"until now": {"until_ns": asking.now_ns},
		"until a text": {"until_ns": "9"},
		"other arguments": {"arguments": {"id": 2}},
		"fewer arguments": {"arguments": {}},
		"more arguments": {"arguments": {"id": 1, "force": true}},
	}
	approved := [object.union(_approval, tc)]
	rule.oblige == {_needed} with input as _asked with data.mcp.facts as _facts(["destructive"], approved)
}

test_without_settings_nothing_is_approved if {
	rule.oblige == {_needed} with input as _asked with data.mcp.facts as {}
}

test_only_calls_of_tools_are_meant if {
	prompt := object.union(_asked, {"resources": [asking.item("crm", "prompt", "a")]})
	rule.oblige == set() with input as prompt with data.mcp.facts as {}
	rule.oblige == set() with input as asking.answered(_asked, {"content": []}) with data.mcp.facts as {}
	rule.oblige == set() with input as asking.listing([], [asking.item("crm", "tool", "a")]) with data.mcp.facts as {}
}

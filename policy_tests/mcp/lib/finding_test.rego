package mcp.lib.finding_test

import data.mcp.lib.finding

_rule := {"title": "no {x}", "custom": {"code": "never"}}

test_a_finding_is_worded_by_its_rule if {
	finding.refusal(_rule) == {"code": "never", "message": "no {x}"}
	finding.detailed(_rule, {"x": 1}) == {"code": "never", "message": "no {x}", "details": {"x": 1}}
	finding.scoped(_rule, {}, {"a"}) == {"code": "never", "message": "no {x}", "details": {}, "scopes": {"a"}}
	finding.duty(_rule, "audit", {"level": "full"}) == {"type": "audit", "code": "never", "properties": {"level": "full"}}
	finding.duty_at(_rule, "audit", {}, {0}) == {"type": "audit", "code": "never", "properties": {}, "positions": {0}}
}

test_a_rule_without_words_is_heard_all_the_same[name] if {
	some name, rule in {"nothing": {}, "a title alone": {"title": "refused by policy"}, "no code": {"custom": {}}}
	finding.refusal(rule) == {"code": "unnamed_rule", "message": "refused by policy"}
}

package system.authz_test

import data.system.authz

test_only_the_decision_the_facts_and_health_are_open[name] if {
	some name, tc in {
		"the decision": {"method": "POST", "path": ["v1", "data", "mcp", "authz", "decision"], "open": true},
		"health": {"method": "GET", "path": ["health"], "open": true},
		"metrics": {"method": "GET", "path": ["metrics"], "open": true},
		"not reading the decision": {"method": "GET", "path": ["v1", "data", "mcp", "authz", "decision"], "open": false},
		"not what is below it": {"method": "POST", "path": ["v1", "data", "mcp", "authz", "decision", "x"], "open": false},
		"the facts": {"method": "POST", "path": ["v1", "data", "mcp", "facts"], "open": true},
		"not what is above them": {"method": "POST", "path": ["v1", "data", "mcp"], "open": false},
		"not other data": {"method": "POST", "path": ["v1", "data", "mcp", "org"], "open": false},
		"not a part of the facts": {"method": "POST", "path": ["v1", "data", "mcp", "facts", "waivers"], "open": false},
		"not the old interface": {"method": "POST", "path": ["v0", "data", "mcp", "authz", "decision"], "open": false},
		"not the default decision": {"method": "POST", "path": [""], "open": false},
		"not writing facts": {"method": "PUT", "path": ["v1", "data", "mcp", "facts"], "open": false},
		"not policies": {"method": "GET", "path": ["v1", "policies"], "open": false},
		"not queries": {"method": "POST", "path": ["v1", "query"], "open": false},
		"not compiling": {"method": "POST", "path": ["v1", "compile"], "open": false},
		"not the configuration": {"method": "GET", "path": ["v1", "config"], "open": false},
		"not changing health": {"method": "POST", "path": ["health"], "open": false},
	}
	authz.allow == tc.open with input as {"method": tc.method, "path": tc.path}
}

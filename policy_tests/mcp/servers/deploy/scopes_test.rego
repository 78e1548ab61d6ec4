package mcp.servers.deploy.scopes_test

import data.mcp.asking_test as asking
import data.mcp.servers.deploy.scopes

test_a_token_needs_the_scope[name] if {
	some name, tc in {
		"a token without it": {"tool": "deploy", "authentication": "jwt", "scopes": ["deploy:read"], "refused": true},
		"a token with it": {"tool": "deploy", "authentication": "jwt", "scopes": ["deploy:write"], "refused": false},
		"restarting": {"tool": "restart", "authentication": "jwt", "scopes": [], "refused": true},
		"reading": {"tool": "services", "authentication": "jwt", "scopes": [], "refused": false},
		"an API key": {"tool": "deploy", "authentication": "api_key", "scopes": [], "refused": false},
		"a certificate": {"tool": "deploy", "authentication": "mtls", "scopes": [], "refused": false},
		"a named user": {"tool": "deploy", "authentication": "asserted", "scopes": [], "refused": true},
		"nobody": {"tool": "deploy", "authentication": "none", "scopes": [], "refused": true},
	}
	asked := object.union(
		asking.call(["engineers"], "deploy", tc.tool, {}),
		{"subject": {"authentication": tc.authentication, "scopes": tc.scopes}},
	)
	refusals := scopes.deny with input as asked
	refusals == {refusal |
		tc.refused
		refusal := {
			"code": "scope_missing",
			"message": "deploying needs a token with the scope deploy:write",
			"details": {},
			"scopes": {"deploy:write"},
		}
	}
}

package mcp.servers.deploy.production_test

import data.mcp.asking_test as asking
import data.mcp.servers.deploy.production

test_what_is_not_known_to_be_elsewhere_is_production[name] if {
	some name, tc in {
		"production": {"arguments": {"environment": "production"}, "told": "production", "refused": true},
		"staging": {"arguments": {"environment": "staging"}, "told": "", "refused": false},
		"test": {"arguments": {"environment": "test"}, "told": "", "refused": false},
		"misspelt": {"arguments": {"environment": "Staging"}, "told": "Staging", "refused": true},
		"a list": {"arguments": {"environment": ["staging"]}, "told": ["staging"], "refused": true},
		"absent": {"arguments": {}, "told": "production", "refused": true},
	}
	refusals := production.deny with input as asking.call(["engineers"], "deploy", "deploy", tc.arguments)
	refusals == {refusal |
		tc.refused
		refusal := {
			"code": "release_team_only",
			"message": "only the release team (group release) deploys to {environment}",
			"details": {"environment": tc.told},
		}
	}
}

test_restarting_counts_too if {
	count(production.deny) == 1 with input as asking.call([], "deploy", "restart", {"environment": "production"})
}

test_the_release_team_may if {
	production.deny == set() with input as asking.call(["release"], "deploy", "deploy", {"environment": "production"})
}

test_reading_is_not_meant if {
	production.deny == set() with input as asking.call([], "deploy", "service_log", {"service": "web"})
}

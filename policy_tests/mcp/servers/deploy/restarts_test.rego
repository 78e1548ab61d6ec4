package mcp.servers.deploy.restarts_test

import data.mcp.asking_test as asking
import data.mcp.servers.deploy.restarts

test_restarts_are_rationed_by_subject if {
	restarts.oblige == {{
		"type": "rate_limit",
		"code": "restarts",
		"properties": {"key": "https://id.example.com alice@example.com", "limit": 3, "period_s": 60},
	}} with input as asking.call(["engineers"], "deploy", "restart", {})
}

test_nothing_else_is_rationed if {
	restarts.oblige == set() with input as asking.call(["engineers"], "deploy", "deploy", {})
	restarts.oblige == set() with input as asking.listing([], [asking.item("deploy", "tool", "restart")])
}

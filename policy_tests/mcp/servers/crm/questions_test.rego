package mcp.servers.crm.questions_test

import data.mcp.asking_test as asking
import data.mcp.servers.crm.questions

test_card_numbers_do_not_reach_the_search if {
	duties := questions.oblige with input as asking.call([], "crm", "search_customers", {"query": "4111 1111 1111 1111"})
	told := {[duty.code, duty.type, duty.properties.target, duty.positions] | some duty in duties}
	told == {["card_in_query", "redact", "arguments", {0}]}
}

test_other_tools_are_not_meant if {
	questions.oblige == set() with input as asking.call([], "crm", "customer", {})
}

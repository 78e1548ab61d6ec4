package mcp.lib.subject_test

import data.mcp.asking_test as asking
import data.mcp.lib.subject

test_membership_in_one_group_is_enough if {
	subject.in_any({"a", "b"}) with input as asking.listing(["x", "b"], [])
	not subject.in_any({"a", "b"}) with input as asking.listing(["x"], [])
	not subject.in_any(set()) with input as asking.listing(["x"], [])
}

test_a_name_holds_issuer_and_id if {
	subject.name == "https://id.example.com alice@example.com" with input as asking.listing([], [])
	subject.name == " " with input as {"subject": {}}
}

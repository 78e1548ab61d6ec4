package mcp.org.reviewed_test

import data.mcp.asking_test as asking
import data.mcp.org.reviewed

_facts := {"items": {"crm": {"tool": {
	"same": {"fingerprint": asking.reviewed},
	"changed": {"fingerprint": asking.changed},
	"labelled": {"labels": ["safe"]},
}}}}

_tools := [asking.item("crm", "tool", name) | some name in ["same", "changed", "labelled", "unknown"]]

test_what_is_not_as_reviewed_is_hidden if {
	reviewed.hide == {1, 2, 3} with input as asking.listing(["analysts"], _tools) with data.mcp.facts as _facts
}

test_without_facts_everything_is_hidden if {
	reviewed.hide == {0, 1, 2, 3} with input as asking.listing(["analysts"], _tools) with data.mcp.facts as {}
}

test_reviewers_see_what_they_review if {
	reviewed.hide == set() with input as asking.listing(["reviewers"], _tools) with data.mcp.facts as _facts
}

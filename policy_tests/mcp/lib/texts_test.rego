package mcp.lib.texts_test

import data.mcp.lib.texts

test_everything_that_is_said_is_found[name] if {
	some name, tc in {
		"a text": {"value": "a", "said": {"a"}},
		"a number": {"value": 42, "said": {"42"}},
		"a fraction": {"value": 4.2e3, "said": {"4200"}},
		"nothing": {"value": [null, true, {}], "said": set()},
		"an object": {"value": {"a": "b", "c": {"d": null}}, "said": {"a", "b", "c", "d"}},
		"a list": {"value": ["a", ["b", [7]]], "said": {"a", "b", "7"}},
		"JSON in a text": {"value": {"a": `{"b": ["\u0063", 1]}`}, "said": {"a", `{"b": ["\u0063", 1]}`, "b", "c", "1"}},
		"JSON in JSON": {"value": `["[\"a\"]"]`, "said": {`["[\"a\"]"]`, `["a"]`}},
	}
	texts.within(tc.value) == tc.said
}

# METADATA
# title: Results are of a reasonable size
# description: |
#   Whoever is let in to look up a customer must not leave with all of them. Counted are the characters of the whole result and
#   the entries of its longest list, whether it stands in structured content or as JSON in a text.
# schemas:
#   - input: schema.input
#   - data.mcp.facts: schema.facts
package mcp.org.result_size

import data.mcp.lib.finding

# METADATA
# title: 'the result is larger than {limit} characters; ask for less, or in parts'
# custom:
#   code: result_too_long
withhold contains finding.detailed(rego.metadata.rule(), {"limit": _max_chars}) if not _short

# METADATA
# title: 'the result lists more than {limit} entries; ask for less, or in parts'
# custom:
#   code: result_too_many
withhold contains finding.detailed(rego.metadata.rule(), {"limit": _max_items}) if not _few

_short if count(json.marshal(input.result)) <= _max_chars

_few if {
	_ = input.result
	count([list |
		some root in _roots
		walk(root, [_, list])
		is_array(list)
		count(list) > _max_items
	]) == 0
}

_roots contains input.result

# What a text says as JSON, and what each of its lines does.
_roots contains value if {
	some text in _texts
	json.is_valid(text)
	value := json.unmarshal(text)
}

_roots contains lines if {
	some text in _texts
	lines := [line | some line in split(text, "\n"); regex.match(`^\s*([{\[|]|[^,;\t]+[,;\t])`, line)]
}

_texts contains part.text if {
	some part in input.result.content
	is_string(part.text)
}

_own := object.get(data.mcp.facts.settings.result_size.tools[input.resources[0].backend], input.resources[0].name, {})

default _max_chars := 20000

_max_chars := _own.max_chars

_max_chars := data.mcp.facts.settings.result_size.max_chars if not _own.max_chars

default _max_items := 100

_max_items := _own.max_items

_max_items := data.mcp.facts.settings.result_size.max_items if not _own.max_items

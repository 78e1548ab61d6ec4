# METADATA
# title: Results are of a reasonable size
# description: |
#   Whoever is let in to look up a customer must not leave with all of them. Counted are the characters of the whole result and
#   the entries of its longest list or object, whether it stands in structured content or as JSON or lines in any of its texts.
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
withhold contains finding.detailed(rego.metadata.rule(), {"limit": _max_items}) if {
	_short # what is too long is withheld for that, and is not taken apart
	not _few
}

_short if count(json.marshal(input.result)) <= _max_chars

_few if {
	count([root |
		some root in _roots
		_is_long(root)
	]) == 0
}

_is_long(root) if {
	walk(root, [_, value])
	type_name(value) in {"array", "object"}
	count(value) > _max_items
}

# The result, what its texts say as JSON, what the texts in that say, and once more: Rego has no recursion.
_roots := ((({input.result} | _first) | _second) | _third) | _lines

_first contains value if {
	some text in _texts(input.result)
	some value in _read(text)
}

_second contains value if {
	some root in _first
	some text in _texts(root)
	some value in _read(text)
}

_third contains value if {
	some root in _second
	some text in _texts(root)
	some value in _read(text)
}

# The entries of lists and tables in a text, a line each.
_lines contains lines if {
	some root in (({input.result} | _first) | _second)
	some text in _texts(root)
	plain := regex.replace(text, `[\r\v\f\x{85}\x{2028}\x{2029}]`, "\n")
	lines := regex.find_n(_line, plain, _enough)
}

# More need not be found to know that there are too many.
_enough := _max_items + 1

_line := `(?m)^[ \t\x{feff}]*(?:[{\[|]|(?:[-*+\x{2022}]|[0-9]+[.)])[ \t]|[^,;\t|\n]+[,;\t|])`

_texts(root) := {text | walk(root, [_, text]); is_string(text)}

# JSON, also behind a byte-order mark, in a fence, between other words. What is none must not be parsed: that were an error.
_read(text) := {json.unmarshal(candidate) |
	some pattern in {`(?s)[\[{"].*`, `(?s)\[.*\]`, `(?s)\{.*\}`}
	some candidate, true in {said: json.is_valid(said) | some said in regex.find_n(pattern, text, 1)}
}

_own := object.get(data.mcp.facts.settings.result_size.tools[input.resources[0].backend], input.resources[0].name, {})

default _max_chars := 20000

_max_chars := _own.max_chars

_max_chars := data.mcp.facts.settings.result_size.max_chars if not _own.max_chars

default _max_items := 100

_max_items := _own.max_items

_max_items := data.mcp.facts.settings.result_size.max_items if not _own.max_items

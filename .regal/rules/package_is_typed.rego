# METADATA
# description: A package of rules says what it is about (title) and is typed by schema.input
# custom:
#   category: mcp
# schemas:
#   - input: schema.regal.ast
package custom.regal.rules.mcp["package-is-typed"]

import data.regal.result

report contains violation if {
	input["package"].path[1].value == "mcp"
	input["package"].path[2].value in {"org", "servers"}
	not endswith(input.regal.file.name, "_test.rego")
	not _typed
	violation := result.fail(rego.metadata.chain(), result.location(input["package"]))
}

_typed if {
	some annotation in input["package"].annotations
	annotation.title != ""
	some schema in annotation.schemas
	schema.path == ["input"]
}

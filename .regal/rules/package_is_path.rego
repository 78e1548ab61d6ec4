# METADATA
# description: A file declares the package of its own path, its name included
# custom:
#   category: mcp
# schemas:
#   - input: schema.regal.ast
package custom.regal.rules.mcp["package-is-path"]

import data.regal.result

report contains violation if {
	stem := regex.replace(input.regal.file.name, `^.*?(policies|policy_tests)/|\.rego$`, "")
	contains(input.regal.file.name, "polic")
	said := concat("/", [part.value | some index, part in input["package"].path; index > 0])
	said != stem
	violation := result.fail(rego.metadata.chain(), result.location(input["package"]))
}

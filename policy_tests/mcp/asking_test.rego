# METADATA
# title: Questions for tests, with everything that the contract demands
package mcp.asking_test

reviewed := "sha256:1111111111111111111111111111111111111111111111111111111111111111"

changed := "sha256:2222222222222222222222222222222222222222222222222222222222222222"

now_ns := 1700000000000000000

subject(groups) := {
	"type": "user",
	"issuer": "https://id.example.com",
	"id": "alice@example.com",
	"groups": groups,
	"scopes": [],
	"claims": {},
	"authentication": "api_key",
	"actors": [],
}

context := {
	"surface": "default",
	"protocol": "2026-07-28",
	"time_ns": now_ns,
	"source_ip": "127.0.0.1",
	"approvals": [],
	"obligations": ["redact", "rate_limit", "inspect_result", "audit"],
}

item(backend, type, name) := {
	"type": type,
	"backend": backend,
	"name": name,
	"id": concat("__", [backend, name]),
	"public_name": concat("__", [backend, name]),
	"listed": true,
	"fingerprint": reviewed,
}

# What a template makes; no template: an empty one.
resource(backend, address, made_by) := object.union(_plain_resource(backend, address), _made_by(made_by))

_plain_resource(backend, address) := {
	"type": "resource",
	"backend": backend,
	"uri": address,
	"public_name": address,
	"listed": false,
}

_made_by("") := {}

_made_by(uri_template) := {"template": uri_template} if uri_template != ""

template(backend, uri_template) := {
	"type": "resource_template",
	"backend": backend,
	"template": uri_template,
	"public_name": uri_template,
	"listed": true,
	"fingerprint": reviewed,
}

listing(groups, resources) := {
	"version": 1,
	"subject": subject(groups),
	"action": {"name": "tools/list", "phase": "list", "initiator": "client"},
	"resources": resources,
	"context": context,
}

call(groups, backend, tool, arguments) := {
	"version": 1,
	"subject": subject(groups),
	"action": {"name": "tools/call", "phase": "request", "initiator": "client"},
	"resources": [item(backend, "tool", tool)],
	"arguments": arguments,
	"arguments_valid": true,
	"context": context,
}

answered(asked, result) := object.union(asked, {
	"action": {"name": "tools/call", "phase": "result", "initiator": "client"},
	"result": result,
})

# A decision that says nothing.
silent := {
	"version": 1,
	"visible": set(),
	"allowed": set(),
	"granted_by": {},
	"hidden_by": {},
	"denials": set(),
	"observed": {},
	"waived": set(),
	"obligations": set(),
}

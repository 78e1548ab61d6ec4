"""The files of a new policy repository that the gateway's own source tree has no use for."""

OPA_VERSION = "1.21.1"  # those of tools/opa/go.mod and tools/regal/go.mod, with which the shipped set is tested
REGAL_VERSION = "0.42.0"

TOOLS = f"""\
#!/bin/sh
# Brings what `mcp-gateway policy check` needs into ./.tools: the gateway's command line, OPA and Regal, each at a fixed version.
# MCP_GATEWAY_PACKAGE says where your organisation gets the gateway from, in words of pip: a wheel's URL, or name==version in
# an index of yours. There is no default on purpose: a name in a public index may be anybody's.
set -eu
: "${{MCP_GATEWAY_PACKAGE:?set it to what pip shall install as the gateway}}"
opa={OPA_VERSION} regal={REGAL_VERSION}
mkdir -p .tools
python3 -m venv .tools/python
.tools/python/bin/pip install --quiet --disable-pip-version-check "$MCP_GATEWAY_PACKAGE"
releases=https://github.com/open-policy-agent
curl -fsSL -o .tools/opa "$releases/opa/releases/download/v$opa/opa_linux_amd64_static"
curl -fsSL -o .tools/regal "$releases/regal/releases/download/v$regal/regal_Linux_x86_64"
chmod +x .tools/opa .tools/regal
"""

GITHUB = """\
name: policy
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - run: sh ci/tools.sh
        env:
          MCP_GATEWAY_PACKAGE: ${{ vars.MCP_GATEWAY_PACKAGE }}
      - run: .tools/python/bin/mcp-gateway policy check
        env:
          OPA: .tools/opa
          REGAL: .tools/regal
"""

GITLAB = """\
# MCP_GATEWAY_PACKAGE is a CI/CD variable of the project or its group: see ci/tools.sh.
policy:
  image: python:3.11
  timeout: 10 minutes
  variables:
    OPA: .tools/opa
    REGAL: .tools/regal
  script:
    - sh ci/tools.sh
    - .tools/python/bin/mcp-gateway policy check
"""

README = """\
# Policies of the MCP gateway

Who may see and do what through the gateway. A rule joins by existing: one file, one package, named by its path.

| here | is |
|---|---|
| `policies/mcp/servers/<backend>/` | rules for one backend's items; only they can grant. `crm` is an example |
| `policies/mcp/org/` | rules of the organisation, for all items |
| `policies/mcp/facts/` | reviewed data: labels, fingerprints, exceptions, kill switches. Rolls out apart from the rules |
| `policies/mcp/canaries/` | questions with known answers: a set that gets one wrong never decides |
| `policies/mcp/authz*`, `lib`, `servers/canary` | came with the gateway; leave them as they are |
| `policy_tests/` | the tests: same path, same name, `_test.rego` |
| `schemas/` | what types the rules: the input, the facts, and each tool's arguments under `tools/<backend>/` |
| `.regal/`, `capabilities.json` | settings of the linter, our rules for it, and what rules may not call |
| `ci/`, `.github/`, `.gitlab-ci.yml` | run `mcp-gateway policy check`; set `MCP_GATEWAY_PACKAGE` once, see `ci/tools.sh` |

## A new rule

1. `mcp-gateway policy new servers/crm/refunds --tool refund` writes the rule and its test, which fails.
2. Say in `policy_tests/mcp/servers/crm/refunds_test.rego` who is let through and who is not.
3. Write the rule in `policies/mcp/servers/crm/refunds.rego` until the tests pass. Refuse with `deny` unless a helper knows that
   it is right (`not _permitted`): what is absent must not pass.
4. `mcp-gateway policy check` until all is fine; then a pull request.

`mcp-gateway policy new --list` shows rules that come with the gateway, to be copied with `policy new --from library:RULE`.
`mcp-gateway policy check --rule servers/crm/refunds` is the quick look at one rule between two edits.

A gateway enforces this folder with `policy: {folder: policies, schemas: schemas, capabilities: capabilities.json}` in its
settings; an edit is in force within a second.
"""

FILES = {
    "README.md": README,
    ".gitignore": ".tools/\n",
    "ci/tools.sh": TOOLS,
    ".github/workflows/policy.yml": GITHUB,
    ".gitlab-ci.yml": GITLAB,
}

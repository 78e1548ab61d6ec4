"""The files of a new policy repository that the gateway's own source tree has no use for."""

TOOLS = r"""#!/bin/sh
# Brings what `mcp-gateway policy check` needs into ./.tools: the gateway's command line, OPA and Regal, each at a fixed version.
# MCP_GATEWAY_PACKAGE says where your organisation gets the gateway from, in words of pip: a wheel's URL, best with its
# #sha256=…, or name==version in an index of yours. There is no default on purpose: a name in a public index may be anybody's.
# What the gateway needs is checked against the hashes in ci/requirements.txt. OPA and Regal are those on PATH where their version
# is the one in ci/*/go.mod; otherwise they are built from source (minutes, once: cache .tools/opa and .tools/regal), of which
# ci/*/go.sum checks every byte, with the Go on PATH or the one in ci/go.txt. PIP_INDEX_URL, PIP_EXTRA_ARGS and GOPROXY count.
set -eu
: "${MCP_GATEWAY_PACKAGE:?set it to what pip shall install as the gateway}"
cd "$(dirname "$0")/.."
tools=$PWD/.tools

install() {
  # shellcheck disable=SC2086 # several arguments are meant
  "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps ${PIP_EXTRA_ARGS:-} "$2" ${3:+"$3" "$4"}
}

version() {
  "$1" version 2>/dev/null | sed -n 's/^Version:[[:space:]]*v\{0,1\}//p'
}

build() {
  echo "building $2 with $1, once …" >&2
  (cd "ci/$2" && CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false" "$1" build -trimpath -o "$tools/$2" "$3")
}

bring() {
  wanted=$(sed -n "s|^require $2 v||p" "ci/$1/go.mod")
  if [ "$(version "$tools/$1")" = "$wanted" ]; then return 0; fi
  rm -f "$tools/$1"
  found=$(command -v "$1" || true)
  if [ -n "$found" ] && [ "$(version "$found")" = "$wanted" ]; then
    ln -s "$found" "$tools/$1"
    return 0
  fi
  if command -v go >/dev/null && build go "$1" "$2"; then return 0; fi
  if [ ! -x "$tools/go/bin/go" ]; then
    python3 -m venv "$tools/go"
    install "$tools/go" --require-hashes -r ci/go.txt
  fi
  build "$tools/go/bin/go" "$1" "$2"
}

mkdir -p "$tools"
python3 -m venv "$tools/python"
install "$tools/python" --require-hashes -r ci/requirements.txt
install "$tools/python" "$MCP_GATEWAY_PACKAGE"
"$tools/python/bin/pip" check # of another gateway than this repository was made with: take its ci/requirements.txt over
bring opa github.com/open-policy-agent/opa
bring regal github.com/open-policy-agent/regal
"""

GITHUB = """\
# Actions are named by tag; an organisation that wants more names them by commit (`uses: actions/checkout@<commit> # v4`).
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
    timeout-minutes: 20
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - uses: actions/cache@v4
        with:
          path: |
            .tools/opa
            .tools/regal
          key: tools-${{ runner.os }}-${{ runner.arch }}-${{ hashFiles('ci/**') }}
      - run: sh ci/tools.sh
        env:
          MCP_GATEWAY_PACKAGE: ${{ vars.MCP_GATEWAY_PACKAGE }}
          PIP_INDEX_URL: ${{ secrets.PIP_INDEX_URL || vars.PIP_INDEX_URL }}
          PIP_EXTRA_ARGS: ${{ vars.PIP_EXTRA_ARGS }}
          GOPROXY: ${{ vars.GOPROXY }}
      - run: .tools/python/bin/mcp-gateway policy check
        env:
          OPA: .tools/opa
          REGAL: .tools/regal
"""

GITLAB = """\
# MCP_GATEWAY_PACKAGE is a CI/CD variable of the project or its group, and so are PIP_INDEX_URL, PIP_EXTRA_ARGS and GOPROXY where
# they are needed: see ci/tools.sh. The image is named by tag; an organisation that wants more names it by digest.
policy:
  image: python:3.11
  timeout: 20 minutes
  variables:
    OPA: .tools/opa
    REGAL: .tools/regal
  cache:
    key:
      files: [ci/opa/go.sum, ci/regal/go.sum]
    paths: [.tools/opa, .tools/regal]
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

What a newer gateway brings: `mcp-gateway policy init NEW`, `git diff --no-index . NEW`, and take over what is not yours.

## A new backend

1. `mcp-gateway catalog pin --settings ../gateway.yaml` (wherever your gateway's settings are) takes what its backends offer for
   reviewed: fingerprints, and schemas that type the rules.
2. Say in `policies/mcp/facts/data.yaml` what each tool does. Calls of a tool without a label are refused as if it destroyed:

   ```yaml
   items:
     tickets:
       tool:
         list_tickets: {labels: [safe]} # reads only; writes: changes without destroying; destructive; personal: data of persons
   ```

   `mcp-gateway catalog diff --suggest-labels --settings ../gateway.yaml` proposes some.
3. `mcp-gateway policy new servers/tickets/access --verb allow --tool list_tickets` begins the rule that says who sees what:
   without one nobody does.

## A new rule

1. `mcp-gateway policy new servers/crm/moves --tool update_customer` writes the rule and its test, which fails.
2. Say in `policy_tests/mcp/servers/crm/moves_test.rego` who is let through and who is not.
3. Write the rule in `policies/mcp/servers/crm/moves.rego` until the tests pass. Refuse with `deny` unless a helper knows that
   it is right (`not _permitted`): what is absent must not pass.
4. Has its tool a label in `policies/mcp/facts/data.yaml`? Calls of one that has none are refused whatever the rule says.
5. `mcp-gateway policy check` until all is fine; then a pull request.

`mcp-gateway policy new --list` shows rules that come with the gateway, to be copied with `policy new --from library:RULE`.
`mcp-gateway policy check --rule servers/crm/changes` is the quick look at one rule between two edits.

## How to remove the example

1. `rm -r policies/mcp/servers/crm policy_tests/mcp/servers/crm schemas/tools/crm schemas/results/crm`
2. In `policies/mcp/facts/data.yaml`: take `crm` out of `items`, and put your own group for `crm_admins` under `groups`, or `[]`.
3. In `policies/mcp/facts/items/data.json`: take `crm` out.

`mcp-gateway policy check` is fine afterwards. The words `safe`, `writes`, `destructive` and `personal` stay known.

## In force

A gateway enforces this folder with `policy: {folder: policies, schemas: schemas, capabilities: capabilities.json}` in its
settings; an edit is in force within a second. In production that is a checkout of main, or a signed bundle
(`mcp-gateway policy build`), never the folder in which somebody edits.
"""

FILES = {
    "README.md": README,
    ".gitignore": ".tools/\nbundle.tar.gz\n",
    "ci/tools.sh": TOOLS,
    ".github/workflows/policy.yml": GITHUB,
    ".gitlab-ci.yml": GITLAB,
}

"""A real OPA and small policy sets to give it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

ENTRYPOINT = """\
# METADATA
# schemas:
#   - input: schema.input
package mcp.authz

decision := {
	"version": 1,
	"visible": _visible,
	"allowed": _visible,
	"granted_by": {},
	"hidden_by": {},
	"denials": [],
	"observed": {},
	"waived": [],
	"obligations": [],
} if {
	data.mcp.facts.version == 1
}

# generation 0
_visible := [position | some position, resource in input.resources; resource.backend == "crm"]
"""

FACTS = "version: 1\n"

FACTS_SCHEMA = """\
{
  "type": "object",
  "properties": {"version": {"const": 1}, "blocks": {"type": "array"}},
  "required": ["version"],
  "additionalProperties": false
}
"""

INPUT_SCHEMA = """\
{
  "type": "object",
  "properties": {
    "resources": {
      "type": "array",
      "items": {"type": "object", "properties": {"backend": {"type": "string"}}, "additionalProperties": false}
    }
  },
  "additionalProperties": false
}
"""

CANARIES = """\
[
  {"name": "known allow", "input": {"resources": [{"backend": "crm"}]}, "expect": {"visible": [0], "allowed": [0]}},
  {"name": "known deny", "input": {"resources": [{"backend": "other"}]}, "expect": {"visible": [], "allowed": []}}
]
"""


@pytest.fixture(scope="session")
def opa() -> str:
    found = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "binaries.py"), "opa"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A folder with a small good policy set; its schemas lie beside it."""
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    (schemas / "facts.json").write_text(FACTS_SCHEMA)
    (schemas / "input.json").write_text(INPUT_SCHEMA)
    folder = tmp_path / "policies"
    for name, text in {
        "mcp/authz/decision.rego": ENTRYPOINT,
        "mcp/facts/data.yaml": FACTS,
        "mcp/canaries/data.json": CANARIES,
    }.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def edit(policies: Path) -> Callable[[str, str, str], None]:
    """Replace text in one file of the policies, in place."""

    def replace(name: str, old: str, new: str) -> None:
        path = policies / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return replace

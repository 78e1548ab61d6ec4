"""The page says how to get from nothing to enforced: here somebody does as it says, to the letter."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tools.binaries import find

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/policy/init.md").read_text().partition("## From nothing to enforced")[2].partition("\n## ")[0]
SERVER = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("tickets")


@server.tool()
def list_tickets() -> list[str]:
    "All open tickets."
    return ["T-1"]


server.run()
"""


def test_the_page_leads_from_nothing_to_a_policy_that_is_enforced(tmp_path: Path) -> None:
    """All but `serve`: the table at the end is what the gateway would answer. Mutants, which take long, of the new rule alone."""
    (tmp_path / "tickets.py").write_text(SERVER)
    settings, labels = (textwrap.dedent(each) for each in re.findall(r"```yaml\n(.+?) *```", PAGE, re.S))
    commands = re.findall(r"`((?:mcp-gateway|sed) [^`]+)`", PAGE)
    steps = [each for each in commands if not each.startswith(("mcp-gateway serve", "mcp-gateway catalog diff"))]
    assert [each.split()[:3] for each in steps if each.startswith("mcp-gateway")] == [
        ["mcp-gateway", "policy", "init"],
        ["mcp-gateway", "keys", "create"],
        ["mcp-gateway", "catalog", "pin"],
        ["mcp-gateway", "policy", "new"],
        ["mcp-gateway", "policy", "check"],
    ]
    for step in steps:
        if "keys create" in step:
            (tmp_path / "gateway.yaml").write_text(settings)
        if "policy new" in step:
            facts = tmp_path / "our-policies/policies/mcp/facts/data.yaml"
            told = facts.read_text()
            assert told.count("\nitems:\n") == 1
            facts.write_text(told.replace("\nitems:\n", f"\nitems:\n{textwrap.indent(labels, '  ')}"))
        if "policy check" in step:
            _ran(tmp_path, f"{step} --no-mutation")
            assert "mutation     ok" in _ran(tmp_path, f"{step} --rule servers/tickets/access")
        else:
            _ran(tmp_path, step)
    (tmp_path / "personas.yaml").write_text("personas: [{name: ada, groups: [support]}, {name: eve}]")
    seen = _ran(tmp_path, "mcp-gateway policy access --policies our-policies --backend tickets --format csv")
    assert seen.splitlines()[1:] == [
        "ada,tickets,tool,tickets__list_tickets,allowed,,",
        "eve,tickets,tool,tickets__list_tickets,hidden,,",
    ]


def _ran(folder: Path, command: str) -> str:
    around = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "COLUMNS": "200"}
    around |= {"OPA": find("opa"), "REGAL": find("regal")}
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=around, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout

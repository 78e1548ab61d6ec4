"""What the suite runs against: the everything server, and a gateway in front that asks a policy which allows it all.

The suite cannot send credentials, so the surfaces are anonymous; it demands names exactly, so they are bare. One surface
reaches the server as a modern backend, the other as a legacy one.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from examples.demo.stack import first_line, started, wait_ready
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "tests" / "conformance" / "policies"
BACKENDS = ("modern", "legacy")
OBSERVED = (
    "org/reviewed",  # nobody has reviewed the fixtures
    "org/destructive",  # nobody is in a group
    "org/credentials",  # a duty to search results withholds what cannot be searched: pictures and sounds
)


@dataclass(frozen=True)
class Stack:
    server_url: str
    gateway_url: str

    def through(self, backend: str) -> str:
        return f"{self.gateway_url}/{backend}"


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Both up and ready; ended on leaving."""
    with ExitStack() as stopping:
        log = folder / "server.log"
        server = started(["-m", "tests.conformance.everything", "--port", "0"], log, stopping)
        server_url = f"http://127.0.0.1:{first_line(server, log, 'port').split()[1]}/mcp"
        settings = folder / "gateway.yaml"
        settings.write_text(yaml.safe_dump(_settings(folder, server_url)))
        log = folder / "gateway.log"
        gateway = started(["-m", "gateway.cli", "serve", "--settings", str(settings)], log, stopping)
        urls = json.loads(first_line(gateway, log, "gateway ready").removeprefix("gateway ready "))
        wait_ready(urls["operations"] + "/readyz", log)
        yield Stack(server_url, urls["mcp"])


def _settings(folder: Path, server_url: str) -> dict[str, object]:
    return {
        "listen": {"port": 0},
        "operations": {"port": 0},
        "policy": {"folder": str(_policies(folder)), "schemas": str(ROOT / "schemas")},
        "opa": {"binary": os.environ.get("OPA") or find("opa")},
        "backends": {name: {"url": server_url, "era": name} for name in BACKENDS},
        "surfaces": {name: {"backends": [name], "bare": True, "anonymous": True} for name in BACKENDS},
        "audit": {"folder": str(folder / "audit")},
        "limits": {"sessions_per_caller": 1000},
    }


def _policies(folder: Path) -> Path:
    """The shipped policies with a grant to everybody, and without the rules that need somebody's review."""
    policies = folder / "policies"
    shutil.copytree(ROOT / "policies", policies)
    for name in BACKENDS:
        rules = policies / "mcp" / "servers" / name
        rules.mkdir()
        grant = (RULES / "access.rego").read_text()
        (rules / "access.rego").write_text(grant.replace("mcp.servers.everything.", f"mcp.servers.{name}."))
    facts = policies / "mcp" / "facts" / "data.yaml"
    known = yaml.safe_load(facts.read_text())
    for rule in OBSERVED:
        known["rules"][rule] = {"enforcement": "observe", "waivable": False}
    facts.write_text(yaml.safe_dump(known))
    return policies

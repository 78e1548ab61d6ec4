"""The measured stack: three fast backends, the gateway, the shipped policies with a rule for the backends added."""

import hashlib
import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from bench.client import Target
from examples.demo.stack import first_line, started, wait_ready

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = {"b10": 10, "b200": 200, "b1000": 1000}
USERS = itertools.count()

GRANT = """\
# METADATA
# title: everybody may use the bench's tools
package mcp.servers.{backend}.access

allow contains position if {{
	some position, _ in input.resources
	input.subject.type != "anonymous"
}}
"""
REDACT = """\
# METADATA
# title: three patterns are redacted in every result
package mcp.servers.b200.patterns

import data.mcp.lib.finding

# METADATA
# title: three patterns are redacted
# custom:
#   code: patterns
oblige contains finding.duty(rego.metadata.rule(), "redact", {"target": "result", "pattern": pattern, "action": "replace"}) if {
	some pattern in ["[0-9]{4} [0-9]{4} [0-9]{4} [0-9]{4}", "[a-z.]+@[a-z]+\\\\.test", "dull"]
}
"""


@dataclass(frozen=True)
class Stack:
    gateway: Target
    backends: dict[str, Target]
    gateway_pid: int
    folder: Path

    def target(self, arm: str, backend: str) -> Target:
        if arm == "direct":
            return self.backends[backend]
        return Target(self.gateway.host, self.gateway.port, f"/mcp/{backend}", self.gateway.headers)

    def opa_pid(self) -> int:
        """The OPA in force: the gateway's only lasting child."""
        children = Path(f"/proc/{self.gateway_pid}/task/{self.gateway_pid}/children").read_text().split()
        named = [int(pid) for pid in children if "opa" in Path(f"/proc/{pid}/cmdline").read_text()]
        return named[-1]


@contextmanager
def stack(folder: Path, *, refresh_s: float = 60.0) -> Iterator[Stack]:
    """`refresh_s`: how often the catalog is fetched anew."""
    with ExitStack() as stopping:
        backends: dict[str, Target] = {}
        for name, tools in BACKENDS.items():
            log = folder / f"{name}.log"
            process = started(["-m", "bench.backend", "--tools", str(tools)], log, stopping)
            backends[name] = Target("127.0.0.1", int(first_line(process, log, "port").split()[1]), "/mcp")
        secret = secrets.token_urlsafe(32)
        settings = folder / "gateway.yaml"
        settings.write_text(yaml.safe_dump({**_settings(folder, backends, secret), "catalog": {"refresh_s": refresh_s}}))
        pin = [sys.executable, "-m", "gateway.cli", "catalog", "pin", "--settings", str(settings)]
        subprocess.run(pin, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        process = started(["-m", "gateway.cli", "serve", "--settings", str(settings)], folder / "gateway.log", stopping)
        urls = json.loads(first_line(process, folder / "gateway.log", "gateway ready").removeprefix("gateway ready "))
        wait_ready(urls["operations"] + "/readyz", folder / "gateway.log")
        place = urlsplit(urls["mcp"])
        headers = (("Authorization", f"Bearer mgw_bench_{secret}"),)
        yield Stack(Target(place.hostname or "", place.port or 0, "/mcp", headers), backends, process.pid, folder)


def _settings(folder: Path, backends: dict[str, Target], secret: str) -> dict[str, object]:
    policies = folder / "policies"
    shutil.copytree(ROOT / "policies", policies)
    for name in backends:
        rules = policies / "mcp/servers" / name
        rules.mkdir()
        (rules / "access.rego").write_text(GRANT.format(backend=name))
    (policies / "mcp/servers/b200/patterns.rego").write_text(REDACT)
    facts = policies / "mcp/facts/data.yaml"
    known = yaml.safe_load(facts.read_text())
    for name in backends:
        known["items"][name] = {"tool": {tool: {"labels": ["safe"]} for tool in ("echo", "big", "stream")}}
    facts.write_text(yaml.safe_dump(known))
    key = {"id": "bench", "sha256": hashlib.sha256(secret.encode()).hexdigest(), "subject": "bench", "names_users": True}
    return {
        "listen": {"port": 0},
        "operations": {"port": 0},
        "policy": {"folder": str(policies), "schemas": str(ROOT / "schemas")},
        "opa": {"binary": os.environ["OPA"]} if os.environ.get("OPA") else {},
        "backends": {
            name: {"url": f"http://{each.host}:{each.port}{each.path}", "stateless": True} for name, each in backends.items()
        },
        "surfaces": {name: {"backends": [name], "bare": True} for name in backends},
        "identity": {"api_keys": [key]},
        "audit": {"folder": str(folder / "audit")},
        "limits": {"sessions_per_caller": 1000},
    }

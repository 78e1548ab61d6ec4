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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

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
    shadowed: Target | None = None  # a second gateway, which has the same policies in its shadow
    shadowed_pid: int = 0

    def target(self, arm: str, backend: str) -> Target:
        if arm == "direct":
            return self.backends[backend]
        gateway = self.shadowed if arm == "shadow" else self.gateway
        assert gateway is not None
        return Target(gateway.host, gateway.port, f"/mcp/{backend}", gateway.headers)

    def pid(self, arm: str) -> int:
        """Of the gateway that an arm goes through."""
        return self.shadowed_pid if arm == "shadow" else self.gateway_pid

    def opa_pids(self, arm: str) -> list[int]:
        """The OPA in force; with a shadow also what compares and the candidate's OPA: a gateway has no other children."""
        return _below(self.pid(arm))


def _below(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(further for child in children for further in _below(child))]


@contextmanager
def stack(folder: Path, *, refresh_s: float = 60.0, shadow: bool = False) -> Iterator[Stack]:
    """`refresh_s`: how often the catalog is fetched anew. `shadow`: a second gateway, with a shadow, runs as well."""
    with ExitStack() as stopping:
        backends: dict[str, Target] = {}
        for name, tools in BACKENDS.items():
            log = folder / f"{name}.log"
            process = started(["-m", "bench.backend", "--tools", str(tools)], log, stopping)
            backends[name] = Target("127.0.0.1", int(first_line(process, log, "port").split()[1]), "/mcp")
        secret = secrets.token_urlsafe(32)
        told = {**_settings(folder, backends, secret), "catalog": {"refresh_s": refresh_s}}
        settings = folder / "gateway.yaml"
        settings.write_text(yaml.safe_dump(told))
        pin = [sys.executable, "-m", "gateway.cli", "catalog", "pin", "--settings", str(settings)]
        subprocess.run(pin, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        headers = (("Authorization", f"Bearer mgw_bench_{secret}"),)
        place, pid = _served(settings, stopping)
        running = Stack(Target(place.hostname or "", place.port or 0, "/mcp", headers), backends, pid, folder)
        if shadow:
            place, pid = _served(_shadowed(folder, told), stopping)
            shadowed = Target(place.hostname or "", place.port or 0, "/mcp", headers)
            running = replace(running, shadowed=shadowed, shadowed_pid=pid)
        yield running


def _served(settings: Path, stopping: ExitStack) -> tuple[SplitResult, int]:
    """A gateway of its own, ready: where it is, and its process."""
    log = settings.with_suffix(".log")
    process = started(["-m", "gateway.cli", "serve", "--settings", str(settings)], log, stopping)
    urls = json.loads(first_line(process, log, "gateway ready").removeprefix("gateway ready "))
    wait_ready(urls["operations"] + "/readyz", log)
    return urlsplit(urls["mcp"]), process.pid


def _shadowed(folder: Path, told: dict[str, Any]) -> Path:
    """The settings of the same gateway with a shadow: the very policies that are in force, as a candidate mostly is."""
    shutil.copytree(folder / "policies", folder / "candidate")
    settings = folder / "shadowed.yaml"
    policy = {**told["policy"], "shadow": {"folder": str(folder / "candidate")}}
    settings.write_text(yaml.safe_dump({**told, "policy": policy, "audit": {"folder": str(folder / "audit-shadowed")}}))
    return settings


def _settings(folder: Path, backends: dict[str, Target], secret: str) -> dict[str, Any]:
    policies = folder / "policies"
    shutil.copytree(ROOT / "policies", policies)
    shutil.copytree(ROOT / "schemas", folder / "schemas")  # pinning writes the backends' schemas into it
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
        "policy": {"folder": str(policies), "schemas": str(folder / "schemas")},
        "opa": {"binary": os.environ["OPA"]} if os.environ.get("OPA") else {},
        "backends": {
            name: {"url": f"http://{each.host}:{each.port}{each.path}", "stateless": True} for name, each in backends.items()
        },
        "surfaces": {name: {"backends": [name], "bare": True} for name in backends},
        "identity": {"api_keys": [key]},
        "audit": {"folder": str(folder / "audit")},
        "limits": {"sessions_per_caller": 1000},
    }

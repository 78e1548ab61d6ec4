"""Starts the demo's processes on free loopback ports, and ends every one of them."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
IDENTITIES = {"analyst": ["analysts"], "engineer": ["engineers"], "unknown": []}
START_S = 60.0


@dataclass(frozen=True)
class Stack:
    """A running demo: where the gateway listens and the API key of each identity."""

    url: str
    operations_url: str
    audit_folder: Path
    keys: dict[str, str]
    settings: Path


@contextmanager
def stack(
    folder: Path,
    *,
    port: int = 0,
    operations_port: int = 0,
    identities: Mapping[str, list[str]] = IDENTITIES,
    sections: Mapping[str, Any] | None = None,
) -> Iterator[Stack]:
    """Two MCP servers and the gateway (which starts its own OPA), up and ready; all ended on leaving.

    `identities`: the groups of each. `sections` of the settings replace those of the first act.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stopping:
        ports = {name: _server(name, folder, stopping) for name in ("crm", "deploy")}
        keys, entries = _keys(identities)
        settings = folder / "gateway.yaml"
        told = {**_settings(folder, ports, entries, port, operations_port), **(sections or {})}
        settings.write_text(yaml.safe_dump(told, sort_keys=False))
        gateway = started(["-m", "gateway.cli", "serve", "--settings", str(settings)], folder / "gateway.log", stopping)
        ready = first_line(gateway, folder / "gateway.log", "gateway ready")
        urls = json.loads(ready.removeprefix("gateway ready "))
        wait_ready(urls["operations"] + "/readyz", folder / "gateway.log")
        yield Stack(urls["mcp"], urls["operations"], folder / "audit", keys, settings)


def pin(folder: Path) -> None:
    """Accept the demo servers' definitions as they are now, into the facts of policies/."""
    with ExitStack() as stopping:
        ports = {name: _server(name, folder, stopping) for name in ("crm", "deploy")}
        settings = folder / "gateway.yaml"
        settings.write_text(yaml.safe_dump(_settings(folder, ports, _keys(IDENTITIES)[1], 0, 0)))
        subprocess.run([sys.executable, "-m", "gateway.cli", "catalog", "pin", "--settings", str(settings)], cwd=ROOT, check=True)


def _settings(
    folder: Path, ports: dict[str, int], entries: list[dict[str, Any]], port: int, operations_port: int
) -> dict[str, Any]:
    return {
        "listen": {"port": port},
        "operations": {"port": operations_port},
        "policy": {"folder": str(ROOT / "policies"), "schemas": str(ROOT / "schemas")},
        "opa": {"binary": os.environ["OPA"]} if os.environ.get("OPA") else {},
        "backends": {name: {"url": f"http://127.0.0.1:{each}/mcp"} for name, each in ports.items()},
        "surfaces": {"default": {"instructions": "Customers and deployments of the example company."}},
        "identity": {"api_keys": entries},
        "audit": {"folder": str(folder / "audit")},
    }


def _keys(identities: Mapping[str, list[str]]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """A fresh key for each identity: what the client sends, and what the settings hold (a hash)."""
    sent: dict[str, str] = {}
    held: list[dict[str, Any]] = []
    for name, groups in identities.items():
        secret = secrets.token_urlsafe(32)
        sent[name] = f"mgw_{name}_{secret}"
        digest = hashlib.sha256(secret.encode()).hexdigest()
        held.append({"id": name, "sha256": digest, "subject": f"{name}@example.com", "type": "user", "groups": groups})
    return sent, held


def _server(name: str, folder: Path, stopping: ExitStack) -> int:
    log = folder / f"{name}.log"
    process = started(["-m", f"examples.demo.{name}"], log, stopping)
    return int(first_line(process, log, "port").split()[1])


def started(arguments: list[str], log: Path, stopping: ExitStack) -> "subprocess.Popen[str]":
    sink = stopping.enter_context(log.open("a"))
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=sink, text=True)
    stopping.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def first_line(process: "subprocess.Popen[str]", log: Path, start: str) -> str:
    """The first line that begins with `start`; the process must print it before it closes its output."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start):
            return line.rstrip("\n")
    raise SystemExit(f"a process of the demo ended at its start; its log ({log}):\n{log.read_text()[-2000:]}")


def wait_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    said = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
        except OSError as error:
            said = str(error)
        time.sleep(0.1)
    raise SystemExit(f"the gateway did not become ready within {START_S:.0f} s: {said}\nIts log:\n{log.read_text()[-2000:]}")

"""The gateway as its users run it: a process of its own with a real OPA, in front of real servers, asked by the official client.

A grant file for each test server is added to a copy of the shipped policies; everything else is as shipped.
"""

import asyncio
import hashlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import yaml
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from examples.demo.stack import first_line, started, wait_ready
from tools.binaries import find

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 10.0  # of a client, for an answer
HAPPENS_WITHIN_S = 60.0  # what processes do by themselves; those at the lowest priority wait for all others
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
# Reviewers see what nobody has pinned, administrators may call what nobody has labelled: the test servers' items are neither.
TESTERS = ("reviewers", "crm_admins")

GRANT = """\
# METADATA
# title: everybody who is somebody may use this test server
package mcp.servers.{backend}.access

allow contains position if {{
	some position, _ in input.resources
	{condition}
}}
"""


@dataclass(frozen=True)
class Running:
    """A gateway that runs, and the token of each of its callers."""

    url: str
    operations_url: str
    folder: Path
    tokens: Mapping[str, str]
    process: "subprocess.Popen[str]"

    def surface(self, name: str) -> str:
        return self.url if name == "default" else f"{self.url}/{name}"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def audit(self) -> list[dict[str, Any]]:
        """Every line so far, in the order of their writing."""
        lines = [line for file in sorted((self.folder / "audit").glob("*.jsonl")) for line in file.read_text().split("\n")]
        return sorted(
            (json.loads(line) for line in lines if line), key=lambda line: line["time_ns"]
        )  # strangers have their own file

    def headers(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}


@contextmanager
def gateway(
    folder: Path,
    backends: Mapping[str, str | Mapping[str, Any]],
    callers: Mapping[str, Mapping[str, Any]],
    *,
    policies: Path | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """A gateway in front of `backends` (name to URL or settings), ready; ended with the block. `callers`: its API keys."""
    path, tokens = settled(folder, backends, callers, policies=policies, **settings)
    log = folder / "gateway.log"
    with ExitStack() as stopping:
        process = started(["-m", "gateway.cli", "serve", "--settings", str(path)], log, stopping)
        urls = json.loads(first_line(process, log, "gateway ready").removeprefix("gateway ready "))
        wait_ready(urls["operations"] + "/readyz", log)
        yield Running(urls["mcp"], urls["operations"], folder, tokens, process)


def settled(
    folder: Path,
    backends: Mapping[str, str | Mapping[str, Any]],
    callers: Mapping[str, Mapping[str, Any]],
    *,
    policies: Path | None = None,
    **settings: Any,
) -> tuple[Path, dict[str, str]]:
    """The settings file of such a gateway, and the token of each caller."""
    tokens, keys = {}, []
    for name, caller in callers.items():
        secret = secrets.token_urlsafe(32)
        tokens[name] = f"mgw_{name}_{secret}"
        digest = hashlib.sha256(secret.encode()).hexdigest()
        keys.append({"id": name, "sha256": digest, "subject": name, "type": "user", **caller})
    told = {
        "listen": {"port": 0},
        "operations": {"port": 0},
        "policy": {"folder": str(policies or ROOT / "policies"), "schemas": str(ROOT / "schemas")},
        "opa": {"binary": find("opa")},
        "backends": {name: {"url": each} if isinstance(each, str) else dict(each) for name, each in backends.items()},
        "audit": {"folder": str(folder / "audit")},
        **settings,
        "identity": {"api_keys": keys, **settings.get("identity", {})},
    }
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(told))
    return path, tokens


def granting(folder: Path, *backends: str, condition: str = 'input.subject.type != "nobody"') -> Path:
    """A copy of the shipped policies in which everybody may use everything of `backends`."""
    copied = folder / "policies"
    shutil.copytree(ROOT / "policies", copied)
    for backend in backends:
        place = copied / "mcp/servers" / backend
        place.mkdir()
        (place / "access.rego").write_text(GRANT.format(backend=backend, condition=condition))
    return copied


@asynccontextmanager
async def connected(url: str, headers: Mapping[str, str], era: str, **options: Any) -> AsyncIterator[Client]:
    """The official client, in one era."""
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=PATIENCE_S) as http,
        Client(
            streamable_http_client(url, http_client=http),
            mode="legacy" if era == "legacy" else MODERN,
            cache=None,
            read_timeout_seconds=PATIENCE_S,
            **options,
        ) as client,
    ):
        yield client


def run(test: Awaitable[None]) -> None:
    """A test's coroutine, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(3 * PATIENCE_S):
            await test

    asyncio.run(bounded())


def base_url(running: Running) -> str:
    """By which clients reach it."""
    return running.url.removesuffix("/mcp")


async def eventually(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(HAPPENS_WITHIN_S):
        while not happened():  # noqa: ASYNC110 — what is awaited happens in another process
            await asyncio.sleep(0.01)


def soon(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HAPPENS_WITHIN_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def counts(url: str) -> dict[str, int]:
    """How often each method was asked of a test server."""
    return httpx2.get(url.removesuffix("/mcp") + "/counts").json()  # type: ignore[no-any-return]


class Http:
    """Modern and legacy messages over plain HTTP, for what the official client would not send."""

    def __init__(self, running: Running, who: str | None, surface: str = "default") -> None:
        self.url = running.surface(surface)
        self.client = httpx2.Client(headers={**ACCEPT, **running.headers(who)}, timeout=PATIENCE_S)
        self.session: dict[str, str] = {}

    def __enter__(self) -> "Http":
        return self

    def __exit__(self, *ended: object) -> None:
        self.client.close()

    def modern(self, method: str, params: Mapping[str, Any] | None = None, *, id: Any = 1) -> httpx2.Response:
        told = dict(params or {})
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        name = told.get("name", told.get("uri"))
        if name is not None and method in {"tools/call", "prompts/get", "resources/read"}:
            headers["Mcp-Name"] = name
        body = {"jsonrpc": "2.0", "id": id, "method": method, "params": {**told, "_meta": META}}
        return self.client.post(self.url, json=body, headers=headers)

    def begin(self, version: str = LEGACY) -> httpx2.Response:
        """`initialize`, and the session's headers from here on."""
        self.session = {}
        client = {"name": "test", "version": "1"}
        answer = self.legacy("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": client})
        self.session = {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": version}
        assert self.legacy("notifications/initialized", id=None).status_code == 202
        return answer

    def legacy(self, method: str, params: Mapping[str, Any] | None = None, *, id: Any = 1) -> httpx2.Response:
        body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": dict(params or {})}
        if id is not None:
            body["id"] = id
        return self.client.post(self.url, json=body, headers=self.session)


def said(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON-RPC message of an answer, of whichever form: the last one."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        return json.loads([line for line in answer.text.splitlines() if line.startswith("data:")][-1][5:])  # type: ignore[no-any-return]
    return answer.json()  # type: ignore[no-any-return]

"""A gateway with the shipped policies before the demo's deployment tool, which trusts the provider and nobody else."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from examples.demo.stack import first_line, started
from tests.flows.running import ACCEPT, META, MODERN, PATIENCE_S, Running, gateway, said
from tests.real_as.provider import Provider, free_port

DEPLOY = {"service": "web", "environment": "staging", "version": "1.4.2"}


@contextmanager
def house(folder: Path, issuer: Provider, *, trust: Mapping[str, Any] | None = None, **settings: Any) -> Iterator[Running]:
    """Ready, ended with the block. `trust`: what the gateway is told about the issuer besides its name."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stopping:
        log = folder / "deploy.log"
        deploy = started(["-m", "examples.demo.deploy"], log, stopping)
        url = f"http://127.0.0.1:{first_line(deploy, log, 'port').split()[1]}/mcp"
        port = free_port()
        told = {
            "listen": {"port": port},
            "identity": {"issuers": [{"issuer": issuer.issuer, "audience": [f"http://127.0.0.1:{port}/mcp"], **(trust or {})}]},
            "surfaces": {"default": {"scopes": ["deploy:read"]}},
            **settings,
        }
        yield stopping.enter_context(gateway(folder, {"deploy": url}, {}, **told))


class Bearer:
    """Modern messages with a token, by hand: what they are answered is seen as it is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx2.Client(headers=ACCEPT, timeout=PATIENCE_S)

    def __enter__(self) -> "Bearer":
        return self

    def __exit__(self, *ended: object) -> None:
        self._client.close()

    def call(self, token: str, tool: str, arguments: Mapping[str, Any] | None = None, **headers: str) -> httpx2.Response:
        told = {"name": tool, "arguments": dict(arguments or {}), "_meta": META}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": told}
        sent = {"Authorization": f"Bearer {token}", "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        return self._client.post(self.url, json=body, headers={**sent, **headers})


def text(answer: httpx2.Response) -> str:
    """What a tool said; the answer must be a result."""
    assert answer.status_code == 200, (answer.status_code, answer.text)
    content: str = said(answer)["result"]["content"][0]["text"]
    return content


def refused(running: Running) -> list[tuple[int, str]]:
    """Status and cause of every login that was refused, in the order of the audit log."""
    return [(line["status"], line["cause"]) for line in running.audit() if line.get("kind") == "unauthenticated"]

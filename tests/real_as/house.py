"""A gateway with the shipped policies before the demo's deployment tool, which trusts the provider and nobody else."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from examples.demo.stack import first_line, started
from tests.flows.running import ACCEPT, META, MODERN, PATIENCE_S, Running, gateway, granting, said
from tests.real_as.provider import Provider

DEPLOY = {"service": "web", "environment": "staging", "version": "1.4.2"}


@contextmanager
def house(folder: Path, issuer: Provider, own: tuple[str, str], behind: Mapping[str, str]) -> Iterator[Running]:
    """Ready, ended with the block. `own`: the gateway's client id and secret at the provider; `behind`: guarded servers."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / "client_secret"
    secret.write_text(own[1])
    client = {"client_id": own[0], "client_secret": {"file": str(secret)}}
    with ExitStack() as stopping:
        log = folder / "deploy.log"
        deploy = started(["-m", "examples.demo.deploy"], log, stopping)
        backends: dict[str, str | Mapping[str, Any]] = {
            "deploy": f"http://127.0.0.1:{first_line(deploy, log, 'port').split()[1]}/mcp",
            **{name: {"url": url, "credential": _credential(name, url, issuer, client)} for name, url in behind.items()},
        }
        introspection = {**client, "missing_allowed": ["sub"], "remember_s": 1}  # by client credentials there is no `sub`
        told = {
            "identity": {"issuers": [{"issuer": issuer.issuer, "introspection": introspection}]},
            "surfaces": {
                **{name: {"backends": ["deploy"], "scopes": ["deploy:read"]} for name in ("default", "opaque")},
                **({"behind": {"backends": list(behind), "scopes": ["deploy:read"]}} if behind else {}),
            },
        }
        policies = granting(folder, *behind)
        yield stopping.enter_context(gateway(folder, backends, {}, policies=policies, **told))


def _credential(name: str, url: str, issuer: Provider, client: Mapping[str, Any]) -> dict[str, Any]:
    """As whom the gateway comes to a guarded server: each name is a way."""
    way = {"service": "client_credentials", "exchanged": "token_exchange"}[name]
    return {"type": way, "issuer": issuer.issuer, **client, "scopes": ["deploy:read"], "resource": url}


class Bearer:
    """Modern messages with a token, by hand: what they are answered is seen as it is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx2.Client(headers=ACCEPT, timeout=PATIENCE_S)

    def __enter__(self) -> "Bearer":
        return self

    def __exit__(self, *ended: object) -> None:
        self._client.close()

    def call(
        self, token: str, tool: str, arguments: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        told = {"name": tool, "arguments": dict(arguments or {}), "_meta": META}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": told}
        sent = {"Authorization": f"Bearer {token}", "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        return self._client.post(self.url, json=body, headers={**sent, **(headers or {})})


def text(answer: httpx2.Response) -> str:
    """What a tool said; the answer must be a result."""
    assert answer.status_code == 200, (answer.status_code, answer.text)
    told = said(answer)
    assert "result" in told, told
    content: str = told["result"]["content"][0]["text"]
    return content


def refusal(answer: httpx2.Response) -> str:
    """What a caller is told whose login is refused."""
    assert answer.status_code == 401, (answer.status_code, answer.text)
    message: str = said(answer)["error"]["message"]
    return message

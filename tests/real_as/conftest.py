import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from examples.demo.stack import first_line, started
from tests.flows.running import Running
from tests.real_as.house import house
from tests.real_as.provider import EXCHANGE, HERE, Provider, provider, service
from tools import node as node_packages


@dataclass(frozen=True)
class Town:
    """A provider, the gateway that trusts it, and a workload that both know."""

    provider: Provider
    gateway: Running
    workload: tuple[str, str]
    behind: Mapping[str, str]  # guarded servers, by the way in which the gateway comes to them

    def token(self, scope: str = "deploy:read", resource: str | None = None) -> str:
        """The workload's, by client credentials."""
        asked = {"grant_type": "client_credentials", "scope": scope, "resource": resource or self.gateway.url}
        answer = self.provider.token(self.workload, **asked)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token


@pytest.fixture(scope="session")
def node() -> str:
    """A Node.js, with the provider's packages installed. Without it these tests are skipped, which CI counts as a failure."""
    try:
        return node_packages.installed(HERE)
    except node_packages.NodeMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who certifies the web servers that the provider reads clients' metadata documents from."""
    return trustme.CA()


@pytest.fixture(scope="session")
def town(node: str, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One for all tests: each leaves the provider up, with keys and settings that suit the others."""
    folder = tmp_path_factory.mktemp("town")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with founded(node, folder, behind=("service", "exchanged"), trusts=folder / "ca.pem") as town:
        yield town
        written = town.gateway.log + "".join(map(str, town.gateway.audit()))
        assert "Traceback" not in written
        assert not re.search(r"eyJ[\w-]{16}", written), "a token stands in the log or in the audit"


@contextmanager
def founded(node: str, folder: Path, *, provider_up: bool = True, behind: tuple[str, ...] = (), **told: Any) -> Iterator[Town]:
    """A town of its own. `told`: what the provider is told besides (provider.py)."""
    workload, own = ("nightly", secrets.token_urlsafe(32)), ("gateway", secrets.token_urlsafe(32))
    clients = [service(*workload, "client_credentials"), service(*own, "client_credentials", EXCHANGE)]
    with ExitStack() as stopping:
        issuer = stopping.enter_context(provider(node, folder / "provider", clients=clients, introspects=own[0], **told))
        urls = {name: _guarded(name, folder, issuer, stopping) for name in behind}
        if not provider_up:
            issuer.kill()
        yield Town(issuer, stopping.enter_context(house(folder / "gateway", issuer, own, urls)), workload, urls)


def _guarded(name: str, folder: Path, issuer: Provider, stopping: ExitStack) -> str:
    log = folder / f"{name}.log"
    asked = ["-m", "tests.real_as.guarded", "--issuer", issuer.issuer, "--jwks", f"{issuer.issuer}/jwks"]
    return f"http://127.0.0.1:{first_line(started(asked, log, stopping), log, 'port').split()[1]}/mcp"

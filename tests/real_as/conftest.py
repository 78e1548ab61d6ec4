import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.flows.running import Running
from tests.real_as.house import house
from tests.real_as.provider import HERE, Provider, provider, service
from tools import node as node_packages


@dataclass(frozen=True)
class Town:
    """A provider, the gateway that trusts it, and a workload that both know."""

    provider: Provider
    gateway: Running
    workload: tuple[str, str]

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
    with founded(node, folder, trusts=folder / "ca.pem") as town:
        yield town
        assert "Traceback" not in town.gateway.log


@contextmanager
def founded(
    node: str, folder: Path, *, provider_up: bool = True, trust: Mapping[str, Any] | None = None, **told: Any
) -> Iterator[Town]:
    """A town of its own. `trust`: what the gateway is told of the provider besides its name; `told`: what the provider is."""
    workload = ("nightly", secrets.token_urlsafe(32))
    clients = [service(workload[0], "client_credentials", secret=workload[1]), *told.pop("clients", [])]
    with provider(node, folder / "provider", clients=clients, **told) as issuer:
        if not provider_up:
            issuer.kill()
        with house(folder / "gateway", issuer, trust=trust) as gateway:
            yield Town(issuer, gateway, workload)

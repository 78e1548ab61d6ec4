import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

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


@pytest.fixture(scope="module")
def town(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    workload = ("nightly", secrets.token_urlsafe(32))
    known = [service(workload[0], "client_credentials", secret=workload[1])]
    with provider(node, folder / "provider", clients=known) as issuer, house(folder / "gateway", issuer) as gateway:
        yield Town(issuer, gateway, workload)
        assert "Traceback" not in gateway.log

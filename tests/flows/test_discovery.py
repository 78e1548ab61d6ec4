"""A client that knows only a URL finds out where to log in, as the official client's own code does it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls as discovery_urls
from mcp.shared.auth import ProtectedResourceMetadata

from tests.flows.issuer import ISSUER, Issuer
from tests.flows.running import PATIENCE_S, Http, Running, base_url, gateway
from tests.peers.sdk_server import started_server

WELL_KNOWN = "/.well-known/oauth-protected-resource"
SURFACES: dict[str, Any] = {
    "default": {"scopes": ["mcp:read", "mcp:write"], "documentation": "https://wiki.example.com/mcp"},
    "sales": {},
}


@dataclass(frozen=True)
class Place:
    running: Running
    issuer: Issuer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("discovery")
    issuer = Issuer(folder)
    workloads = {**issuer.setting, "issuer": "https://ci.example.com", "advertise": False}
    with (
        started_server("--name", "peer", "--era", "modern") as peer,
        gateway(folder, {"peer": peer.url}, {}, surfaces=SURFACES, identity={"issuers": [issuer.setting, workloads]}) as running,
    ):
        yield Place(running, issuer)
        assert "Traceback" not in running.log


def read(url: str, method: str = "GET", **headers: str) -> httpx2.Response:
    return httpx2.request(method, url, headers=headers, timeout=PATIENCE_S)


def test_each_surface_tells_where_to_log_in_and_for_what(place: Place) -> None:
    base = base_url(place.running)
    default = {
        "resource": f"{base}/mcp",
        "resource_name": "mcp-gateway",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["mcp:read", "mcp:write"],
        "resource_documentation": "https://wiki.example.com/mcp",
    }
    sales = {
        "resource": f"{base}/mcp/sales",
        "resource_name": "mcp-gateway: sales",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    }
    for path, told in ((WELL_KNOWN, default), (WELL_KNOWN + "/mcp", default), (WELL_KNOWN + "/mcp/sales", sales)):
        answer = read(base + path)
        assert (answer.status_code, answer.json(), answer.headers["cache-control"]) == (200, told, "public, max-age=300")
    assert read(base + WELL_KNOWN + "/mcp/nothing").status_code == 404


@pytest.mark.parametrize("surface", SURFACES)
def test_from_the_first_401_the_official_client_finds_a_document_about_the_url_it_uses(place: Place, surface: str) -> None:
    url = place.running.surface(surface)
    with Http(place.running, None, surface) as http:
        refused = http.modern("tools/list")
    challenge = refused.headers["www-authenticate"]
    told = re.search(r'resource_metadata="([^"]+)"', challenge)
    assert told is not None
    assert (refused.status_code, "error" in challenge) == (401, False)
    assert ('scope="mcp:read mcp:write"' in challenge) == (surface == "default")
    for each in [told[1], *discovery_urls(None, url)[:1]]:
        document = ProtectedResourceMetadata.model_validate_json(read(each).content)
        assert (str(document.resource), [str(server) for server in document.authorization_servers]) == (url, [ISSUER])


def test_a_bad_token_is_told_so_and_where_to_get_a_better_one(place: Place) -> None:
    with Http(place.running, None) as http:
        http.client.headers["Authorization"] = f"Bearer {place.issuer.token('late', exp=1_700_000_000)}"
        challenge = http.modern("tools/list").headers["www-authenticate"]
    assert challenge.startswith('Bearer error="invalid_token"')
    assert f'resource_metadata="{base_url(place.running)}{WELL_KNOWN}/mcp"' in challenge


def test_reading_it_is_no_failed_login_and_leaves_no_trace(place: Place) -> None:
    before = place.running.audit()
    for _ in range(50):
        assert read(base_url(place.running) + WELL_KNOWN + "/mcp", Origin="https://any.example").status_code == 200
    assert place.running.audit() == before


def test_it_is_served_under_our_own_name_only(place: Place) -> None:
    answer = read(base_url(place.running) + WELL_KNOWN + "/mcp", Host="evil.example")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, -32600)


def test_where_only_api_keys_count_nobody_is_sent_to_log_in(open_gateway: Running) -> None:
    with Http(open_gateway, None) as http:
        assert http.modern("tools/list").headers["www-authenticate"] == "Bearer"
    assert read(base_url(open_gateway) + WELL_KNOWN + "/mcp").status_code == 404

"""The gateway serving TLS itself: the same checks as in clear, and files that change while it runs."""

import hashlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import trustme

from tests.flows.issuer import Issuer
from tests.flows.running import ACCEPT, META, MODERN, PATIENCE_S, TESTERS, Running, base_url, gateway, granting, soon
from tests.peers.sdk_server import started_server

WELL_KNOWN = "/.well-known/oauth-protected-resource/mcp"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
HEADERS = {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}


@dataclass(frozen=True)
class Place:
    running: Running
    ca: trustme.CA
    cert: Path
    key: Path

    def client(self) -> httpx2.Client:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return httpx2.Client(verify=context, timeout=PATIENCE_S)

    def listed(self, **headers: str) -> httpx2.Response:
        told = {**HEADERS, **self.running.headers("tester"), **headers}
        with self.client() as client:
            return client.post(self.running.url, json=LIST, headers=told)

    def served(self) -> str:
        """The fingerprint of the certificate that a new connection sees."""
        pem = ssl.get_server_certificate(("127.0.0.1", self.running.port), timeout=PATIENCE_S)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    def issued(self) -> str:
        leaf = self.ca.issue_cert("127.0.0.1")
        leaf.cert_chain_pems[0].write_to_path(str(self.cert))
        leaf.private_key_pem.write_to_path(str(self.key))
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())).hexdigest()

    def notes(self) -> dict[str, str]:
        answer = httpx2.get(self.running.operations_url + "/readyz", headers={"Accept": "application/json"}, timeout=PATIENCE_S)
        return {each["name"]: each["detail"] for each in answer.json()["checks"] if each.get("note")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("tls")
    ca, issuer = trustme.CA(), Issuer(folder)
    cert, key = folder / "cert.pem", folder / "key.pem"
    leaf = ca.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(str(cert))
    leaf.private_key_pem.write_to_path(str(key))
    settings = {
        "listen": {"port": 0, "tls_cert": str(cert), "tls_key": str(key)},
        "identity": {"issuers": [issuer.setting]},
    }
    callers = {"tester": {"groups": TESTERS}}
    with (
        started_server("--name", "peer", "--era", "modern") as peer,
        gateway(folder, {"peer": peer.url}, callers, policies=granting(folder, "peer"), **settings) as running,
    ):
        yield Place(running, ca, cert, key)
        assert "Traceback" not in running.log


def test_over_tls_the_same_is_answered_and_the_same_refused(place: Place) -> None:
    assert place.running.url.startswith("https://127.0.0.1:")
    listed = place.listed()
    assert (listed.status_code, bool(listed.json()["result"]["tools"])) == (200, True)
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        assert place.listed(**headers).status_code == 403
    assert place.listed(Authorization="Bearer nobody").status_code == 401


def test_the_metadata_is_that_of_the_url_that_clients_use(place: Place) -> None:
    with place.client() as client:
        assert client.get(base_url(place.running) + WELL_KNOWN).json()["resource"] == place.running.url
        assert client.get(base_url(place.running) + WELL_KNOWN, headers={"Host": "evil.example"}).status_code == 403


def test_a_new_pair_is_served_within_a_second_or_two_and_a_broken_one_never(place: Place) -> None:
    new = place.issued()
    soon(lambda: place.served() == new)
    assert place.listed().status_code == 200
    place.key.write_text("-----BEGIN nonsense-----")
    soon(lambda: "tls" in place.notes())
    assert place.notes()["tls"].startswith("the newest files are not in force: listen.tls_cert, listen.tls_key: no certificate")
    assert (place.served(), place.listed().status_code) == (new, 200)
    newest = place.issued()
    soon(lambda: place.served() == newest)
    assert "tls" not in place.notes()

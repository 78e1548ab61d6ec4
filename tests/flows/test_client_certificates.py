"""A workload that has nothing but its client certificate, before a gateway that runs."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.flows.running import ACCEPT, META, MODERN, PATIENCE_S, TESTERS, Running, gateway, granting, soon
from tests.peers.sdk_server import started_server

DESK = "spiffe://example.org/ns/prod/sa/desk"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
HEADERS = {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}


class Authority:
    """Signs certificates with one URI each, as a SPIFFE server does."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "workloads")])
        self._began = datetime.now(UTC) - timedelta(minutes=1)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        built = x509.CertificateBuilder(self._name, self._name, self._key.public_key(), 1, self._began, self._ends)
        self.pem = built.add_extension(basic, critical=True).sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    @property
    def _ends(self) -> datetime:
        return self._began + timedelta(hours=1)

    def issued(self, uri: str, path: Path) -> Path:
        """Certificate and key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        built = x509.CertificateBuilder(self._name, x509.Name([]), key.public_key(), 2, self._began, self._ends)
        certificate = built.add_extension(names, critical=True).sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
        return path


@dataclass(frozen=True)
class Place:
    running: Running
    server_ca: trustme.CA
    workloads: Authority
    folder: Path

    def listed(self, uri: str | None, authority: Authority | None = None, **headers: str) -> httpx2.Response:
        context = ssl.create_default_context()
        self.server_ca.configure_trust(context)
        if uri is not None:
            context.load_cert_chain((authority or self.workloads).issued(uri, self.folder / "client.pem"))
        with httpx2.Client(verify=context, timeout=PATIENCE_S) as client:
            return client.post(self.running.url, json=LIST, headers={**HEADERS, **headers})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("mtls")
    server_ca, workloads = trustme.CA(), Authority()
    server_ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    (folder / "workloads.pem").write_bytes(workloads.pem)
    tls = {name: str(folder / "server.pem") for name in ("tls_cert", "tls_key")}
    settings = {
        "listen": {"port": 0, **tls, "tls_client": "optional", "tls_client_ca": str(folder / "workloads.pem")},
        "identity": {"mtls": {"trusted": [{"name": "spiffe://example.org/ns/prod/sa/*", "groups": [*TESTERS]}]}},
    }
    with (
        started_server("--name", "peer", "--era", "modern") as peer,
        gateway(folder, {"peer": peer.url}, {"tester": {}}, policies=granting(folder, "peer"), **settings) as running,
    ):
        yield Place(running, server_ca, workloads, folder)
        assert "Traceback" not in running.log


def test_the_certificate_is_the_workload_and_the_record_says_so(place: Place) -> None:
    listed = place.listed(DESK)
    assert (listed.status_code, bool(listed.json()["result"]["tools"])) == (200, True)
    (line,) = [each for each in place.running.audit() if each.get("subject", {}).get("id") == DESK]
    assert (line["subject"]["issuer"], line["subject"]["authentication"]) == ("spiffe://example.org", "mtls")


def test_no_certificate_an_unexpected_one_and_a_bad_key_beside_a_good_one_are_nobody(place: Place) -> None:
    assert place.listed(None).status_code == 401
    assert place.listed("spiffe://example.org/ns/test/sa/desk").status_code == 401
    assert place.listed(DESK, Authorization="Bearer mgw_tester_wrong").status_code == 401


def test_a_certificate_of_another_authority_is_no_connection(place: Place) -> None:
    with pytest.raises(httpx2.TransportError):
        place.listed(DESK, Authority())


def test_when_the_authority_is_replaced_its_workloads_come_no_more(place: Place) -> None:
    old, new = place.workloads, Authority()
    (place.folder / "workloads.pem").write_bytes(new.pem)
    soon(lambda: _refused(place, old))
    assert place.listed(DESK, new).status_code == 200
    (place.folder / "workloads.pem").write_bytes(old.pem)
    soon(lambda: not _refused(place, old))


def _refused(place: Place, authority: Authority) -> bool:
    try:
        return place.listed(DESK, authority).status_code != 200
    except httpx2.TransportError:
        return True

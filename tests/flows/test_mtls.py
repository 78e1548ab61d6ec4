"""Workloads that come with a client certificate and nothing else, in front of a running gateway, and the users they name."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.flows.running import ACCEPT, META, MODERN, PATIENCE_S, TESTERS, Running, gateway, granting

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
HEADERS = {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
DESK = "spiffe://example.org/ns/prod/sa/desk"


class Authority:
    """A CA as SPIRE is one: its certificates name a workload by a URI."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.org")])
        begin = datetime.now(UTC) - timedelta(minutes=1)
        building = x509.CertificateBuilder(self._name, self._name, self._key.public_key(), 1, begin, begin + timedelta(days=1))
        building = building.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        building = building.add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = building.add_extension(identifier, critical=False).sign(self._key, hashes.SHA256())

    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issued(self, folder: Path, uri: str) -> Path:
        """A file with a certificate for `uri` and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        begin = datetime.now(UTC) - timedelta(minutes=1)
        building = x509.CertificateBuilder(
            self._name, x509.Name([]), key.public_key(), x509.random_serial_number(), begin, begin + timedelta(hours=1)
        )
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        signed = (
            building.add_extension(names, critical=True).add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())
        )
        path = folder / (uri.rsplit("/", 1)[1] + ".pem")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(signed.public_bytes(Encoding.PEM) + private)
        return path


@dataclass(frozen=True)
class House:
    running: Running
    server_ca: trustme.CA
    authority: Authority

    def listed(self, uri: str | None, **headers: str) -> httpx2.Response:
        context = ssl.create_default_context()
        self.server_ca.configure_trust(context)
        if uri is not None:
            context.load_cert_chain(self.authority.issued(self.running.folder, uri))
        with httpx2.Client(verify=context, timeout=PATIENCE_S) as client:
            return client.post(self.running.url, json=LIST, headers={**HEADERS, **headers})

    def last(self, type: str) -> dict[str, Any]:
        return [line for line in self.running.audit() if line["type"] == type][-1]


@pytest.fixture(scope="module")
def house(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("mtls")
    server_ca, authority = trustme.CA(), Authority()
    leaf = server_ca.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "workloads.pem").write_bytes(authority.pem())
    trusted = [
        {"name": DESK, "groups": TESTERS, "names_users": True, "user_groups": TESTERS},
        {"name": "spiffe://example.org/ns/*/sa/clock", "groups": TESTERS, "surfaces": ["other"]},
    ]
    settings: dict[str, Any] = {
        "listen": {
            "port": 0,
            "tls_cert": str(folder / "cert.pem"),
            "tls_key": str(folder / "key.pem"),
            "tls_client": "optional",
            "tls_client_ca": str(folder / "workloads.pem"),
        },
        "surfaces": {"default": {}, "other": {}},
        "identity": {"mtls": {"trusted": trusted}},
    }
    with gateway(
        folder, {"new": places["new"]}, {"ada": {"groups": TESTERS}}, policies=granting(folder, "new"), **settings
    ) as running:
        yield House(running, server_ca, authority)
        assert "Traceback" not in running.log


def test_a_certificate_lets_its_workload_in_and_the_record_names_it(house: House) -> None:
    listed = house.listed(DESK)
    assert (listed.status_code, bool(listed.json()["result"]["tools"])) == (200, True)
    line = house.last("listing")
    assert (line["subject"], line["agent"]) == (
        {
            "type": "workload",
            "issuer": "spiffe://example.org",
            "id": DESK,
            "authentication": "mtls",
            "groups": [*TESTERS],
            "scopes": [],
        },
        DESK,
    )


def test_the_workload_names_its_end_user_and_the_policy_sees_both(house: House) -> None:
    assert house.listed(DESK, **{"X-End-User": "ada"}).json()["result"]["tools"]
    line = house.last("listing")
    assert (line["subject"], line["agent"]) == (
        {
            "type": "user",
            "issuer": f"urn:workload:{DESK}",
            "id": "ada",
            "authentication": "asserted",
            "groups": [*TESTERS],
            "scopes": [],
            "actors": [{"issuer": "spiffe://example.org", "id": DESK}],
        },
        DESK,
    )


def test_a_workload_without_that_trust_or_on_another_surface_is_refused(house: House) -> None:
    clock = "spiffe://example.org/ns/test/sa/clock"
    assert [house.listed(clock).status_code, house.listed(clock, **{"X-End-User": "ada"}).status_code] == [403, 401]


@pytest.mark.parametrize("uri", ["spiffe://example.org/ns/prod/sa/till", "spiffe://evil.test/ns/prod/sa/desk"])
def test_a_certificate_of_the_right_ca_for_somebody_who_is_not_expected_is_refused(house: House, uri: str) -> None:
    answer = house.listed(uri)
    assert (answer.status_code, house.last("refusal")["cause"]) == (401, "client_certificate")
    assert uri not in answer.text + str(answer.headers)


def test_without_a_certificate_a_key_is_wanted_and_beside_one_the_key_names_the_caller(house: House) -> None:
    assert house.listed(None).status_code == 401
    assert house.listed(DESK, **house.running.headers("ada")).status_code == 200
    assert (house.last("listing")["subject"]["id"], house.last("listing")["subject"]["authentication"]) == ("ada", "api_key")

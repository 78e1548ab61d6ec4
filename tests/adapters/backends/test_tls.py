"""TLS to a backend: its CA or its very certificate, and ours; anything else is no connection."""

import hashlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.adapters.backends import HttpSpec, TlsSpec
from gateway.errors import BackendFailed
from tests.adapters.backends.scripted import backends, done, http, modern, run, scripted, text, tool_call


@dataclass(frozen=True)
class Authority:
    ca: Path
    server: ssl.SSLContext
    strict: ssl.SSLContext  # wants a client certificate
    client: Path
    pin: str


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    folder = tmp_path_factory.mktemp("tls")
    ca, ours = trustme.CA(), trustme.CA()
    certificate = ca.issue_cert("127.0.0.1")
    contexts = []
    for wants in (ssl.CERT_NONE, ssl.CERT_REQUIRED):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        ours.configure_trust(context)
        context.verify_mode = wants
        contexts.append(context)
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    ours.issue_cert("gateway@example.com").private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    yield Authority(folder / "ca.pem", contexts[0], contexts[1], folder / "client.pem", hashlib.sha256(der).hexdigest())


def answer(tls: TlsSpec, context: ssl.SSLContext) -> Any:
    async def main() -> Any:
        async with scripted(modern(done), tls=context) as server, backends(http(server, tls=tls, era="modern")) as behind:
            try:
                return await text(behind, tool_call())
            except BackendFailed as failed:
                return failed.cause, failed.sent

    return run(main())


UNREACHABLE = ("unreachable", False)


def test_a_backend_is_verified_by_the_ca_that_is_named(authority: Authority) -> None:
    assert answer(TlsSpec(ca_file=authority.ca), authority.server) == "done"
    assert answer(TlsSpec(), authority.server) == UNREACHABLE


def test_a_backend_is_verified_by_its_pinned_certificate_alone(authority: Authority) -> None:
    assert answer(TlsSpec(pin_sha256=authority.pin), authority.server) == "done"
    assert answer(TlsSpec(pin_sha256="00" * 32), authority.server) == UNREACHABLE
    assert answer(TlsSpec(pin_sha256="00" * 32, ca_file=authority.ca), authority.server) == UNREACHABLE


def test_our_client_certificate_is_shown_with_a_ca_and_with_a_pin(authority: Authority) -> None:
    ours = TlsSpec(cert_file=authority.client, key_file=authority.client)
    assert answer(replace(ours, ca_file=authority.ca), authority.strict) == "done"
    assert answer(replace(ours, pin_sha256=authority.pin), authority.strict) == "done"
    assert answer(TlsSpec(ca_file=authority.ca), authority.strict)[0] in ("unreachable", "closed")


def test_tls_files_that_cannot_be_read_are_refused_when_the_backend_is_made(tmp_path: Path) -> None:
    async def main() -> None:
        spec = HttpSpec("crm", "https://127.0.0.1:1/mcp", tls=TlsSpec(ca_file=tmp_path / "none.pem"))
        with pytest.raises(ValueError, match="backend crm: its TLS files cannot be used"):
            async with backends(spec):
                pass

    run(main())


def test_a_pin_without_tls_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="needs an https URL"):
            async with backends(HttpSpec("crm", "http://127.0.0.1:1/mcp", tls=TlsSpec(pin_sha256="00" * 32))):
                pass

    run(main())

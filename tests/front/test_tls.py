"""TLS of the front: changed files are served without a restart, broken ones are not, and a client's certificate is verified."""

import contextlib
import hashlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from starlette.types import Receive, Scope, Send

from gateway.front.tls import Certificates, TlsFiles, UnusableTls
from tests.front.peers import PATIENCE_S, PATIENT, served

HOST = "mcp.example.com"


class Pki:
    """A CA and the files of a gateway that trusts it."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.files = TlsFiles(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
        self.issue()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))

    def issue(self) -> str:
        """A new pair in the files; the certificate's fingerprint."""
        leaf = self.ca.issue_cert(HOST)
        leaf.private_key_pem.write_to_path(str(self.files.key))
        leaf.cert_chain_pems[0].write_to_path(str(self.files.cert))
        return fingerprint(leaf)

    def trusting(self, *shown: trustme.LeafCert) -> ssl.SSLContext:
        """A client's context; `shown`: its own certificate."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        for each in shown:
            each.configure_cert(context)
        return context


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def fingerprint(leaf: trustme.LeafCert) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())).hexdigest()


async def shown(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the fingerprint of the client's certificate, as the application sees it."""
    found = scope.get("extensions", {}).get("tls", {}).get("client_certificate")
    body = b"none" if found is None else hashlib.sha256(found).hexdigest().encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def connected(port: int, context: ssl.SSLContext, *, name: str | None = HOST) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        yield secure


def served_certificate(port: int, context: ssl.SSLContext, *, name: str | None = HOST) -> str:
    with connected(port, context, name=name) as secure:
        return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()


def asked(connection: ssl.SSLSocket) -> str:
    connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    received = b""
    while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError
        received += piece
    return received.partition(b"\r\n\r\n")[2].decode()


def test_a_changed_pair_is_served_to_new_connections_and_those_that_stand_stay(pki: Pki) -> None:
    first = pki.issue()
    certificates = Certificates(pki.files)
    with served(shown, PATIENT, certificates.context) as port, connected(port, pki.trusting()) as standing:
        assert (served_certificate(port, pki.trusting()), asked(standing)) == (first, "none")
        second = pki.issue()
        certificates.look()
        assert (certificates.failure, served_certificate(port, pki.trusting())) == (None, second)
        assert asked(standing) == "none"
        nameless = pki.trusting()
        nameless.check_hostname = False
        assert served_certificate(port, nameless, name=None) == second


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param("cert", "listen.tls_cert, listen.tls_key: no certificate chain (PEM) and its private key", id="certificate"),
        pytest.param("key", "listen.tls_cert, listen.tls_key: no certificate chain (PEM) and its private key", id="key"),
        pytest.param("gone", "listen.tls_key: ", id="gone"),
        pytest.param("ca", "listen.tls_client_ca: no certificates (PEM) in it", id="client_ca"),
    ],
)
def test_a_broken_change_keeps_what_works_and_says_why_until_it_is_mended(pki: Pki, broken: str, says: str) -> None:
    first = pki.issue()
    files = replace(pki.files, client="optional")
    certificates = Certificates(files)
    place = {"cert": files.cert, "key": files.key, "gone": files.key, "ca": files.client_ca}[broken]
    assert place is not None
    good = place.read_bytes()
    with served(shown, PATIENT, certificates.context) as port:
        if broken == "gone":
            place.unlink()
        else:
            place.write_bytes(b"-----BEGIN nonsense-----")
        certificates.look()
        failure = certificates.failure
        assert failure is not None
        assert failure.startswith(says)
        assert served_certificate(port, pki.trusting()) == first
        place.write_bytes(good)
        certificates.look()
        assert (certificates.failure, served_certificate(port, pki.trusting())) == (None, first)


def test_a_certificate_whose_key_comes_later_waits_for_it(pki: Pki) -> None:
    first = pki.issue()
    certificates = Certificates(pki.files)
    new = pki.ca.issue_cert(HOST)
    with served(shown, PATIENT, certificates.context) as port:
        new.cert_chain_pems[0].write_to_path(str(pki.files.cert))
        certificates.look()
        assert (certificates.failure is None, served_certificate(port, pki.trusting())) == (False, first)
        new.private_key_pem.write_to_path(str(pki.files.key))
        certificates.look()
        assert (certificates.failure, served_certificate(port, pki.trusting())) == (None, fingerprint(new))


@pytest.mark.parametrize(
    ("reading", "path", "says"),
    [
        pytest.param(
            "load_cert_chain",
            "key",
            "listen.tls_cert, listen.tls_key: no certificate chain (PEM) and its private key, without a password",
            id="key",
        ),
        pytest.param("load_verify_locations", "client_ca", "listen.tls_client_ca: no certificates (PEM) in it", id="client_ca"),
    ],
)
def test_a_file_that_goes_while_it_is_read_is_a_failure_like_any_and_taken_over_when_the_same_is_back(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reading: str, path: str, says: str
) -> None:
    files = replace(pki.files, client="optional")
    certificates = Certificates(files)
    second = pki.issue()
    place: Path = getattr(files, path)
    same, real = place.read_bytes(), getattr(ssl.SSLContext, reading)

    def gone(context: ssl.SSLContext, *paths: Path, **more: object) -> None:
        place.unlink()  # after it was found readable, and before OpenSSL opens it
        real(context, *paths, **more)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(ssl.SSLContext, reading, gone)
        certificates.look()
    assert certificates.failure == f"{says}: No such file or directory"
    place.write_bytes(same)
    certificates.look()
    assert certificates.failure is None
    with served(shown, PATIENT, certificates.context) as port:
        assert served_certificate(port, pki.trusting()) == second
    assert [record.levelname for record in caplog.records if record.name == "gateway.front"] == ["WARNING"]


def test_files_that_stay_broken_are_told_of_once(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    certificates = Certificates(pki.files)
    pki.files.key.write_text("nonsense")
    for _ in range(3):
        certificates.look()
    assert len(caplog.messages) == 1


def test_a_key_with_a_password_is_refused_and_asked_for_at_no_terminal(pki: Pki) -> None:
    key = serialization.load_pem_private_key(pki.files.key.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    pki.files.key.write_bytes(locked)
    with pytest.raises(UnusableTls, match="without a password"):
        Certificates(pki.files)


def test_tls_older_than_1_2_is_refused(pki: Pki) -> None:
    old = pki.trusting()
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    newer = pki.trusting()
    newer.maximum_version = ssl.TLSVersion.TLSv1_2
    with served(shown, PATIENT, Certificates(pki.files).context) as port:
        with pytest.raises((ssl.SSLError, ConnectionResetError)), connected(port, old):
            pass
        with connected(port, newer) as connection:
            assert (connection.version(), asked(connection)) == ("TLSv1.2", "none")


def test_a_clients_certificate_reaches_the_application_on_each_request_of_its_connection(pki: Pki) -> None:
    mine = pki.ca.issue_cert("spiffe.example.com")
    certificates = Certificates(replace(pki.files, client="optional"))
    with served(shown, PATIENT, certificates.context) as port:
        with connected(port, pki.trusting(mine)) as connection:
            assert [asked(connection), asked(connection)] == [fingerprint(mine)] * 2
        with connected(port, pki.trusting()) as connection:
            assert asked(connection) == "none"


@pytest.mark.parametrize("client", ["optional", "required"])
def test_a_certificate_of_another_ca_is_no_connection(pki: Pki, client: str) -> None:
    stranger = trustme.CA().issue_cert("spiffe.example.com")
    certificates = Certificates(replace(pki.files, client=client))  # type: ignore[arg-type]
    with (
        served(shown, PATIENT, certificates.context) as port,
        pytest.raises((ssl.SSLError, ConnectionError)),
        connected(port, pki.trusting(stranger)) as connection,
    ):
        asked(connection)


def test_where_it_is_required_nobody_comes_without_one(pki: Pki) -> None:
    certificates = Certificates(replace(pki.files, client="required"))
    with (
        served(shown, PATIENT, certificates.context) as port,
        pytest.raises((ssl.SSLError, ConnectionError)),
        connected(port, pki.trusting()) as connection,
    ):
        asked(connection)


def test_a_ca_that_was_replaced_verifies_no_new_connection_and_no_session_is_resumed(pki: Pki) -> None:
    old, new = pki.ca.issue_cert("old.example.com"), trustme.CA()
    certificates = Certificates(replace(pki.files, client="required"))
    assert pki.files.client_ca is not None
    context = pki.trusting(old)
    with served(shown, PATIENT, certificates.context) as port:
        with connected(port, context) as connection:
            assert asked(connection) == fingerprint(old)
            assert connection.session is None or not connection.session.has_ticket
        new.cert_pem.write_to_path(str(pki.files.client_ca))
        certificates.look()
        with pytest.raises((ssl.SSLError, ConnectionError)), connected(port, context) as connection:
            asked(connection)
        mine = new.issue_cert("new.example.com")
        with connected(port, pki.trusting(mine)) as connection:
            assert asked(connection) == fingerprint(mine)


def test_without_client_certificates_nobody_is_asked_for_one(pki: Pki) -> None:
    mine = pki.ca.issue_cert("spiffe.example.com")
    with served(shown, PATIENT, Certificates(pki.files).context) as port, connected(port, pki.trusting(mine)) as connection:
        assert asked(connection) == "none"

"""TLS of the front: the files are read again when they change, and the last pair that works stays until a better one does.

New connections get the new certificate, those that stand keep theirs. Nothing of this waits on the event loop.
"""

import asyncio
import hashlib
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

log = logging.getLogger("gateway.front")

LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What TLS is served with. `client`: whether clients show a certificate of `client_ca`."""

    cert: Path
    key: Path
    client_ca: Path | None = None
    client: Literal["off", "optional", "required"] = "off"

    def all(self) -> tuple[Path, ...]:
        return (self.cert, self.key) if self.client_ca is None else (self.cert, self.key, self.client_ca)


class UnusableTls(Exception):
    """What cannot be served with: the setting it stands in, and why. Nothing of the files is in it."""


class Certificates:
    """The certificate in force. `context` is for the listener, once and for all."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises `UnusableTls`."""
        self._files = files
        self._seen = _digest(files)  # of what is in force
        self._current = self.context = _context(files)
        self.context.sni_callback = self._choose  # called for each handshake, also of a client that names no server
        self.failure: str | None = None  # why what is in the files now is not what is served; None: it is

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if self._current is not context:
            connection.context = self._current

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Take over what changed, if it can be served with; what cannot is tried again at each look, and told once."""
        seen = _digest(self._files)
        if seen == self._seen and self.failure is None:
            return
        try:
            self._current = _context(self._files)
        except UnusableTls as error:
            if str(error) != self.failure:
                log.warning("the TLS files changed and cannot be used, so the former ones stay in force: %s", error)
            self.failure = str(error)
        else:
            self._seen, self.failure = seen, None
            log.info("the TLS files changed and are in force for new connections")


def _digest(files: TlsFiles) -> bytes:
    """Of what is in the files; a file that cannot be read is different from any that can."""
    whole = hashlib.sha256()
    for path in files.all():
        try:
            read = path.read_bytes()
        except OSError:
            read = b"\x00unreadable"
        whole.update(len(read).to_bytes(8, "big") + read)
    return whole.digest()


def _context(files: TlsFiles) -> ssl.SSLContext:
    for setting, path in zip(("tls_cert", "tls_key", "tls_client_ca"), files.all(), strict=False):
        try:
            path.open("rb").close()
        except OSError as error:
            raise UnusableTls(f"listen.{setting}: {path}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.cert, files.key, password=lambda: b"")  # or OpenSSL would ask at the terminal
    except OSError as error:  # SSLError is one, and so is that of a file that went a moment ago
        told = "no certificate chain (PEM) and its private key, without a password"
        raise UnusableTls(f"listen.tls_cert, listen.tls_key: {told}: {_reason(error)}") from error
    if files.client_ca is not None and files.client != "off":
        _ask_clients(context, files.client_ca, required=files.client == "required")
    return context


def _ask_clients(context: ssl.SSLContext, client_ca: Path, *, required: bool) -> None:
    """Each connection is verified anew: a session resumed by a ticket would not ask a CA that was replaced meanwhile."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # in 1.2 sessions are resumed without tickets too
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(client_ca)
    except OSError as error:
        raise UnusableTls(f"listen.tls_client_ca: no certificates (PEM) in it: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)

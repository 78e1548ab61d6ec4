"""Where clients are listened to: TLS, names that are ours, and how much a request may hold."""

import ssl
from urllib.parse import urlsplit

from gateway.settings.load import SettingsError
from gateway.settings.model import Settings
from gateway.wire.limits import BodyLimits


def check_tls(settings: Settings) -> None:
    listen = settings.listen
    if listen.tls_cert is None or listen.tls_key is None:
        return
    for setting, path in (("tls_cert", listen.tls_cert), ("tls_key", listen.tls_key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise SettingsError(f"listen.{setting}: {path}: {error.strerror}") from error
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(listen.tls_cert, listen.tls_key)
    except ssl.SSLError as error:
        raise SettingsError(
            f"listen.tls_cert, listen.tls_key: no certificate chain (PEM) and its private key: {error.reason or error}"
        ) from error


def body_limits(settings: Settings) -> BodyLimits:
    limits = settings.limits
    return BodyLimits(
        max_body_bytes=limits.max_body_bytes,
        max_depth=limits.max_depth,
        max_headers_count=limits.max_headers,
        max_headers_bytes=limits.max_headers_bytes,
        max_members=limits.max_members,
    )


def hosts(settings: Settings) -> frozenset[str]:
    """Values of the Host header that are ours besides loopback's."""
    named = {urlsplit(settings.listen.public_url).netloc} if settings.listen.public_url else set()
    return frozenset({*settings.listen.allowed_hosts, *named})

"""Where clients are listened to: TLS, names that are ours, what each surface tells of itself, how much a request may hold."""

import ipaddress
import socket
from urllib.parse import urlsplit

from gateway.front import serving
from gateway.front.endpoint import Room
from gateway.front.proxies import TrustedProxies
from gateway.front.routing import Threshold
from gateway.front.tls import Certificates, TlsFiles, UnusableTls
from gateway.identity.challenge import metadata_url, surface_path
from gateway.identity.metadata import ProtectedResource
from gateway.settings.load import SettingsError
from gateway.settings.model import Settings
from gateway.wire.limits import BodyLimits


def bound(setting: str, host: str, port: int) -> socket.socket:
    """The address is ours from here on. Raises `SettingsError`."""
    try:
        return serving.bound(host, port)
    except OSError as error:
        raise SettingsError(f"{setting}: cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}") from error


def public_url(settings: Settings, port: int) -> str:
    """The URL that clients use, when we listen on `port`; every surface's URI begins with it."""
    listen = settings.listen
    if listen.public_url is not None:
        return listen.public_url
    return serving.url(listen.host, port, tls=listen.tls_cert is not None)


def resources(settings: Settings, public_url: str) -> dict[str, ProtectedResource]:
    """What each surface tells clients that want to log in; a surface that no authorization server speaks for tells nothing."""
    servers = tuple(each.issuer for each in settings.identity.issuers if each.advertise)
    if not servers:
        return {}
    announced = any(each.dpop != "accepted" for each in settings.identity.issuers if each.advertise)
    return {
        name: ProtectedResource(
            uri=public_url + surface_path(name),
            name=settings.server_name if name == "default" else f"{settings.server_name}: {name}",
            authorization_servers=servers,
            scopes=surface.scopes,
            documentation=surface.documentation,
            dpop_algorithms=settings.identity.dpop.algorithms if announced else (),
            certificate_bound=settings.listen.tls_client != "off",
        )
        for name, surface in settings.surfaces.items()
    }


def room(settings: Settings, surface: str, public_url: str) -> Room:
    """What is one surface's own at the front."""
    told = surface in resources(settings, public_url)
    return Room(
        surface=surface,
        groups=frozenset(settings.surfaces[surface].groups),
        resource_metadata=metadata_url(public_url, surface_path(surface)) if told else None,
    )


def certificates(settings: Settings) -> Certificates | None:
    """What TLS is served with; None: it is not. Raises `SettingsError`."""
    listen = settings.listen
    if listen.tls_cert is None or listen.tls_key is None:
        return None
    try:
        return Certificates(TlsFiles(listen.tls_cert, listen.tls_key, listen.tls_client_ca, listen.tls_client))
    except UnusableTls as error:
        raise SettingsError(str(error)) from error


def body_limits(settings: Settings) -> BodyLimits:
    limits = settings.limits
    return BodyLimits(
        max_body_bytes=limits.max_body_bytes,
        max_depth=limits.max_depth,
        max_headers_count=limits.max_headers,
        max_headers_bytes=limits.max_headers_bytes,
        max_members=limits.max_members,
    )


def threshold(settings: Settings) -> Threshold:
    """What is looked at of every request."""
    listen = settings.listen
    proxies = TrustedProxies(
        networks=tuple(ipaddress.ip_network(each) for each in listen.trusted_proxies),
        header="forwarded" if listen.proxy_header == "Forwarded" else "x-forwarded-for",
        direct=listen.tls_cert is not None,
    )
    return Threshold(hosts(settings), frozenset(listen.allowed_origins), proxies if listen.trusted_proxies else None)


def hosts(settings: Settings) -> frozenset[str]:
    """Values of the Host header that are ours besides loopback's."""
    named = {urlsplit(settings.listen.public_url).netloc} if settings.listen.public_url else set()
    return frozenset({*settings.listen.allowed_hosts, *named})

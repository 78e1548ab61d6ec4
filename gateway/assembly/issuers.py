"""From an issuer's settings to what asks it: its keys, and the metadata that names its endpoints."""

from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Fetcher
from gateway.adapters.jwks import DiscoveredSource, FileSource, KeyRing, KeyTimes, UrlSource
from gateway.settings.identity import Issuer


def key_ring(issuer: Issuer) -> KeyRing:
    """Raises `ValueError`."""
    if issuer.jwks_file is not None:
        return KeyRing(FileSource(issuer.jwks_file), KeyTimes(refresh_s=1.0))  # a key taken out of a file is out at once
    fetcher = Fetcher(ca_file=issuer.tls_ca)
    if issuer.jwks_url is not None:
        return KeyRing(UrlSource(issuer.jwks_url, fetcher))
    return KeyRing(DiscoveredSource(discovery(issuer, fetcher), fetcher))


def discovery(issuer: Issuer, fetcher: Fetcher) -> Discovery:
    """Raises `ValueError`."""
    return Discovery(issuer.issuer, fetcher, url=issuer.discovery_url)

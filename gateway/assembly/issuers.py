"""From issuers' settings to what asks them: their keys, their metadata, and what they say of opaque tokens."""

import asyncio
from collections.abc import Mapping, Sequence

from prometheus_client.registry import Collector

from gateway.adapters.access_tokens import AccessTokens
from gateway.adapters.discovery import Discovery
from gateway.adapters.fetching import Fetcher
from gateway.adapters.introspection import Asking, Bounds, Introspection, Terms
from gateway.adapters.issuer_figures import IssuerFigures
from gateway.adapters.jwks import DiscoveredSource, FileSource, KeyRing, KeyTimes, UrlSource
from gateway.identity.tokens import TrustedIssuer
from gateway.settings.identity import Introspection as IntrospectionSetting
from gateway.settings.identity import Issuer
from gateway.settings.load import SettingsError, secret_value


class Issuers:
    """All issuers of one gateway: the ways to authenticate with their tokens, from `start` to `close`."""

    def __init__(self, issuers: Sequence[tuple[Issuer, TrustedIssuer]]) -> None:
        """Raises `ValueError`."""
        introspections: list[Introspection] = []
        verified: list[tuple[TrustedIssuer, KeyRing]] = []
        for issuer, rules in issuers:
            try:
                if issuer.introspection is not None:
                    introspections.append(introspection(issuer, issuer.introspection, rules))
                if issuer.introspection is None or not issuer.introspection.jwts:
                    verified.append((rules, key_ring(issuer)))
            except ValueError as error:
                raise ValueError(f"{issuer.issuer}: {error}") from error
        self.introspections = tuple(introspections)
        self.rings: Mapping[str, KeyRing] = {rules.issuer: ring for rules, ring in verified}
        self.access_tokens = AccessTokens(verified)

    @property
    def methods(self) -> tuple[Introspection | AccessTokens, ...]:
        """In the order of asking: an issuer may want all of its JWTs introspected."""
        return (*self.introspections, self.access_tokens)

    def start(self) -> None:
        self.access_tokens.start()

    async def close(self) -> None:
        await asyncio.gather(self.access_tokens.close(), *(each.close() for each in self.introspections))

    def failures(self) -> Mapping[str, str]:
        """Issuers that could not be asked the last time, and why: for readiness."""
        asked = {each.issuer: f"introspection: {each.failure}" for each in self.introspections if each.failure is not None}
        keys = self.access_tokens.failures()
        return {issuer: "; ".join(told[issuer] for told in (keys, asked) if issuer in told) for issuer in {**keys, **asked}}

    def figures(self) -> Collector:
        return IssuerFigures(self.rings, self.introspections)


def key_ring(issuer: Issuer) -> KeyRing:
    """Raises `ValueError`."""
    if issuer.jwks_file is not None:
        return KeyRing(
            FileSource(issuer.jwks_file), KeyTimes(refresh_s=1.0), of=f"{issuer.issuer} ({issuer.jwks_file})"
        )  # a key taken out of a file is out at once
    fetcher = Fetcher(ca_file=issuer.tls_ca)
    if issuer.jwks_url is not None:
        return KeyRing(UrlSource(issuer.jwks_url, fetcher), of=issuer.issuer)
    return KeyRing(DiscoveredSource(discovery(issuer, fetcher), fetcher), of=issuer.issuer)


def discovery(issuer: Issuer, fetcher: Fetcher) -> Discovery:
    """Raises `ValueError`."""
    return Discovery(issuer.issuer, fetcher, url=issuer.discovery_url)


def introspection(issuer: Issuer, asked: IntrospectionSetting, rules: TrustedIssuer) -> Introspection:
    """Raises `ValueError`."""
    try:
        secret = secret_value(asked.client_secret)
    except SettingsError as error:
        raise ValueError(f"introspection.client_secret: {error}") from error
    fetcher = Fetcher(ca_file=issuer.tls_ca, timeout_s=asked.timeout_s)
    return Introspection(
        Terms(rules, asked.jwts, frozenset(asked.missing_allowed)),
        Asking(asked.client_id, secret, asked.url, asked.client_auth),
        fetcher,
        discovery(issuer, fetcher) if asked.url is None else None,
        bounds=Bounds(
            remember_s=asked.remember_s,
            remember_refused_s=asked.remember_refused_s,
            calls_per_s=asked.calls_per_s,
            timeout_s=asked.timeout_s,
        ),
    )

"""Where the gateway listens, and how much it takes from a caller."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.base import LOOPBACK, Closed, Count, Seconds

DEFAULT_PORTS = {"http": 80, "https": 443}
WIDEST_PROXIES = {4: 8, 6: 16}  # bits of the widest network of proxies: 10.0.0.0/8, fd00::/16


def _base_url(url: str) -> str:
    """The URL in its canonical form (RFC 3986 6.2): every resource's URI begins with it, and URIs are compared as text."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("not a URL") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must begin with https://, or http:// and a loopback address, and name a host")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be a scheme, a host and maybe a port: the gateway's paths (/mcp, /.well-known) begin at the root")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("must be https: clients send their tokens there (http is for loopback only)")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in {None, DEFAULT_PORTS[parts.scheme]} else f":{port}")


def _origin(origin: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+", origin, re.ASCII | re.IGNORECASE):
        raise ValueError("must be one origin as browsers send it: scheme://host or scheme://host:port, without a path or a `*`")
    return origin


def _proxy_network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"no address or network: {error}") from error
    if network.prefixlen < WIDEST_PROXIES[network.version]:
        raise ValueError("names too many addresses, so anybody could say anything: name the proxies")
    return str(network)


Origin = Annotated[str, AfterValidator(_origin)]
ProxyNetwork = Annotated[str, AfterValidator(_proxy_network)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]


class Listen(Closed):
    """Where MCP clients connect."""

    host: str = Field(default="127.0.0.1", description="address to bind; beyond loopback it needs TLS or `trusted_proxies`")
    port: int = Field(default=8080, ge=0, le=65535, description="port to bind; 0 takes a free one and prints it")
    public_url: BaseUrl | None = Field(
        default=None,
        description="URL by which clients reach the gateway, without a path; tokens are for resources below it. "
        "Default: where it listens",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="further values of the Host header to accept (`name` or `name:port`)"
    )
    allowed_origins: tuple[Origin, ...] = Field(
        default=(), description="origins of browser pages (`https://app.example.com`) that may ask and read the answers (CORS)"
    )
    trusted_proxies: tuple[ProxyNetwork, ...] = Field(
        default=(),
        description="addresses of proxies (`10.0.0.7`, `10.1.0.0/24`) that end TLS in front; only they say from where a request "
        "comes, and without TLS here only they and loopback may connect",
    )
    proxy_header: Literal["X-Forwarded-For", "Forwarded"] = Field(
        default="X-Forwarded-For", description="header in which those proxies say it; the other one is ignored"
    )
    tls_cert: Path | None = Field(
        default=None, description="certificate chain (PEM) to serve TLS with; read again within a second when it changes"
    )
    tls_key: Path | None = Field(default=None, description="its private key (PEM), without a password")
    tls_client_ca: Path | None = Field(default=None, description="CA (PEM) of the clients' certificates")
    tls_client: Literal["off", "optional", "required"] = Field(
        default="off", description="whether clients show a certificate of `tls_client_ca`; if not off, TLS 1.3 only"
    )

    @model_validator(mode="before")
    @classmethod
    def replaced(cls, told: Any) -> Any:
        if isinstance(told, dict) and "behind_proxy" in told:
            raise ValueError("`behind_proxy` is gone: name the proxies in front, as in `trusted_proxies: [10.0.0.7]`")
        return told


class Operations(Closed):
    """The listener for /metrics, /livez and /readyz."""

    host: str = Field(default="127.0.0.1", description="address to bind")
    port: int = Field(default=9090, ge=0, le=65535, description="port to bind; 0 takes a free one")


class Limits(Closed):
    """Bounds on what a caller may send and hold."""

    max_body_bytes: Count = Field(default=4 * 1024 * 1024, description="largest request body")
    max_depth: Count = Field(default=64, le=500, description="deepest nesting of a JSON body")
    max_members: Count = Field(
        default=100_000, description="most members and elements of a JSON body, counted before it is parsed"
    )
    max_headers: Count = Field(default=100, description="most header lines of a request")
    max_headers_bytes: Count = Field(default=32 * 1024, description="most bytes of all header lines together")
    body_timeout_s: Seconds = Field(default=30, description="a body must have arrived within this time")
    failed_logins_per_minute: int = Field(
        default=20,
        ge=0,
        description="after so many from an address (a /64 of IPv6) little more is verified until the minute is over; 0: all",
    )
    exchanges_per_caller: Count = Field(default=64, description="concurrent exchanges of one caller")
    streams_per_caller: Count = Field(default=16, description="open subscription streams of one caller")
    sessions_per_caller: Count = Field(default=32, description="legacy sessions of one caller")
    sessions_in_all: Count = Field(default=10_000, description="legacy sessions of all callers together")
    session_idle_s: Seconds = Field(default=1800, description="a legacy session unused for this long ends")
    call_grace_s: float = Field(
        default=60,
        ge=0,
        description="a call under way when its credential ends may go on for this long; streams of changes end at once",
    )
    list_page_items: Count = Field(default=1000, description="most items on one page of a list")
    subscriptions_per_stream: Count = Field(default=100, description="most resource URIs that one stream may watch")
    keep_alive_s: Seconds = Field(default=15, description="a comment goes out on a silent stream after this time")
    held_notices: Count = Field(default=256, description="most progress and log messages held back until a result was inspected")

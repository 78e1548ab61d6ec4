"""What an authorization server says of itself (RFC 8414, OpenID Connect Discovery 1.0), believed as far as its issuer reaches.

The document counts only if its `issuer` is, character by character, the one that was asked for: otherwise one tenant of a
provider could name the keys of another.
"""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import msgspec

from gateway.model import Json, JsonObject

MAX_URL_CHARS = 2048

_URLS = ("jwks_uri", "token_endpoint", "introspection_endpoint")
_WORDS = (
    "token_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_methods_supported",
    "id_token_signing_alg_values_supported",
)


class BadMetadata(Exception):
    """Not this issuer's metadata, or not to be used; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """An issuer's endpoints. What it does not offer is None, or empty."""

    issuer: str
    jwks_uri: str | None = None
    token_endpoint: str | None = None
    introspection_endpoint: str | None = None
    token_auth_methods: tuple[str, ...] = ()  # as it says them: RFC 8414 names a default for absent ones, we guess nothing
    introspection_auth_methods: tuple[str, ...] = ()
    signing_algorithms: tuple[str, ...] = ()  # of its ID tokens: a hint for the operator, never what is accepted


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(url: str, *, what: str) -> SplitResult:
    """`url` in its parts. Raises `ValueError` unless it is https, or http on loopback, without credentials or fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{what} is not a URL") from error
    if len(url) > MAX_URL_CHARS or not all("!" <= char <= "~" for char in url) or "\\" in url:
        raise ValueError(f"{what} is not a URL")
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and loopback(host))):
        raise ValueError(f"{what} must be an https URL (or http on loopback): issuers are asked over https only")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise ValueError(f"{what} must have no user name, password or fragment")
    return parts


def well_known_urls(issuer: str) -> tuple[str, ...]:
    """Where the issuer's metadata may be, in the order of asking. Raises `ValueError`: it has no such place.

    OpenID Connect Discovery 4 appends to the issuer's path; RFC 8414 3 puts the well-known part before it.
    """
    parts = checked_url(issuer, what="the issuer")
    if "?" in issuer:
        raise ValueError("the issuer must have no query (RFC 8414 2)")
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    places = (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
    )
    return tuple(dict.fromkeys(places))


def read_metadata(document: bytes, *, issuer: str) -> Metadata:
    """Raises `BadMetadata`."""
    try:
        msgspec.json.decode(document)  # strict where json is lax
        members = json.loads(document, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadMetadata("not JSON, or a member is given twice") from error
    if not isinstance(members, dict):
        raise BadMetadata("not a JSON object")
    if members.get("issuer") != issuer:
        raise BadMetadata("its `issuer` is not the issuer of the settings, character by character")
    plain = urlsplit(issuer).scheme == "http"
    jwks, token, introspection = (_endpoint(members, name, plain=plain) for name in _URLS)
    token_methods, introspection_methods, algorithms = (_words(members, name) for name in _WORDS)
    return Metadata(issuer, jwks, token, introspection, token_methods, introspection_methods, algorithms)


def _endpoint(members: Mapping[str, Json], name: str, *, plain: bool) -> str | None:
    url = members.get(name)
    if url is None:
        return None
    if not isinstance(url, str):
        raise BadMetadata(f"its `{name}` is not a URL")
    try:
        parts = checked_url(url, what=f"its `{name}`")
    except ValueError as error:
        raise BadMetadata(str(error)) from error
    if parts.scheme == "http" and not plain:  # or an issuer elsewhere could have us ask what listens on our own loopback
        raise BadMetadata(f"its `{name}` is http, and the issuer is not")
    return url


def _words(members: Mapping[str, Json], name: str) -> tuple[str, ...]:
    """Only hints: what is misshapen is left out."""
    value = members.get(name)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _once(pairs: list[tuple[str, Json]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members

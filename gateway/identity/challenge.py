"""Builds `WWW-Authenticate`: what a client needs to come back with a better credential (RFC 6750 3, RFC 9728 5.1)."""

from collections.abc import Iterable
from typing import Literal

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def challenge(
    *,
    error: str | None = None,
    description: str | None = None,
    scopes: Iterable[str] = (),
    resource_metadata: str | None = None,
    scheme: Literal["Bearer", "DPoP"] = "Bearer",
    dpop_algorithms: Iterable[str] = (),
) -> str:
    """The header's value. `error` is left out when no token was sent (RFC 6750 3.1): there was nothing wrong with one.

    Where `dpop_algorithms` are given beside Bearer, DPoP is a second challenge (RFC 9449 7.2): the last one, since there
    are clients that read no further than the first.
    """
    members = {
        "error": error,
        "error_description": description if error else None,
        "scope": " ".join(scopes) or None,
        "resource_metadata": resource_metadata,
    }
    algorithms = f'algs="{_quotable(" ".join(dpop_algorithms))}"'
    said = [f'{name}="{_quotable(value)}"' for name, value in members.items() if value]
    if scheme == "DPoP":
        return "DPoP " + ", ".join([*said, algorithms])
    bearer = " ".join(["Bearer", ", ".join(said)]).rstrip()
    return bearer if algorithms == 'algs=""' else ", ".join([bearer, f"DPoP {algorithms}"])


def metadata_url(public_url: str, path: str) -> str:
    """Where the metadata of the resource at `path` is: the well-known part goes between host and path (RFC 9728 3.1)."""
    return public_url.rstrip("/") + WELL_KNOWN + ("" if path == "/" else path)


def surface_path(surface: str) -> str:
    """The URL path of a surface: /mcp for `default`, /mcp/<name> for the others."""
    return "/mcp" if surface == "default" else f"/mcp/{surface}"


def _quotable(value: str) -> str:
    """Without what could end the quoted string or the header line."""
    return "".join(char for char in value if " " <= char <= "~" and char not in '"\\')
